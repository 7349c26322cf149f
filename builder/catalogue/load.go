package catalogue

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/bpf-vmtest/bpf-vmtest/internal/configfile"
	"github.com/bpf-vmtest/bpf-vmtest/internal/kver"
	"github.com/bpf-vmtest/bpf-vmtest/kconfig"
)

const (
	formRemedy    = "a catalogue is a list of kernels, each beginning with a dash:\n  - version: 6.12\n    source: debian"
	versionRemedy = "from debian a version is a series (6.12), or a series without a release yet (7.3-rc); from kernel.org it is exact (6.12.94, 7.3-rc7)"
	sourceRemedy  = "a source is debian or kernel.org"
)

var kernelShape = configfile.Shape{
	Fields: []string{"version", "channels", "source", "suite", "sha256", "pahole", "gcc", "arch", "flavours", "fragments", "patches"},
	Lists:  []string{"channels", "arch", "flavours", "fragments", "patches"},
}

// Open reads a catalogue from disk. The error is that of [Load].
func Open(path string) (*Catalogue, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, configfile.Errors{configfile.FileError(path, err)}
	}
	return parse(os.DirFS(filepath.Dir(path)), path, data)
}

// Load reads a catalogue. The error is of type [configfile.Errors] and holds
// all that is wrong in it.
func Load(files fs.FS, name string) (*Catalogue, error) {
	data, err := fs.ReadFile(files, name)
	if err != nil {
		return nil, configfile.Errors{configfile.FileError(name, err)}
	}
	return parse(files, name, data)
}

func parse(files fs.FS, name string, data []byte) (*Catalogue, error) {
	r := &reader{YAML: configfile.YAML{File: name}, catalogue: &Catalogue{name: name, text: data, files: files}}
	switch list := r.Document(data); {
	case list == nil:
	case list.Kind != yaml.SequenceNode:
		r.Fail(list, configfile.Problemf(formRemedy, "not a list"))
	default:
		for _, n := range list.Content {
			r.kernel(n)
		}
	}
	if r.Errs != nil {
		return nil, r.Errs
	}
	return r.catalogue, nil
}

type reader struct {
	configfile.YAML
	catalogue *Catalogue
}

// kernel reads one element of the list.
func (r *reader) kernel(n *yaml.Node) {
	if n.Kind != yaml.MappingNode {
		r.Fail(n, configfile.Problemf(formRemedy, "not a kernel"))
		return
	}
	value := r.Fields(n, kernelShape)
	if value["version"] == nil {
		r.Fail(n, configfile.Problemf(versionRemedy, "kernel has no version"))
	}
	if value["source"] == nil {
		r.Fail(n, configfile.Problemf(sourceRemedy, "kernel has no source"))
	}
	k := Kernel{
		Pos:       r.Pos(n),
		Version:   configfile.One(&r.YAML, value["version"], parseVersion),
		Channels:  words(r, value["channels"], parseChannel),
		Origin:    configfile.One(&r.YAML, value["source"], parseOrigin),
		Suite:     configfile.One(&r.YAML, value["suite"], parseSuite),
		SHA256:    configfile.One(&r.YAML, value["sha256"], parseSHA256),
		Archs:     words(r, value["arch"], parseArch),
		Flavours:  words(r, value["flavours"], parseFlavour),
		Fragments: words(r, value["fragments"], r.parseFile),
		Patches:   words(r, value["patches"], r.parseFile),
	}
	k.Needs.Pahole = configfile.One(&r.YAML, value["pahole"], parseNeed)
	k.Needs.GCC = configfile.One(&r.YAML, value["gcc"], parseNeed)
	if k.Archs == nil {
		k.Archs = kconfig.Archs()
	}
	r.suits(k, value)
	r.unique(k, value)
	r.catalogue.Kernels = append(r.catalogue.Kernels, k)
}

// suits checks that a version and a suite are of the source they are with.
func (r *reader) suits(k Kernel, value map[string]*yaml.Node) {
	v := k.Version
	switch {
	case k.Origin == "" || v == Version{}: // reported
	case k.Origin == Debian && v.Version != v.Series():
		r.Fail(value["version"], configfile.Problemf(versionRemedy, "version %q: debian has series only", v))
	case k.Origin == KernelOrg && v.Candidates:
		r.Fail(value["version"], configfile.Problemf(versionRemedy, "version %q: which of the release candidates is not said", v))
	}
	if k.Origin == KernelOrg && k.Suite != "" {
		r.Fail(value["suite"], configfile.Problemf("leave the field out", "kernel.org has no suites"))
	}
}

// unique checks that a kernel is not of the series of another one, nor in a
// channel of it.
func (r *reader) unique(k Kernel, value map[string]*yaml.Node) {
	for _, other := range r.catalogue.Kernels {
		if (k.Version != Version{}) && k.Version.Series() == other.Version.Series() {
			r.Fail(value["version"], configfile.Problemf("a series has one kernel, since it has one tag",
				"series %s is listed twice, first at line %d", k.Version.Series(), other.Line))
		}
		for _, c := range k.Channels {
			if slices.Contains(other.Channels, c) {
				r.Fail(value["channels"], configfile.Problemf("a channel has one kernel: decide for one of the two",
					"channel %q is named twice, first at line %d", c, other.Line))
			}
		}
	}
}

// words reads a list of which no element may be there twice.
func words(r *reader, n *yaml.Node, parse func(string) (string, error)) []string {
	all := configfile.All(&r.YAML, n, parse)
	for i, w := range all {
		if slices.Contains(all[:i], w) {
			r.Fail(n, configfile.Problemf("write it once", "%q is listed twice", w))
		}
	}
	return all
}

func parseVersion(s string) (Version, error) {
	number, candidates := strings.CutSuffix(s, "-rc")
	v, err := kver.Parse(number)
	// 6.12.0 and 7.3~rc7 are other names of versions.
	if err != nil || v.String() != number || candidates && v != v.Series() || v.Major == 0 {
		return Version{}, configfile.Problemf(versionRemedy, "version %q is not one of Linux", s)
	}
	return Version{v, candidates}, nil
}

func parseChannel(s string) (string, error) {
	if !slices.Contains(Channels, s) {
		return "", configfile.Problemf("channels are "+strings.Join(Channels, ", "), "unknown channel %q", s)
	}
	return s, nil
}

func parseOrigin(s string) (Origin, error) {
	switch o := Origin(s); o {
	case Debian, KernelOrg:
		return o, nil
	}
	return "", configfile.Problemf(sourceRemedy, "unknown source %q", s)
}

var (
	suitePattern  = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`)
	sha256Pattern = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

func parseSuite(s string) (string, error) {
	if !suitePattern.MatchString(s) {
		return "", configfile.Problemf("write the name of a suite, like trixie-backports", "suite %q is none", s)
	}
	return s, nil
}

func parseSHA256(s string) (string, error) {
	if !sha256Pattern.MatchString(s) {
		return "", configfile.Problemf("write 64 hexadecimal digits in lower case, as sha256sum prints them, or leave the field out and let `vmtest kernel update` fill it in",
			"sha256 %q is none", s)
	}
	return s, nil
}

// parseNeed reads a range of versions of a tool.
func parseNeed(s string) (kver.Range, error) {
	r, err := kver.ParseRange(s)
	if err != nil {
		return r, configfile.Problemf("write a range of versions: 1.22.. or 1.16..1.24", "%v", err)
	}
	return r, nil
}

func parseArch(s string) (string, error) {
	if archs := kconfig.Archs(); !slices.Contains(archs, s) {
		return "", configfile.Problemf("architectures are "+strings.Join(archs, ", "), "unknown architecture %q", s)
	}
	return s, nil
}

func parseFlavour(s string) (string, error) {
	if flavours := kconfig.Flavours(); !slices.Contains(flavours, s) {
		return "", configfile.Problemf("flavours beside the default one are "+strings.Join(flavours, ", "), "unknown flavour %q", s)
	}
	return s, nil
}

// parseFile reads the name of a file beside the catalogue, which has to be
// there.
func (r *reader) parseFile(s string) (string, error) {
	const remedy = "name a file by its path from the catalogue's directory, below it"
	if !fs.ValidPath(s) {
		return "", configfile.Problemf(remedy, "file %q is not below the catalogue", s)
	}
	info, err := fs.Stat(r.catalogue.files, s)
	if err != nil {
		return "", configfile.Problemf(remedy, "%v", configfile.FileError(s, err))
	}
	if !info.Mode().IsRegular() {
		return "", configfile.Problemf(remedy, "%q is not a file", s)
	}
	return s, nil
}
