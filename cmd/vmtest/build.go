package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/bpf-vmtest/bpf-vmtest/builder"
	"github.com/bpf-vmtest/bpf-vmtest/internal/kver"
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
	noBoot    bool
	verbose   bool
}

func (b *buildFlags) register(fs *flag.FlagSet) {
	fs.StringVar(&b.source, "source", "", "kernel `source`: a tree, a tarball, git:DIR[@REVISION], or kernel.org:VERSION (default: Debian's linux-source package)")
	fs.StringVar(&b.output, "o", "", "OCI layout to pack into, a `directory` (default: kernels in the cache)")
	fs.StringVar(&b.tag, "tag", "", "tag in the layout (default: the version's series, and the full version, with -FLAVOUR)")
	fs.IntVar(&b.jobs, "j", 0, "compilers to run at a time (default: one a CPU)")
	fs.StringVar(&b.flavour, "flavour", "", "build this `flavour`: "+strings.Join(kconfig.Flavours(), ", "))
	fs.Var(&b.fragments, "fragment", "merge this `file` on top of the embedded fragments and the flavour's; may be repeated")
	b.arch.register(fs)
	fs.BoolVar(&b.noBoot, "no-boot", false, "do not boot the finished kernel")
	fs.BoolVar(&b.verbose, "v", false, "show what make prints")
}

// A finishedKernel is one that vmtest kernel build has packed and booted.
type finishedKernel struct {
	*builder.Result
	ref    string // oci:DIR:TAG
	digest string // of the manifest: sha256:…
	took   time.Duration
}

// buildKernel builds the kernel that was asked for and prints its digest.
func (a *app) buildKernel(ctx context.Context, args []string) error {
	var b buildFlags
	fs := a.flagSet("kernel")
	b.register(fs)
	if err := parseFlags(fs, args); err != nil {
		return err
	}
	cache, err := cacheDir()
	if err != nil {
		return err
	}
	b.settings.CacheDir = cache
	options, err := b.options(fs.Args(), cache)
	if err != nil {
		return err
	}
	k, err := a.buildOne(ctx, &b, options)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.stdout, "%s@%s\n", k.ref, k.digest)
	return err
}

// buildOne builds, packs and boots one kernel.
func (a *app) buildOne(ctx context.Context, b *buildFlags, o builder.Options) (*finishedKernel, error) {
	start := time.Now()
	meter := newMeter(a.stderr)
	o.Progress = meter.progress
	if b.verbose {
		o.Log = a.stderr
	}
	r, err := builder.Build(ctx, o)
	meter.finish()
	if err != nil {
		return nil, err
	}
	how := fmt.Sprintf("built in %.0fs", time.Since(start).Seconds())
	if r.Cached {
		how = "found in the cache"
	}
	fmt.Fprintf(a.stderr, "vmtest: Linux %s %s, %d objects; the log is %s\n", r.Release, how, r.BuildInfo.Objects, r.Log)
	k := &finishedKernel{Result: r}
	err = a.finishKernel(ctx, b, k, o.Dir)
	k.took = time.Since(start)
	return k, err
}

// options reads the arguments: a version, or a source that has one.
func (b *buildFlags) options(args []string, cache string) (builder.Options, error) {
	o := builder.Options{Dir: cache, Arch: string(b.arch), Jobs: b.jobs, Flavour: b.flavour}
	if len(args) > 1 || len(args) == 0 && b.source == "" {
		return o, usagef("vmtest kernel build 6.12", "kernel build: want one version, or -source")
	}
	var err error
	if len(args) == 1 {
		v, err := kver.Parse(args[0])
		if err != nil {
			return o, usagef("vmtest kernel build 6.12", "kernel build: %v", err)
		}
		o.Source = builder.Debian{Series: v}
	}
	if b.source != "" {
		if len(args) == 1 {
			return o, usagef("leave out one of them", "kernel build: -source %s and version %s are both given", b.source, args[0])
		}
		if o.Source, err = parseSource(b.source); err != nil {
			return o, err
		}
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
	return o, nil
}

func parseSource(s string) (builder.Source, error) {
	if rest, ok := strings.CutPrefix(s, "git:"); ok {
		dir, revision, _ := strings.Cut(rest, "@")
		return builder.Git{Dir: dir, Rev: revision}, nil
	}
	if version, ok := strings.CutPrefix(s, "kernel.org:"); ok {
		v, err := kver.Parse(version)
		if err != nil {
			return nil, usagef("kernel.org:6.12.94", "-source: %v", err)
		}
		return builder.KernelOrg{Version: v}, nil
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
