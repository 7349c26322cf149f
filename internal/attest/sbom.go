package attest

import (
	"crypto/sha256"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	cdx "github.com/CycloneDX/cyclonedx-go"

	"github.com/bpf-vmtest/bpf-vmtest/initramfs/toolbox"
	"github.com/bpf-vmtest/bpf-vmtest/internal/artifact"
	"github.com/bpf-vmtest/bpf-vmtest/internal/kver"
)

// property is how the names of properties begin that only we know.
const property = "bpf-vmtest:"

// NewSBOM is a CycloneDX 1.6 bill of materials of the artifact: the kernel with
// its source and patches, every file, the modules of which the initramfs was
// made, and the tools that built it. It holds no time and nothing of the
// machine: the same artifact has the same one.
//
// The format is CycloneDX because it can say all of this without a time, and
// because cosign, GitHub, Trivy and Grype know it by one name.
func NewSBOM(c *Contents) *cdx.BOM {
	image := cdx.Component{
		BOMRef: "artifact", Type: cdx.ComponentTypeContainer,
		Name: "linux-kernel", Version: c.Release,
		Description: c.Annotations["org.opencontainers.image.title"] + " for " + c.Arch,
		PackageURL:  "pkg:oci/linux-kernel@" + url.QueryEscape(c.Digest()) + "?arch=" + c.Arch,
		Hashes:      hashes(c.Digest()),
	}
	kernel, modules := linux(c), goModules(c.Toolbox)
	components := append([]cdx.Component{kernel}, tools(c.Build)...)
	parts := []string{kernel.BOMRef}
	dependencies := []cdx.Dependency{{Ref: image.BOMRef, Dependencies: &parts}}
	if _, ok := c.Layer(artifact.Initramfs); ok {
		initramfs := cdx.Component{
			BOMRef: "initramfs", Type: cdx.ComponentTypeApplication, Name: "initramfs",
			Description: "what the kernel starts with: u-root's commands as one program",
			Components:  files(c, artifact.Initramfs),
		}
		components = append(append(components, initramfs), modules...)
		parts = append(parts, initramfs.BOMRef)
		dependencies = append(dependencies, cdx.Dependency{Ref: initramfs.BOMRef, Dependencies: refs(modules)})
	}
	return &cdx.BOM{
		JSONSchema: "http://cyclonedx.org/schema/bom-1.6.schema.json",
		BOMFormat:  cdx.BOMFormat, SpecVersion: cdx.SpecVersion1_6, Version: 1,
		SerialNumber: serialNumber(c.Digest()),
		Metadata:     &cdx.Metadata{Component: &image},
		Components:   &components, Dependencies: &dependencies,
	}
}

func refs(components []cdx.Component) *[]string {
	all := []string{}
	for _, c := range components {
		all = append(all, c.BOMRef)
	}
	return &all
}

// serialNumber is a UUID of version 8 that belongs to the image alone.
func serialNumber(image string) string {
	u := sha256.Sum256([]byte("SBOM of " + image))
	u[6], u[8] = u[6]&0x0f|0x80, u[8]&0x3f|0x80
	return fmt.Sprintf("urn:uuid:%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:16])
}

// linux is the kernel, with its files.
func linux(c *Contents) cdx.Component {
	source := kernelSource(c.Build, "")
	references := []cdx.ExternalReference{
		{Type: cdx.ERTypeVCS, URL: "https://git.kernel.org/pub/scm/linux/kernel/git/stable/linux.git"},
		{Type: cdx.ERTypeWebsite, URL: "https://www.kernel.org"},
	}
	if source.url != "" {
		references = append(references, cdx.ExternalReference{Type: cdx.ERTypeDistribution, URL: source.url, Hashes: hashes(source.digest)})
	}
	return cdx.Component{
		BOMRef: "linux", Type: cdx.ComponentTypeOS, Name: "linux", Version: version(c.Manifest),
		CPE: cpe(version(c.Manifest)), PackageURL: "pkg:generic/linux@" + version(c.Manifest),
		Licenses:           &cdx.Licenses{{Expression: c.Annotations["org.opencontainers.image.licenses"]}},
		Pedigree:           pedigree(source, c.Build.Patches),
		ExternalReferences: &references,
		Properties: properties("release", c.Release, "flavour", c.Build.Flavour, "base", c.Build.Base,
			"fragments", strings.Join(c.Build.Fragments, ","), "config.sha256", c.Annotations[artifact.ConfigAnnotation]),
		Components: files(c, ""),
	}
}

// pedigree is the source, and the patches that make the kernel another one. A
// patch in CycloneDX has no digest, so each is listed among the ancestors, too.
func pedigree(s source, patches []string) *cdx.Pedigree {
	var ancestors []cdx.Component
	var applied []cdx.Patch
	if s.name != "" {
		source := cdx.Component{
			BOMRef: "source", Type: cdx.ComponentTypeFile, Name: s.name, Version: s.version, PackageURL: s.purl, Hashes: hashes(s.digest),
		}
		if source.Hashes == nil {
			source.Properties = properties("digest", s.digest)
		}
		ancestors = append(ancestors, source)
	}
	for i, p := range patches {
		name, digest := cutDigest(p)
		applied = append(applied, cdx.Patch{Type: cdx.PatchTypeUnofficial, Diff: &cdx.Diff{URL: url.PathEscape(name)}})
		ancestors = append(ancestors, cdx.Component{
			BOMRef: fmt.Sprintf("patch-%d", i+1), Type: cdx.ComponentTypeFile, Name: name, Hashes: hashes(digest),
		})
	}
	if ancestors == nil {
		return nil
	}
	p := &cdx.Pedigree{Ancestors: &ancestors}
	if applied != nil {
		p.Patches = &applied
	}
	return p
}

// files are those of a part, or of all parts but the initramfs.
func files(c *Contents, part artifact.Part) *[]cdx.Component {
	var all []cdx.Component
	for _, f := range c.Files {
		if f.Part == part || part == "" && f.Part != artifact.Initramfs {
			all = append(all, cdx.Component{
				BOMRef: "file:" + f.Path, Type: cdx.ComponentTypeFile, Name: f.Path, Hashes: hashes("sha256:" + f.SHA256),
				Properties: properties("part", string(f.Part), "size", fmt.Sprint(f.Size)),
			})
		}
	}
	if all == nil {
		return nil
	}
	return &all
}

// goModules are those of which the initramfs was made, and the standard
// library, by the name that scanners give it.
func goModules(bill *toolbox.Bill) []cdx.Component {
	if bill == nil {
		return nil
	}
	var all []cdx.Component
	for _, m := range append([]toolbox.Module{{Path: "stdlib", Version: strings.TrimPrefix(bill.Go, "go")}}, bill.Modules...) {
		purl := "pkg:golang/" + m.Path + "@" + m.Version
		all = append(all, cdx.Component{
			BOMRef: purl, Type: cdx.ComponentTypeLibrary, Name: m.Path, Version: m.Version, PackageURL: purl,
			Properties: properties("go.sum", m.Sum),
		})
	}
	return all
}

// version is the kernel's, as kernel.org numbers it.
func version(m *artifact.Manifest) string {
	v, err := kver.FromRelease(m.Release)
	if err != nil {
		return m.Release
	}
	return v.String()
}

// cpe is the kernel's name in the databases of vulnerabilities, where a release
// candidate is an update of the version to come.
func cpe(version string) string {
	base, update, _ := strings.Cut(version, "-")
	if update == "" {
		update = "*"
	}
	return "cpe:2.3:o:linux:linux_kernel:" + base + ":" + update + ":*:*:*:*:*:*"
}

// tools are what built the kernel and is not in it.
func tools(b artifact.Build) []cdx.Component {
	var all []cdx.Component
	for _, t := range toolchain(b) {
		all = append(all, cdx.Component{
			BOMRef: "tool:" + t.name, Type: cdx.ComponentTypeApplication, Name: t.name, Version: t.version, Scope: cdx.ScopeExcluded,
			PackageURL: "pkg:generic/" + t.name + "@" + url.PathEscape(t.version), Description: "built the kernel: " + t.text,
		})
	}
	return all
}

// A tool is one that took part in a build.
type tool struct{ name, version, text string }

func toolchain(b artifact.Build) []tool {
	var all []tool
	add := func(name, text string) {
		if text == "" {
			return
		}
		fields := strings.Fields(text) // gcc (Debian 12.2.0-14) 12.2.0
		if name == "" {
			name = strings.TrimSuffix(fields[0], ",")
		}
		all = append(all, tool{name, strings.TrimPrefix(fields[len(fields)-1], "v"), text})
	}
	add("", b.Compiler)
	add("binutils", b.Linker)
	add("pahole", b.Pahole)
	return all
}

// A source is where the kernel's code is from, as far as its name tells.
type source struct {
	name, version string
	digest        string // sha256:…, or git-tree:…
	purl, url     string
	revision      string // a commit
}

var (
	debianSource = regexp.MustCompile(`^(linux-source-[0-9.]+) (\S+)$`)
	tarball      = regexp.MustCompile(`^linux-(\d+)\.\d+(\.\d+)?(-rc\d+)?\.tar\.(xz|gz)$`)
)

// kernelSource interprets what the builder wrote for people.
func kernelSource(b artifact.Build, revision string) source {
	s := source{name: b.Source, digest: b.SourceDigest, revision: revision}
	if m := debianSource.FindStringSubmatch(b.Source); m != nil {
		s.name, s.version = m[1], m[2]
		s.purl = "pkg:deb/debian/" + s.name + "@" + url.QueryEscape(s.version) + "?arch=all"
	}
	if m := tarball.FindStringSubmatch(b.Source); m != nil {
		s.url = "https://cdn.kernel.org/pub/linux/kernel/v" + m[1] + ".x/" + b.Source
		if m[3] != "" {
			s.url = "https://git.kernel.org/torvalds/t/" + b.Source
		}
	}
	if u, err := url.Parse(b.Source); err == nil && u.Scheme == "https" {
		s.url = b.Source
	}
	return s
}

// cutDigest splits a digest off the name of a patch.
func cutDigest(s string) (name, digest string) {
	if i := strings.LastIndex(s, "@sha256:"); i > 0 {
		return s[:i], s[i+1:]
	}
	return s, ""
}

// hashes is a digest as CycloneDX has it; it knows no trees of git's.
func hashes(digest string) *[]cdx.Hash {
	value, ok := strings.CutPrefix(digest, "sha256:")
	if !ok {
		return nil
	}
	return &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: value}}
}

// properties leaves out those without a value.
func properties(pairs ...string) *[]cdx.Property {
	var all []cdx.Property
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			all = append(all, cdx.Property{Name: property + pairs[i], Value: pairs[i+1]})
		}
	}
	if all == nil {
		return nil
	}
	return &all
}
