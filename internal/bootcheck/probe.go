package bootcheck

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/bpf-vmtest/bpf-vmtest/initramfs"
	"github.com/bpf-vmtest/bpf-vmtest/internal/accel"
	"github.com/bpf-vmtest/bpf-vmtest/internal/boot"
	"github.com/bpf-vmtest/bpf-vmtest/internal/features"
	"github.com/bpf-vmtest/bpf-vmtest/internal/guest"
)

// Probe is the program that makes a table in a guest.
func Probe() initramfs.Program {
	return initramfs.Program{
		Name:      "probe",
		Source:    features.ProbeSource,
		Directory: "internal/features",
		Package:   "./internal/features/probe",
		GoMod:     features.ProbeModule,
		GoSum:     features.ProbeSums,
		Symbols:   true, // a probe is attached to a function of its own
	}
}

// probeDir is where the guest sees the probe.
const probeDir = "/run/vmtest/probe"

// probed is what a guest has told.
type probed struct {
	table    *features.Table
	config   []byte // /proc/config.gz uncompressed, nil where there is none
	problems []error
}

// probe boots the kernel as a run would, runs the probe in it and sees that it
// goes down in order.
func (c Check) probe(ctx context.Context, dir string) (*probed, error) {
	c.progress("build the probe for " + c.Kernel.Arch)
	program, err := Probe().Build(ctx, c.Settings.CacheDir, c.Kernel.Arch)
	if err != nil {
		return nil, err
	}
	layout := guest.Layout{Hostname: "vmtest", Shares: []guest.Share{{Path: filepath.Dir(program), Target: probeDir}}}
	layout.AddIdentity()
	layout.AddModprobe() // a distribution's kernel has half of it as modules
	log := newLog()
	settings := c.Settings
	settings.Cold = true // it is the way there that is checked
	m := boot.Machine{Settings: settings, Kernel: c.Kernel, Layout: layout, Dir: dir, Log: log}
	c.progress("boot it and see what it can do")
	g, err := m.Boot(ctx)
	if err != nil {
		return nil, err
	}
	defer g.Close()
	c.booted("ready", g.Accel, g.Took)
	found := &probed{}
	if found.table, err = runProbe(ctx, g, filepath.Join(probeDir, filepath.Base(program))); err != nil {
		return nil, err
	}
	if found.config, err = fetchConfig(ctx, g, dir); err != nil {
		return nil, err
	}
	if err := g.Shutdown(ctx); err != nil {
		return nil, err
	}
	if err := c.awaitRestart(ctx, g, found.table.Release); err != nil {
		found.problems = append(found.problems, err)
	}
	g.Close() // now all of the console has arrived
	for _, s := range log.Splats() {
		found.problems = append(found.problems, &SplatError{s})
	}
	return found, ctx.Err()
}

func runProbe(ctx context.Context, g *boot.Running, program string) (*features.Table, error) {
	var stdout, stderr bytes.Buffer
	exited, err := g.Run(ctx, guest.Command{Args: []string{program}, Dir: "/", Stdout: &stdout, Stderr: &stderr})
	switch {
	case err != nil:
		return nil, err
	case exited.Error != "":
		return nil, fmt.Errorf("run the probe: %s", exited.Error)
	case exited.Code != 0 || exited.Signal != 0:
		return nil, fmt.Errorf("run the probe: exit status %d, signal %d: %s", exited.Code, exited.Signal, bytes.TrimSpace(stderr.Bytes()))
	}
	t, err := features.Parse(stdout.Bytes())
	if err != nil {
		return nil, fmt.Errorf("run the probe: %w", err)
	}
	return t, nil
}

// fetchConfig returns the configuration that the kernel itself shows, nil if
// it shows none.
func fetchConfig(ctx context.Context, g *boot.Running, dir string) ([]byte, error) {
	const file = "config.gz"
	if err := g.Fetch(ctx, "/proc/"+file, dir); err != nil {
		var lost *guest.LostError
		if errors.As(err, &lost) || ctx.Err() != nil {
			return nil, err
		}
		return nil, nil
	}
	f, err := os.Open(filepath.Join(dir, file))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, fmt.Errorf("read /proc/%s: %w", file, err)
	}
	b, err := io.ReadAll(io.LimitReader(z, 16<<20))
	if err != nil {
		return nil, fmt.Errorf("read /proc/%s: %w", file, err)
	}
	return b, nil
}

// A RestartError says that a machine went on when its init had ended it.
type RestartError struct {
	Release string
	After   time.Duration
}

func (e *RestartError) Error() string {
	return fmt.Sprintf("shut down Linux %s: the machine is still there %v after init restarted it", e.Release, e.After)
}

// Hint says what a kernel needs to end a machine.
func (e *RestartError) Hint() string { return powerHint }

// awaitRestart waits until QEMU has ended by itself, which follows init's Done.
func (c Check) awaitRestart(ctx context.Context, g *boot.Running, release string) error {
	limit := c.endTimeout(g.Accel)
	patience := g.Patience(limit)
	for left := limit; left > 0; left = patience.Left() {
		select {
		case <-g.Gone():
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(left):
		}
	}
	return &RestartError{Release: release, After: limit}
}

// endTimeout is how long a machine that has been told to end may take. It
// takes a second, or several where it is emulated on a busy host.
func (c Check) endTimeout(a accel.Accel) time.Duration {
	if c.end != 0 {
		return c.end
	}
	if a == accel.KVM {
		return 20 * time.Second
	}
	return time.Minute
}
