// Package catalogue is the list of kernels that are built and published, and
// what each is made of: builder/kernels.yaml. docs/catalogue.md is the manual.
package catalogue

import (
	"context"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/bpf-vmtest/bpf-vmtest/builder"
	"github.com/bpf-vmtest/bpf-vmtest/builder/patch"
	"github.com/bpf-vmtest/bpf-vmtest/internal/configfile"
	"github.com/bpf-vmtest/bpf-vmtest/internal/kver"
	"github.com/bpf-vmtest/bpf-vmtest/kconfig"
)

// Channels are the names that move from kernel to kernel, as kernel.org's
// front page has them.
var Channels = []string{"mainline", "stable", "longterm", "next"}

// An Origin is where a kernel's source comes from.
type Origin string

const (
	Debian    Origin = "debian"     // the linux-source package of a series
	KernelOrg Origin = "kernel.org" // the tarball of a release
)

// A Kernel is one entry.
type Kernel struct {
	configfile.Pos
	Version   Version
	Channels  []string
	Origin    Origin
	Suite     string // of Debian, where the package is looked for; empty for any
	SHA256    string // of the package or tarball, in hexadecimal, or empty
	Needs     builder.Needs
	Archs     []string // GOARCH
	Flavours  []string // those built beside the default one
	Fragments []string // files beside the catalogue
	Patches   []string // likewise
}

// A Version is what an entry calls itself: 6.12 or 7.3-rc for a series of
// Debian's, 6.12.94 or 7.3-rc7 for a release of kernel.org.
type Version struct {
	kver.Version
	// Candidates says that the series has nothing but release candidates yet.
	Candidates bool
}

// String is the version as it is written.
func (v Version) String() string {
	if v.Candidates {
		return v.Version.String() + "-rc"
	}
	return v.Version.String()
}

// A Catalogue is a list of kernels, no two of which are of one series or in
// one channel.
type Catalogue struct {
	Kernels []Kernel

	name  string // of the file
	text  []byte
	files fs.FS // where the fragments and patches are
}

// Embedded is the catalogue of this project.
func Embedded() *Catalogue {
	c, err := Load(builder.Kernels, "kernels.yaml")
	if err != nil {
		panic(err) // a test reads it
	}
	return c
}

// A NameError is a word that names no kernel: not a version, nor a channel that
// a kernel is in.
type NameError struct {
	Name     string
	Channels []string // that there are
	Cause    error    // nil for a channel
}

func (e *NameError) Error() string {
	if e.Cause != nil {
		return fmt.Sprintf("find kernel %q: %v", e.Name, e.Cause)
	}
	return fmt.Sprintf("find kernel %q: the catalogue has none in that channel", e.Name)
}
func (e *NameError) Unwrap() error { return e.Cause }

// Hint names the channels there are.
func (e *NameError) Hint() string {
	return strings.Join(append([]string{"name a version"}, e.Channels...), ", ") + "; `vmtest kernel list` shows the catalogue"
}

// ExitCode marks a usage error.
func (e *NameError) ExitCode() int { return 2 }

// Find looks up a channel, a series or an exact version. A version that is not
// there gives nil, for it may well be built without a catalogue; any other word
// is a [NameError].
func (c *Catalogue) Find(name string) (*Kernel, error) {
	for i, k := range c.Kernels {
		if name == k.Version.String() || slices.Contains(k.Channels, name) {
			return &c.Kernels[i], nil
		}
	}
	wrong := &NameError{Name: name}
	for _, k := range c.Kernels {
		wrong.Channels = append(wrong.Channels, k.Channels...)
	}
	if slices.Contains(Channels, name) {
		return nil, wrong
	}
	v, err := kver.Parse(name)
	if err != nil {
		wrong.Cause = err
		return nil, wrong
	}
	for i, k := range c.Kernels {
		if v == k.Version.Series() {
			return &c.Kernels[i], nil
		}
	}
	return nil, nil
}

// A Build is one artifact that the catalogue asks for.
type Build struct {
	*Kernel
	Arch    string // GOARCH
	Flavour string // empty for the default one
}

// Builds are all artifacts that the catalogue asks for, in its order.
func (c *Catalogue) Builds() []Build {
	var builds []Build
	for i := range c.Kernels {
		builds = append(builds, c.Kernels[i].builds()...)
	}
	return builds
}

func (k *Kernel) builds() []Build {
	var builds []Build
	for _, arch := range k.Archs {
		for _, flavour := range append([]string{""}, k.Flavours...) {
			builds = append(builds, Build{k, arch, flavour})
		}
	}
	return builds
}

// Configure makes options for building the kernel out of those that every
// kernel is built with, whose fragments and patches come after the catalogue's
// and may so be made for them.
func (c *Catalogue) Configure(ctx context.Context, k *Kernel, o builder.Options) (builder.Options, error) {
	o.Source = k.source()
	o.Needs = k.Needs
	var fragments []*kconfig.Fragment
	for _, file := range k.Fragments {
		data, err := fs.ReadFile(c.files, file)
		if err != nil {
			return o, fmt.Errorf("read fragment of linux %s: %w", k.Version, err)
		}
		f, err := kconfig.Parse(file, data)
		if err != nil {
			return o, err
		}
		fragments = append(fragments, f)
	}
	var patches []patch.Patch
	for _, file := range k.Patches {
		data, err := fs.ReadFile(c.files, file)
		if err != nil {
			return o, fmt.Errorf("read patch of linux %s: %w", k.Version, err)
		}
		list, err := patch.Parse(ctx, file, data)
		if err != nil {
			return o, err
		}
		patches = append(patches, list...)
	}
	o.Fragments = append(fragments, o.Fragments...)
	o.Patches = append(patches, o.Patches...)
	return o, nil
}

func (k *Kernel) source() builder.Source {
	if k.Origin == KernelOrg {
		return builder.KernelOrg{Version: k.Version.Version, SHA256: k.SHA256}
	}
	return builder.Debian{Series: k.Version.Version, Suite: k.Suite, SHA256: k.SHA256}
}
