package main

import (
	"cmp"
	"context"
	"os"
	"strings"

	"github.com/bpf-vmtest/bpf-vmtest/builder"
	"github.com/bpf-vmtest/bpf-vmtest/builder/catalogue"
	"github.com/bpf-vmtest/bpf-vmtest/internal/kver"
)

// A wantedKernel is one that vmtest kernel build is to build.
type wantedKernel struct {
	name     string // what was asked for, or the catalogue's version
	channels []string
	options  builder.Options
}

// String is the kernel as it is shown to people: 6.12 amd64 debug.
func (w wantedKernel) String() string {
	return strings.TrimSpace(w.name + " " + w.options.Arch + " " + w.options.Flavour)
}

// defaultFlavour is how the flavour without a name is called.
const defaultFlavour = "default"

// wanted reads the arguments: versions and channels, or all of the catalogue,
// or a source that has a version of its own.
func (b *buildFlags) wanted(ctx context.Context, args []string, base builder.Options) ([]wantedKernel, error) {
	switch {
	case b.source != "" && len(args) > 0:
		return nil, usagef("leave out one of them", "kernel build: -source %s and version %s are both given", b.source, args[0])
	case b.all && (b.source != "" || len(args) > 0):
		return nil, usagef("leave out the others", "kernel build: -all, and something else to build, are both given")
	case !b.all && b.source == "" && len(args) == 0:
		return nil, usagef("vmtest kernel build 6.12; `vmtest kernel list` shows the versions there are", "kernel build: want a version, or -all, or -source")
	case b.tag != "" && (b.all || len(args) > 1):
		return nil, usagef("leave out -tag", "kernel build: several kernels cannot all have the tag %s", b.tag)
	case b.source != "":
		var err error
		if base.Source, err = b.parseSource(b.source); err != nil {
			return nil, err
		}
		return []wantedKernel{{name: b.source, options: base}}, nil
	}
	c, err := openCatalogue(b.catalogue)
	if err != nil {
		return nil, err
	}
	if b.all {
		return b.wantedAll(ctx, c, base)
	}
	var wanted []wantedKernel
	for _, name := range args {
		w, err := b.find(ctx, c, name, base)
		if err != nil {
			return nil, err
		}
		wanted = append(wanted, w)
	}
	return wanted, nil
}

// find looks a version or channel up in the catalogue. A version that is not
// there is Debian's package of that series.
func (b *buildFlags) find(ctx context.Context, c *catalogue.Catalogue, name string, base builder.Options) (wantedKernel, error) {
	k, err := c.Find(name)
	switch {
	case err != nil:
		return wantedKernel{}, err
	case k == nil:
		v, err := kver.Parse(name)
		base.Source = builder.Debian{Series: v}
		return wantedKernel{name: name, options: base}, err
	}
	return b.configure(ctx, c, k, base)
}

func (b *buildFlags) configure(ctx context.Context, c *catalogue.Catalogue, k *catalogue.Kernel, base builder.Options) (wantedKernel, error) {
	o, err := c.Configure(ctx, k, base)
	o.Source = b.trusting(o.Source)
	return wantedKernel{name: k.Version.String(), channels: k.Channels, options: o}, err
}

// wantedAll is what the catalogue has for the architecture, in the flavour that
// was asked for or in all of them.
func (b *buildFlags) wantedAll(ctx context.Context, c *catalogue.Catalogue, base builder.Options) ([]wantedKernel, error) {
	var wanted []wantedKernel
	for _, build := range c.Builds() {
		if build.Arch != base.Arch || b.flavour != "" && build.Flavour != base.Flavour {
			continue
		}
		w, err := b.configure(ctx, c, build.Kernel, base)
		if err != nil {
			return nil, err
		}
		w.options.Flavour = build.Flavour
		wanted = append(wanted, w)
	}
	if len(wanted) == 0 {
		return nil, usagef("`vmtest kernel list` shows what there is", "kernel build: the catalogue has no kernel for %s in flavour %s", base.Arch, cmp.Or(base.Flavour, defaultFlavour))
	}
	return wanted, nil
}

// trusting gives a source of kernel.org's the key to check it with.
func (b *buildFlags) trusting(s builder.Source) builder.Source {
	if k, ok := s.(builder.KernelOrg); ok {
		k.Keyring, k.Fingerprint = b.keyring, autosigner
		return k
	}
	return s
}

func (b *buildFlags) parseSource(s string) (builder.Source, error) {
	if rest, ok := strings.CutPrefix(s, "git:"); ok {
		dir, revision, _ := strings.Cut(rest, "@")
		return builder.Git{Dir: dir, Rev: revision}, nil
	}
	if version, ok := strings.CutPrefix(s, "kernel.org:"); ok {
		v, err := kver.Parse(version)
		if err != nil {
			return nil, usagef("kernel.org:6.12.94", "-source: %v", err)
		}
		return b.trusting(builder.KernelOrg{Version: v}), nil
	}
	info, err := os.Stat(s)
	switch {
	case err != nil:
		return nil, usagef("a directory, a tarball, git:DIR[@REVISION] or kernel.org:VERSION", "-source: %v", err)
	case info.IsDir():
		return builder.Directory{Path: s}, nil
	}
	return builder.Tarball{Path: s}, nil
}
