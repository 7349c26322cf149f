// Recipe compiles one kernel source twice, by the recipe that most projects
// use for test kernels and by ours, boots both, and prints what each costs.
//
//	go run ./bench/recipe -source linux-6.12
//
// The usual recipe is the architecture's defconfig, all modules dropped, with
// our fragments merged on top, so that both kernels can run the same tests;
// ours is the fragments alone, on top of allnoconfig. Neither uses ccache.
package main

import (
	"bytes"
	"cmp"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/bpf-vmtest/bpf-vmtest/internal/kver"
	"github.com/bpf-vmtest/bpf-vmtest/kconfig"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var b bench
	flag.StringVar(&b.source, "source", "", "unpacked kernel source, a `directory` without a build in it")
	flag.StringVar(&b.vmtest, "vmtest", "vmtest", "vmtest `program` that boots the kernels")
	flag.IntVar(&b.jobs, "j", runtime.NumCPU(), "compilers to run at a time")
	flag.IntVar(&b.boots, "boots", 7, "boots of each kernel, one kernel after the other; the median is printed")
	flag.StringVar(&b.dir, "dir", "", "`directory` to build in, which stays (default: a temporary one)")
	flag.Parse()
	if b.source == "" || flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	if err := b.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "recipe:", err)
		os.Exit(1)
	}
}

type bench struct {
	source, vmtest, dir string
	jobs, boots         int

	allConfig string // the fragments for this version, a file
}

// A kernel is one recipe's.
type kernel struct {
	recipe string
	out    string // build directory

	cpu, wall time.Duration // of make
	symbols   int           // that are y
	size      int64         // of the bzImage, bytes
	boots     []time.Duration
}

func (b *bench) run(ctx context.Context) error {
	if b.dir == "" {
		dir, err := os.MkdirTemp("", "recipe-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		b.dir = dir
	}
	var err error
	if b.source, err = filepath.Abs(b.source); err != nil {
		return err
	}
	version, err := b.writeFragments(ctx)
	if err != nil {
		return err
	}
	usual := &kernel{recipe: "usual", out: filepath.Join(b.dir, "usual")}
	ours := &kernel{recipe: "ours", out: filepath.Join(b.dir, "ours")}
	kernels := []*kernel{usual, ours}
	for _, k := range kernels {
		if err := os.MkdirAll(k.out, 0o755); err != nil {
			return err
		}
	}
	if err := b.configureUsual(ctx, usual); err != nil {
		return err
	}
	if err := b.configureOurs(ctx, ours); err != nil {
		return err
	}
	for _, k := range kernels {
		if err := b.compile(ctx, k); err != nil {
			return err
		}
		fmt.Fprintf(os.Stderr, "recipe: %s: %.0f CPU seconds, bzImage %d bytes\n", k.recipe, k.cpu.Seconds(), k.size)
		if err := b.boot(ctx, k); err != nil { // before an hour of work is lost
			return err
		}
		k.boots = nil
	}
	for range b.boots {
		for _, k := range kernels {
			if err := b.boot(ctx, k); err != nil {
				return err
			}
		}
	}
	fmt.Printf("Linux %s, %d compilers at a time\n\n", version, b.jobs)
	return print(os.Stdout, usual, ours)
}

// writeFragments selects what our fragments ask of the source's version.
func (b *bench) writeFragments(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "make", "-s", "-C", b.source, "kernelversion").Output()
	if err != nil {
		return "", fmt.Errorf("ask %q for its version: %w", b.source, err)
	}
	text := strings.TrimSpace(string(out))
	version, err := kver.Parse(text)
	if err != nil {
		return "", err
	}
	fragments, err := kconfig.Embedded("amd64")
	if err != nil {
		return "", err
	}
	selection, err := kconfig.Select(version, "amd64", fragments...)
	if err != nil {
		return "", err
	}
	b.allConfig = filepath.Join(b.dir, "fragments.config")
	return text, os.WriteFile(b.allConfig, selection.AllConfig(), 0o644)
}

var module = regexp.MustCompile(`(?m)^(CONFIG_\w+)=m$`)

func (b *bench) configureUsual(ctx context.Context, k *kernel) error {
	if err := b.make(ctx, k, "x86_64_defconfig"); err != nil {
		return err
	}
	file := filepath.Join(k.out, ".config")
	config, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if err := os.WriteFile(file, module.ReplaceAll(config, []byte("# $1 is not set")), 0o644); err != nil {
		return err
	}
	merge := exec.CommandContext(ctx, filepath.Join(b.source, "scripts/kconfig/merge_config.sh"), "-m", "-O", k.out, file, b.allConfig)
	if err := b.log(merge, k); err != nil {
		return err
	}
	return b.make(ctx, k, "olddefconfig")
}

func (b *bench) configureOurs(ctx context.Context, k *kernel) error {
	if err := b.make(ctx, k, "KCONFIG_ALLCONFIG="+b.allConfig, "allnoconfig"); err != nil {
		return err
	}
	return b.make(ctx, k, "olddefconfig")
}

func (b *bench) compile(ctx context.Context, k *kernel) error {
	config, err := os.ReadFile(filepath.Join(k.out, ".config"))
	if err != nil {
		return err
	}
	k.symbols = bytes.Count(config, []byte("=y\n"))
	fmt.Fprintf(os.Stderr, "recipe: compile %s: %d symbols\n", k.recipe, k.symbols)
	start, before := time.Now(), childrenCPU()
	if err := b.make(ctx, k, "bzImage"); err != nil {
		return err
	}
	k.wall, k.cpu = time.Since(start), childrenCPU()-before
	info, err := os.Stat(k.image())
	if err != nil {
		return err
	}
	k.size = info.Size()
	return nil
}

func (k *kernel) image() string { return filepath.Join(k.out, "arch/x86/boot/bzImage") }

func (b *bench) make(ctx context.Context, k *kernel, args ...string) error {
	args = append([]string{"-s", "-C", b.source, "O=" + k.out, "ARCH=x86_64", fmt.Sprintf("-j%d", b.jobs)}, args...)
	return b.log(exec.CommandContext(ctx, "make", args...), k)
}

// log runs a command, whose output is kept beside the build.
func (b *bench) log(cmd *exec.Cmd, k *kernel) error {
	path := k.out + ".log"
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	cmd.Stdout, cmd.Stderr = f, f
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("run %s: %w; see %s", cmd, err, path)
	}
	return nil
}

var ready = regexp.MustCompile(`ready in ([0-9.]+)s`)

// boot measures from the start of QEMU to a guest that is ready to run something.
func (b *bench) boot(ctx context.Context, k *kernel) error {
	cmd := exec.CommandContext(ctx, b.vmtest, "exec", "-cold", "-kernel", k.image(), "--", "true")
	cmd.Dir = b.dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("boot the kernel of the recipe %q: %w\n%s", k.recipe, err, out)
	}
	m := ready.FindSubmatch(out)
	if m == nil {
		return fmt.Errorf("boot the kernel of the recipe %q: nothing says how long it took:\n%s", k.recipe, out)
	}
	seconds, err := strconv.ParseFloat(string(m[1]), 64)
	if err != nil {
		return err
	}
	k.boots = append(k.boots, time.Duration(seconds*float64(time.Second)))
	return nil
}

func print(w io.Writer, usual, ours *kernel) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "\tusual\tours\tours / usual")
	row := func(what, format string, of func(*kernel) float64) {
		u, o := of(usual), of(ours)
		fmt.Fprintf(t, "%s\t"+format+"\t"+format+"\t%.2f\n", what, u, o, o/u)
	}
	row("symbols that are y", "%.0f", func(k *kernel) float64 { return float64(k.symbols) })
	row("CPU seconds", "%.0f", func(k *kernel) float64 { return k.cpu.Seconds() })
	row("seconds", "%.0f", func(k *kernel) float64 { return k.wall.Seconds() })
	row("bzImage bytes", "%.0f", func(k *kernel) float64 { return float64(k.size) })
	if len(ours.boots) > 0 {
		row("boot seconds, median", "%.2f", func(k *kernel) float64 { return median(k.boots).Seconds() })
		row("boot seconds, least", "%.2f", func(k *kernel) float64 { return slices.Min(k.boots).Seconds() })
		row("boot seconds, most", "%.2f", func(k *kernel) float64 { return slices.Max(k.boots).Seconds() })
	}
	return t.Flush()
}

func median(d []time.Duration) time.Duration {
	d = slices.Clone(d)
	slices.SortFunc(d, func(x, y time.Duration) int { return cmp.Compare(x, y) })
	return d[len(d)/2]
}
