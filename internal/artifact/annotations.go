package artifact

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/bpf-vmtest/bpf-vmtest/internal/kver"
)

// Repository is where the kernels' fragments and their builder are kept. A
// registry such as GitHub's shows an image with the repository that it names.
const Repository = "https://github.com/bpf-vmtest/bpf-vmtest"

// Annotations of our own.
const (
	PartAnnotation    = "io.bpf-vmtest.part"           // on a layer: its Part
	SizeAnnotation    = "io.bpf-vmtest.size"           // on a layer: bytes of its files, uncompressed
	ReleaseAnnotation = "io.bpf-vmtest.kernel.release" // what uname -r prints
	ConfigAnnotation  = "io.bpf-vmtest.config.sha256"  // of the kernel's .config
)

// Annotations of the image specification.
const (
	standard           = "org.opencontainers.image."
	sourceAnnotation   = standard + "source"
	versionAnnotation  = standard + "version"
	licensesAnnotation = standard + "licenses"
	createdAnnotation  = standard + "created"
	tagAnnotation      = standard + "ref.name" // in a layout's index

	// TitleAnnotation is the kernel's name for people: Linux 6.12.94 (debug).
	TitleAnnotation = standard + "title"
	// RevisionAnnotation is the commit of the kernel's source, where that
	// came out of git.
	RevisionAnnotation = standard + "revision"
)

// Build is how a kernel was made. Empty fields are not known; each of the
// others is an annotation of the manifest.
type Build struct {
	Flavour      string   // such as debug; empty is the default flavour
	Source       string   // for people: linux-source-6.12 6.12.95-1~bpo12+1
	SourceDigest string   // sha256:…, or git-tree:… for a commit
	Base         string   // what the fragments were merged on: allnoconfig
	Fragments    []string // names, in the order in which they were merged
	Patches      []string // names and digests, in the order in which they were applied
	Compiler     string   // first line of its --version
	Linker       string
	Pahole       string
}

// fields binds each field that is text to its annotation.
func (b *Build) fields() map[string]*string {
	return map[string]*string{
		"io.bpf-vmtest.flavour":       &b.Flavour,
		"io.bpf-vmtest.source":        &b.Source,
		"io.bpf-vmtest.source.digest": &b.SourceDigest,
		"io.bpf-vmtest.base":          &b.Base,
		"io.bpf-vmtest.compiler":      &b.Compiler,
		"io.bpf-vmtest.linker":        &b.Linker,
		"io.bpf-vmtest.pahole":        &b.Pahole,
	}
}

// lists binds the others, whose elements are separated by commas.
func (b *Build) lists() map[string]*[]string {
	return map[string]*[]string{
		"io.bpf-vmtest.fragments": &b.Fragments,
		"io.bpf-vmtest.patches":   &b.Patches,
	}
}

func (b Build) annotations() map[string]string {
	a := map[string]string{}
	for name, field := range b.fields() {
		a[name] = *field
	}
	for name, list := range b.lists() {
		a[name] = strings.Join(*list, ",")
	}
	maps.DeleteFunc(a, func(_, value string) bool { return value == "" })
	return a
}

// parseBuild is the inverse of annotations.
func parseBuild(a map[string]string) Build {
	var b Build
	for name, field := range b.fields() {
		*field = a[name]
	}
	for name, list := range b.lists() {
		if a[name] != "" {
			*list = strings.Split(a[name], ",")
		}
	}
	return b
}

// annotations are the manifest's, but for the configuration's digest.
func (p Parts) annotations() map[string]string {
	a := map[string]string{
		sourceAnnotation:   Repository,
		versionAnnotation:  p.Release,
		licensesAnnotation: "GPL-2.0-only WITH Linux-syscall-note",
	}
	if v, err := kver.FromRelease(p.Release); err == nil {
		a[versionAnnotation] = v.String()
	}
	a[TitleAnnotation] = "Linux " + a[versionAnnotation]
	if p.Build.Flavour != "" {
		a[TitleAnnotation] += " (" + p.Build.Flavour + ")"
	}
	if p.Revision != "" {
		a[RevisionAnnotation] = p.Revision
	}
	if !p.Created.IsZero() {
		a[createdAnnotation] = p.Created.UTC().Format(time.RFC3339)
	}
	maps.Copy(a, p.Annotations)
	maps.Copy(a, p.Build.annotations())
	a[ReleaseAnnotation] = p.Release
	return a
}

// common are the annotations of the image specification on which all agree.
func common(all []map[string]string) map[string]string {
	a := map[string]string{}
	for name, value := range all[0] {
		agree := !slices.ContainsFunc(all, func(b map[string]string) bool { return b[name] != value })
		if strings.HasPrefix(name, standard) && agree {
			a[name] = value
		}
	}
	return a
}
