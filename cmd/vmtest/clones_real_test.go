package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bpf-vmtest/bpf-vmtest/internal/meminfo"
)

// TestRealClones starts machines from one template, all there at once: each has an
// identity of its own, none sees what another writes, and they share the memory
// that they have not written to. VMTEST_CLONES is how many: 8 by default.
func TestRealClones(t *testing.T) {
	needReal(t)
	t.Parallel()
	number := 8
	if s := os.Getenv("VMTEST_CLONES"); s != "" {
		var err error
		if number, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	r := newReal(t)
	dir := r.module(t, "clone", func(dir string) error {
		build := exec.Command("go", "build", "-buildvcs=false", "-o", "clone", ".")
		build.Dir, build.Env = dir, append(r.env, "CGO_ENABLED=0")
		out, err := build.CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w\n%s", err, out)
		}
		return nil
	})
	env := []string{"VMTEST_TEMPLATES=" + t.TempDir()}

	booted := &clones{realVmtest: r, dir: dir, env: env, args: []string{"-cold"}}
	booted.start(t, 1)
	alone := booted.memory(t)
	booted.finish(t)
	r.run(t, dir, env, "exec", "-kernel", realNew, "--", "./clone").want(t, 0, "intact") // and saves the machine

	all := &clones{realVmtest: r, dir: dir, env: env}
	before := available(t)
	start := time.Now()
	all.start(t, number)
	started := time.Since(start)
	own, after := all.memory(t), available(t)
	all.check(t)
	all.finish(t)

	t.Logf("%d machines were there after %v", number, started.Round(time.Second))
	t.Logf("the one that was booted has %s to itself", inMiB(alone[0].private))
	slices.SortFunc(own, func(a, b footprint) int { return int(a.private - b.private) })
	median := own[len(own)/2]
	t.Logf("each of the others has %s (%s to %s), and maps %s that they share", inMiB(median.private), inMiB(own[0].private), inMiB(own[len(own)-1].private), inMiB(median.resident-median.private))
	t.Logf("all of them have taken %s of the available memory", inMiB(before-after))
	if number > 1 && median.private > alone[0].private*2/3 {
		t.Error("they do not share their memory")
	}
}

// clones are machines that are there at the same time.
type clones struct {
	*realVmtest
	dir       string
	env, args []string
	machines  []*clone
}

// A clone is a machine in which testdata/real/clone runs, until its input ends.
type clone struct {
	cmd    *exec.Cmd
	stdin  io.Closer
	stdout *bufio.Reader
	stderr syncBuffer

	started, reported time.Time
	report            struct {
		BootID, Random, MAC, Host string
		Clock                     time.Time
	}
}

// atOnce is how many machines start, or end, at a time: as many as there are
// processors for without one missing a deadline.
const atOnce = 4

// each does something with all machines, a few at a time.
func (c *clones) each(do func(*clone) error) error {
	var group sync.WaitGroup
	turns := make(chan struct{}, atOnce)
	errs := make(chan error, len(c.machines))
	for i, m := range c.machines {
		group.Go(func() {
			turns <- struct{}{}
			defer func() { <-turns }()
			if err := do(m); err != nil {
				errs <- fmt.Errorf("machine %d: %w\n%s", i, err, m.stderr.String())
			}
		})
	}
	group.Wait()
	close(errs)
	return <-errs
}

// start returns when all machines have reported.
func (c *clones) start(t *testing.T, number int) {
	t.Helper()
	for range number {
		c.machines = append(c.machines, &clone{})
	}
	args := slices.Concat([]string{"exec", "-stdin", "-kernel", realNew}, c.args, []string{"--", "./clone"})
	err := c.each(func(m *clone) error {
		m.cmd = c.command(t.Context(), c.dir, c.env, args...)
		m.cmd.Stderr = &m.stderr
		var err error
		if m.stdin, err = m.cmd.StdinPipe(); err != nil {
			return err
		}
		stdout, err := m.cmd.StdoutPipe()
		if err != nil {
			return err
		}
		m.stdout, m.started = bufio.NewReader(stdout), time.Now()
		if err := m.cmd.Start(); err != nil {
			return err
		}
		line, err := m.stdout.ReadBytes('\n')
		if err != nil {
			return err
		}
		m.reported = time.Now()
		return json.Unmarshal(line, &m.report)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// check compares what the machines have said of themselves.
func (c *clones) check(t *testing.T) {
	t.Helper()
	seen := map[string]int{}
	for i, m := range c.machines {
		if !strings.Contains(m.stderr.String(), ", warm\n") {
			t.Errorf("machine %d is not from the template:\n%s", i, m.stderr.String())
		}
		r := m.report
		for what, value := range map[string]string{"boot id": r.BootID, "random numbers": r.Random, "MAC address": r.MAC, "host name": r.Host} {
			if other, ok := seen[value]; ok || value == "" {
				t.Errorf("machines %d and %d have the same %s %q", other, i, what, value)
			}
			seen[value] = i
		}
		if r.Clock.Before(m.started.Add(-2*time.Second)) || r.Clock.After(m.reported.Add(2*time.Second)) {
			t.Errorf("machine %d: the clock shows %v, between %v and %v", i, r.Clock, m.started, m.reported)
		}
	}
}

// finish lets the machines look for what others have written, and end.
func (c *clones) finish(t *testing.T) {
	t.Helper()
	err := c.each(func(m *clone) error {
		m.stdin.Close()
		said, err := io.ReadAll(m.stdout)
		if end := m.cmd.Wait(); end != nil {
			return end
		}
		if string(said) != "intact\n" {
			return fmt.Errorf("it said %q, %w", said, err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if left := c.left(); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// A footprint is what a process has of the host's memory, in bytes.
type footprint struct{ private, resident int64 }

// memory is that of the machines' QEMU.
func (c *clones) memory(t *testing.T) []footprint {
	t.Helper()
	var all []footprint
	for _, pid := range machinesBelow(c.cache) {
		b, err := os.ReadFile(filepath.Join("/proc", pid, "smaps_rollup"))
		if err != nil {
			t.Fatal(err)
		}
		var u footprint
		for line := range bytes.Lines(b) {
			f := strings.Fields(string(line)) // NAME: N kB
			if len(f) != 3 {
				continue
			}
			kib, _ := strconv.ParseInt(f[1], 10, 64)
			switch f[0] {
			case "Private_Clean:", "Private_Dirty:":
				u.private += kib << 10
			case "Rss:":
				u.resident = kib << 10
			}
		}
		all = append(all, u)
	}
	if len(all) != len(c.machines) {
		t.Fatalf("%d machines are there, want %d", len(all), len(c.machines))
	}
	return all
}

func available(t *testing.T) int64 {
	t.Helper()
	n, err := meminfo.Available()
	if err != nil {
		t.Fatal(err)
	}
	return int64(n)
}

func inMiB(n int64) string { return fmt.Sprintf("%d MiB", n>>20) }
