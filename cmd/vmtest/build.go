package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/bpf-vmtest/bpf-vmtest/builder"
	"github.com/bpf-vmtest/bpf-vmtest/builder/patch"
	"github.com/bpf-vmtest/bpf-vmtest/kconfig"
)

// buildFlags are those of vmtest kernel build.
type buildFlags struct {
	machineFlags
	source    string
	output    string
	tag       string
	jobs      int
	flavour   string
	fragments stringList
	patches   stringList
	noBoot    bool
	verbose   bool
	all       bool
	catalogue string
	keyring   string
}

func (b *buildFlags) register(fs *flag.FlagSet) {
	fs.BoolVar(&b.all, "all", false, "build every kernel of the catalogue that is for this -arch, in its flavours or in that of -flavour")
	registerCatalogue(fs, &b.catalogue)
	fs.StringVar(&b.source, "source", "", "kernel `source`: a tree, a tarball, git:DIR[@REVISION], or kernel.org:VERSION (default: that of the catalogue, or Debian's linux-source package)")
	fs.StringVar(&b.keyring, "keyring", "", "OpenPGP `file` with the key that signs kernel.org's checksums (default: fetched from there)")
	fs.StringVar(&b.output, "o", "", "OCI layout to pack into, a `directory` (default: kernels in the cache)")
	fs.StringVar(&b.tag, "tag", "", "tag in the layout (default: the full version, its series and its channels, with -FLAVOUR)")
	fs.IntVar(&b.jobs, "j", 0, "compilers to run at a time (default: one a CPU)")
	fs.StringVar(&b.flavour, "flavour", "", "build this `flavour`: "+strings.Join(append([]string{defaultFlavour}, kconfig.Flavours()...), ", "))
	fs.Var(&b.fragments, "fragment", "merge this `file` on top of the embedded fragments and the flavour's; may be repeated")
	b.arch.register(fs)
	fs.Var(&b.patches, "patch", "apply this `file`, a patch, a mailbox of patches, or a directory of *.patch, to a copy of the source; may be repeated")
	fs.BoolVar(&b.noBoot, "no-boot", false, "do not boot the finished kernel, which then cannot be published")
	fs.BoolVar(&b.verbose, "v", false, "show what make prints")
}

// A finishedKernel is one that vmtest kernel build has packed and booted.
type finishedKernel struct {
	*builder.Result
	channels []string
	ref      string // oci:DIR:TAG
	digest   string // of the manifest: sha256:…
}

// buildKernel builds what was asked for and prints the digest, or a table where
// that is more than one kernel.
func (a *app) buildKernel(ctx context.Context, args []string) error {
	var b buildFlags
	fs := a.flagSet("kernel build")
	b.register(fs)
	if err := parseFlags(fs, args); err != nil {
		return err
	}
	cache, err := cacheDir()
	if err != nil {
		return err
	}
	b.settings.CacheDir = cache
	base, err := b.options(ctx, cache)
	if err != nil {
		return err
	}
	wanted, err := b.wanted(ctx, fs.Args(), base)
	if err != nil {
		return err
	}
	if b.all || len(wanted) > 1 {
		return a.buildSeveral(ctx, wanted, func(ctx context.Context, w wantedKernel) (*finishedKernel, error) {
			return a.buildOne(ctx, &b, w, newMeter(a.stderr, w.String()+": "))
		})
	}
	k, err := a.buildOne(ctx, &b, wanted[0], newMeter(a.stderr, ""))
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.stdout, "%s@%s\n", k.ref, k.digest)
	return err
}

// buildOne builds, packs and boots one kernel.
func (a *app) buildOne(ctx context.Context, b *buildFlags, w wantedKernel, m *meter) (*finishedKernel, error) {
	start := time.Now()
	o := w.options
	o.Progress = m.progress
	o.Notice = m.notice
	if b.verbose {
		o.Log = a.stderr
	}
	r, err := builder.Build(ctx, o)
	m.finish()
	if err != nil {
		return nil, err
	}
	how := fmt.Sprintf("built in %.0fs", time.Since(start).Seconds())
	if r.Cached {
		how = "found in the cache"
	}
	fmt.Fprintf(a.stderr, "vmtest: Linux %s %s, %d objects; the log is %s\n", r.Release, how, r.BuildInfo.Objects, r.Log)
	k := &finishedKernel{Result: r, channels: w.channels}
	return k, a.finishKernel(ctx, b, k, o.Dir)
}

// options are what every kernel is built with.
func (b *buildFlags) options(ctx context.Context, cache string) (builder.Options, error) {
	o := builder.Options{Dir: cache, Arch: string(b.arch), Jobs: b.jobs, Flavour: b.flavour}
	if b.flavour == defaultFlavour {
		o.Flavour = ""
	}
	if _, err := kconfig.Flavour(o.Flavour, o.Arch); err != nil {
		return o, err
	}
	for _, file := range b.fragments {
		data, err := os.ReadFile(file)
		if err != nil {
			return o, usagef("", "-fragment: %v", err)
		}
		f, err := kconfig.Parse(file, data)
		if err != nil {
			return o, err
		}
		o.Fragments = append(o.Fragments, f)
	}
	for _, file := range b.patches {
		patches, err := patch.Read(ctx, file)
		if err != nil {
			return o, err
		}
		o.Patches = append(o.Patches, patches...)
	}
	return o, nil
}
