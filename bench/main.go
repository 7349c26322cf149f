// Bench times how long it takes to run a command on a kernel: with vmtest, from
// a saved machine and booted, with the other tools that it finds, and with QEMU
// alone. All boot the same kernel on the same accelerator.
//
//	go run ./bench [-n 7] [-vmtest PROGRAM] KERNEL
//
// The kernel is an image with all drivers built in, as `vmtest kernel build` and
// `vmtest kernel extract` leave in boot/vmlinuz.
//
// The tools take turns, so that a machine that is busy for a while is busy for
// all of them, and ratios are those of the runs of one round.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

func main() {
	if err := run(os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// A contestant is a way to run a command in a guest.
type contestant struct {
	name  string
	argv  []string
	env   []string
	stdin string
}

// limit is for a tool that hangs: the slowest takes a tenth of it on a busy
// machine without KVM.
const limit = 5 * time.Minute

func run(args []string, stdout, stderr io.Writer) error {
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	rounds := fs.Int("n", 7, "`rounds`")
	vmtest := fs.String("vmtest", "vmtest", "the vmtest `program`")
	kvm := fs.Bool("kvm", false, "use KVM, everywhere")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if fs.NArg() != 1 || *rounds < 1 {
		return errors.New("usage: bench [-n ROUNDS] [-vmtest PROGRAM] [-kvm] KERNEL")
	}
	kernel, err := filepath.Abs(fs.Arg(0))
	if err != nil {
		return err
	}
	var present []contestant
	for _, c := range contestants(*vmtest, kernel, *kvm) {
		if _, err := exec.LookPath(c.argv[0]); err != nil {
			fmt.Fprintf(stderr, "bench: without %s: %v\n", c.name, err)
			continue
		}
		if _, err := c.time(); err != nil { // also makes the saved machine, and fills caches
			fmt.Fprintf(stderr, "bench: without %s: %v\n", c.name, err)
			continue
		}
		present = append(present, c)
	}
	if len(present) == 0 {
		return errors.New("there is nothing to time")
	}
	times := make([][]time.Duration, len(present))
	for n := range *rounds {
		for i, c := range present {
			took, err := c.time()
			if err != nil {
				return fmt.Errorf("round %d: %s: %w", n+1, c.name, err)
			}
			times[i] = append(times[i], took)
			fmt.Fprintf(stderr, "round %d: %s: %.2fs\n", n+1, c.name, took.Seconds())
		}
	}
	_, err = io.WriteString(stdout, table(present, times))
	return err
}

// contestants are all that we know how to run. The first is what the others are
// compared with.
func contestants(vmtest, kernel string, kvm bool) []contestant {
	accel, novng, env := "kvm", []string{}, []string(nil)
	if !kvm {
		accel, novng, env = "tcg", []string{"--disable-kvm", "--disable-microvm"}, []string{"VIMTO_DISABLE_KVM=true"}
	}
	command := []string{"--", "/bin/true"}
	ours := []string{vmtest, "exec", "-q", "-accel", accel, "-kernel", kernel}
	return []contestant{
		{name: "vmtest", argv: slices.Concat(ours, command)},
		{name: "vmtest -cold", argv: slices.Concat(ours, []string{"-cold"}, command)},
		{name: "QEMU, told to quit", argv: []string{"qemu-system-x86_64", "-nodefaults", "-display", "none", "-S", "-monitor", "stdio", "-accel", accel}, stdin: "quit\n"},
		{name: "vimto", argv: slices.Concat([]string{"vimto", "-kernel", kernel, "-smp", "cpus=2", "-memory", "size=2G", "exec"}, command), env: env},
		{name: "virtme-ng", argv: slices.Concat([]string{"vng"}, novng, []string{"--run", kernel, "--cpus", "2", "--memory", "2G"}, command)},
	}
}

// time runs the tool once and returns how long it took, the whole process.
func (c contestant) time() (time.Duration, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.argv[0], c.argv[1:]...)
	cmd.Env = append(os.Environ(), c.env...)
	cmd.Stdin = strings.NewReader(c.stdin)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	start := time.Now()
	if err := cmd.Run(); err != nil {
		said := bytes.TrimSpace(said.Bytes())
		return 0, fmt.Errorf("%w: …%s", err, said[max(0, len(said)-400):])
	}
	return time.Since(start), nil
}

// table has a line for each tool: the median of its times, the fastest and the
// slowest, and the ratio of ours to it, as median and range over the rounds.
func table(all []contestant, times [][]time.Duration) string {
	var b strings.Builder
	fmt.Fprintf(&b, "| | median | range | %s takes of it | range |\n|---|---|---|---|---|\n", all[0].name)
	for i, c := range all {
		var seconds, ratios []float64
		for n, took := range times[i] {
			seconds = append(seconds, took.Seconds())
			ratios = append(ratios, times[0][n].Seconds()/took.Seconds())
		}
		fmt.Fprintf(&b, "| %s | %.2f s | %.2f–%.2f s | %.3f | %.3f–%.3f |\n", c.name,
			median(seconds), slices.Min(seconds), slices.Max(seconds),
			median(ratios), slices.Min(ratios), slices.Max(ratios))
	}
	return b.String()
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}
