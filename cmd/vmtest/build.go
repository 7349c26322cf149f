package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/bpf-vmtest/bpf-vmtest/builder"
	"github.com/bpf-vmtest/bpf-vmtest/initramfs/toolbox"
	"github.com/bpf-vmtest/bpf-vmtest/internal/artifact"
	"github.com/bpf-vmtest/bpf-vmtest/internal/boot"
	"github.com/bpf-vmtest/bpf-vmtest/internal/kernelref"
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
	fragments stringList
	noBoot    bool
	verbose   bool
}

func (b *buildFlags) register(fs *flag.FlagSet) {
	fs.StringVar(&b.source, "source", "", "kernel `source`: a tree, a tarball, or git:DIR[@REVISION] (default: Debian's linux-source package)")
	fs.StringVar(&b.output, "o", "", "OCI layout to pack into, a `directory` (default: kernels in the cache)")
	fs.StringVar(&b.tag, "tag", "", "tag in the layout (default: the version's series, and the full version)")
	fs.IntVar(&b.jobs, "j", 0, "compilers to run at a time (default: one a CPU)")
	fs.Var(&b.fragments, "fragment", "merge this `file` on top of the embedded fragments; may be repeated")
	fs.BoolVar(&b.noBoot, "no-boot", false, "do not boot the finished kernel")
	fs.BoolVar(&b.verbose, "v", false, "show what make prints")
}

// buildKernel builds, packs and boots a kernel.
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
	meter := newMeter(a.stderr)
	options.Progress = meter.progress
	if b.verbose {
		options.Log = a.stderr
	}
	start := time.Now()
	r, err := builder.Build(ctx, options)
	meter.finish()
	if err != nil {
		return err
	}
	how := fmt.Sprintf("built in %.0fs", time.Since(start).Seconds())
	if r.Cached {
		how = "found in the cache"
	}
	fmt.Fprintf(a.stderr, "vmtest: Linux %s %s, %d objects; the log is %s\n", r.Release, how, r.BuildInfo.Objects, r.Log)
	return a.finishKernel(ctx, &b, r, cache)
}

// options reads the arguments: a version, or a source that has one.
func (b *buildFlags) options(args []string, cache string) (builder.Options, error) {
	o := builder.Options{Dir: cache, Jobs: b.jobs}
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
	info, err := os.Stat(s)
	switch {
	case err != nil:
		return nil, usagef("a directory, a tarball, or git:DIR[@REVISION]", "-source: %v", err)
	case info.IsDir():
		return builder.Directory{Path: s}, nil
	}
	return builder.Tarball{Path: s}, nil
}

// finishKernel adds the initramfs, packs the parts, boots what was packed and
// prints its digest.
func (a *app) finishKernel(ctx context.Context, b *buildFlags, r *builder.Result, cache string) error {
	work, remove, err := boot.TempDir(cache)
	if err != nil {
		return err
	}
	defer remove()
	initramfs := filepath.Join(work, "initramfs.cpio")
	if err := a.writeToolbox(ctx, cache, initramfs, (*toolbox.Toolbox).WriteArchive); err != nil {
		return err
	}
	parts := artifact.Parts{
		Release: r.Release, Arch: r.Arch,
		Kernel: r.Image, VMLinux: r.Vmlinux, Config: r.Config, SystemMap: r.SystemMap,
		BTF: r.BTF, Initramfs: initramfs, Modules: r.ModulesDir,
		Annotations: annotations(r),
	}
	layout := orElse(b.output, filepath.Join(cache, "layout"))
	tags := []string{b.tag}
	if b.tag == "" {
		tags = []string{r.Version.Series().String(), r.Version.String()}
	}
	digest, err := artifact.Pack(ctx, parts, layout, tags...)
	if err != nil {
		return err
	}
	ref := "oci:" + layout + ":" + tags[0]
	if !b.noBoot {
		if err := a.tryKernel(ctx, b, ref, cache, work); err != nil {
			return err
		}
	}
	fmt.Fprintf(a.stderr, "vmtest: %s\n", sizes(parts))
	fmt.Fprintf(a.stdout, "%s@%s\n", ref, digest)
	return nil
}

func annotations(r *builder.Result) map[string]string {
	return map[string]string{
		"io.bpf-vmtest.source":        r.BuildInfo.Source,
		"io.bpf-vmtest.source.digest": r.BuildInfo.SourceDigest,
		"io.bpf-vmtest.fragments":     strings.Join(r.BuildInfo.Fragments, ","),
		"io.bpf-vmtest.compiler":      r.BuildInfo.Compiler,
		"io.bpf-vmtest.pahole":        r.BuildInfo.Pahole,
	}
}

// tryKernel boots an artifact as a run would and shows its name.
func (a *app) tryKernel(ctx context.Context, b *buildFlags, ref, cache, work string) error {
	parsed, err := kernelref.Parse(ref, "")
	if err != nil {
		return err
	}
	b.settings.CPUs, b.settings.MemoryMiB = 2, 1024
	e := execRun{
		machineFlags: &machineFlags{settings: b.settings, hermetic: true},
		ref:          parsed, cache: cache, dir: "/", argv: []string{"/bbin/uname", "-a"},
	}
	if e.base, err = a.toolbox(ctx, cache, work); err != nil {
		return err
	}
	code, err := a.execOn(ctx, e)
	if err == nil && code != 0 {
		err = fmt.Errorf("boot %s: the test command ended with status %d", ref, code)
	}
	return err
}

func sizes(p artifact.Parts) string {
	var b strings.Builder
	for _, part := range []struct{ name, path string }{
		{"bzImage", p.Kernel}, {"vmlinux", p.VMLinux}, {"initramfs", p.Initramfs}, {"BTF", p.BTF},
	} {
		if info, err := os.Stat(part.path); err == nil {
			fmt.Fprintf(&b, "%s %.1f MiB, ", part.name, float64(info.Size())/(1<<20))
		}
	}
	return strings.TrimSuffix(b.String(), ", ")
}

// A meter shows how far a build has come: a bar on a terminal, a line a phase
// elsewhere.
type meter struct {
	w     io.Writer
	phase string
	bar   *progressbar.ProgressBar
	shown time.Time
}

func newMeter(w io.Writer) *meter { return &meter{w: w} }

func (m *meter) progress(p builder.Progress) {
	if p.Phase != m.phase {
		m.finish()
		m.phase = p.Phase
		if isTerminal(m.w) {
			m.bar = progressbar.NewOptions64(max(p.Total, -1),
				progressbar.OptionSetWriter(m.w), progressbar.OptionSetDescription(p.Phase),
				progressbar.OptionShowBytes(p.Unit == "bytes"), progressbar.OptionShowCount(),
				progressbar.OptionClearOnFinish(), progressbar.OptionThrottle(100*time.Millisecond))
		} else {
			fmt.Fprintf(m.w, "vmtest: %s\n", p.Phase)
		}
		m.shown = time.Now()
	}
	switch {
	case m.bar != nil:
		if p.Total > 0 {
			m.bar.ChangeMax64(max(p.Total, p.Done))
		}
		_ = m.bar.Set64(p.Done)
	case p.Unit == "objects" && time.Since(m.shown) > 30*time.Second:
		m.shown = time.Now()
		fmt.Fprintf(m.w, "vmtest: %s: %d of about %d objects\n", p.Phase, p.Done, p.Total)
	}
}

func (m *meter) finish() {
	if m.bar != nil {
		_ = m.bar.Finish()
		m.bar = nil
	}
}
