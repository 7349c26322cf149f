// Timeline draws where the time of one command on a kernel goes: in a machine that
// starts from a saved one, and in one that is booted.
//
//	go run ./bench/timeline -o docs/images/timeline.svg [-n 7] [-vmtest PROGRAM] KERNEL
//
// Of several runs of each, which take turns, it draws the one with the median time.
package main

import (
	"bytes"
	"cmp"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/google/renameio/v2"

	"github.com/bpf-vmtest/bpf-vmtest/internal/timeline"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "timeline:", err)
		os.Exit(1)
	}
}

// A measured run of the program: its spans, and the time of the whole process.
type measured struct {
	start, end time.Time
	spans      []timeline.Span
}

func (m measured) took() time.Duration { return m.end.Sub(m.start) }

func run(args []string) error {
	fs := flag.NewFlagSet("timeline", flag.ContinueOnError)
	output := fs.String("o", "timeline.svg", "`file` for the picture")
	rounds := fs.Int("n", 7, "`runs` of each")
	vmtest := fs.String("vmtest", "vmtest", "the vmtest `program`")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if fs.NArg() != 1 || *rounds < 1 {
		return errors.New("usage: timeline [-o FILE] [-n RUNS] [-vmtest PROGRAM] KERNEL")
	}
	b := bench{vmtest: *vmtest, kernel: fs.Arg(0)}
	if _, err := b.measure(); err != nil { // saves the machine, and fills caches
		return err
	}
	var warm, cold []measured
	for range *rounds {
		w, err := b.measure()
		if err != nil {
			return err
		}
		c, err := b.measure("-cold")
		if err != nil {
			return err
		}
		warm, cold = append(warm, w), append(cold, c)
		fmt.Fprintf(os.Stderr, "warm %.3fs, booted %.3fs\n", w.took().Seconds(), c.took().Seconds())
	}
	picture := draw([]panel{{"from a saved machine", median(warm)}, {"booted", median(cold)}})
	return renameio.WriteFile(*output, picture, 0o644)
}

type bench struct{ vmtest, kernel string }

// measure runs a command that does nothing.
func (b bench) measure(flags ...string) (measured, error) {
	dir, err := os.MkdirTemp("", "timeline-")
	if err != nil {
		return measured{}, err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "timeline.json")
	args := slices.Concat([]string{"exec", "-q", "-kernel", b.kernel}, flags, []string{"--", "/bin/true"})
	cmd := exec.Command(b.vmtest, args...)
	cmd.Env = append(os.Environ(), "VMTEST_TIMELINE="+file)
	m := measured{start: time.Now()}
	if out, err := cmd.CombinedOutput(); err != nil {
		return m, fmt.Errorf("%s: %w\n%s", cmd, err, out)
	}
	m.end = time.Now()
	text, err := os.ReadFile(file)
	if err == nil {
		m.spans, err = timeline.Read(bytes.NewReader(text))
	}
	return m, err
}

// median is the run that took as long as the typical one.
func median(runs []measured) measured {
	sorted := slices.SortedFunc(slices.Values(runs), func(a, b measured) int { return cmp.Compare(a.took(), b.took()) })
	return sorted[len(sorted)/2]
}
