// Package bootcheck decides whether a kernel may be published: it boots the
// kernel as a run would, finds out what it can do, and boots it once more with
// nothing of ours, to see that it gets to a shell and powers off.
package bootcheck

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/bpf-vmtest/bpf-vmtest/internal/accel"
	"github.com/bpf-vmtest/bpf-vmtest/internal/boot"
	"github.com/bpf-vmtest/bpf-vmtest/internal/console"
	"github.com/bpf-vmtest/bpf-vmtest/internal/features"
	"github.com/bpf-vmtest/bpf-vmtest/internal/kernel"
	"github.com/bpf-vmtest/bpf-vmtest/internal/kver"
	"github.com/bpf-vmtest/bpf-vmtest/kconfig"
)

// A Check is one kernel's.
type Check struct {
	Settings boot.Settings
	Kernel   *kernel.Kernel
	// Initramfs boots by itself into a shell that knows poweroff; empty
	// leaves out the second boot, and with it power_off.
	Initramfs string
	// Parts go into the table, see [features.Table].
	Parts map[string]string
	// Progress is called before each step, with what it does. nil: silence.
	Progress func(step string)
	// Booted, when set, is told about each machine that got as far as it
	// should: what it is, by what it is run, and how long it took.
	Booted func(state string, a accel.Accel, took time.Duration)

	end time.Duration // see endTimeout; a test's is shorter
}

// A Result is what was found out.
type Result struct {
	Table *features.Table
	// Problems are why the kernel must not be published: a *MissingError, a
	// *ConfigError, a *PowerOffError, and the like.
	Problems []error
	// Waived are required of the kernel's version, and not of its
	// configuration.
	Waived []Requirement
}

// An Error says that a kernel must not be published.
type Error struct {
	Kernel   string
	Problems []error
}

func (e *Error) Error() string {
	var all []string
	for _, p := range e.Problems {
		all = append(all, p.Error())
	}
	return fmt.Sprintf("check kernel %q: %s", e.Kernel, strings.Join(all, "; "))
}

// Unwrap returns the problems.
func (e *Error) Unwrap() []error { return e.Problems }

// Run checks the kernel. An error means that the check did not come to its
// end; a kernel that did not pass has a Result with problems.
func (c Check) Run(ctx context.Context) (*Result, error) {
	dir, remove, err := boot.TempDir(c.Settings.CacheDir)
	if err != nil {
		return nil, err
	}
	defer remove()
	r, err := c.run(ctx, dir)
	if err != nil {
		return nil, fmt.Errorf("check kernel %q: %w", c.Kernel.Name, err)
	}
	return r, nil
}

func (c Check) run(ctx context.Context, dir string) (*Result, error) {
	guest, err := c.probe(ctx, dir)
	if err != nil {
		return nil, err
	}
	r := &Result{Table: guest.table, Problems: guest.problems}
	r.Table.Parts = c.Parts
	if want := c.Kernel.Release; want != "" && r.Table.Release != want {
		r.Problems = append(r.Problems, fmt.Errorf("it came as Linux %s and calls itself %s", want, r.Table.Release))
	}
	config, err := c.compareConfig(r, guest.config)
	if err != nil {
		return nil, err
	}
	if c.Initramfs != "" {
		if err := c.bootPlain(ctx, r, dir); err != nil {
			return nil, err
		}
	}
	return r, c.require(r, config)
}

// Err is an *Error when the kernel did not pass.
func (r *Result) Err(kernel string) error {
	if len(r.Problems) == 0 {
		return nil
	}
	return &Error{Kernel: kernel, Problems: r.Problems}
}

func (c Check) require(r *Result, config kconfig.Config) error {
	version, err := kver.FromRelease(r.Table.Release)
	if err != nil {
		return err
	}
	missing, waived := evaluate(r.Table, version, config)
	r.Waived = waived
	if c.Initramfs == "" {
		missing = without(missing, powerOff)
	}
	// What has said why by itself is not said again.
	for _, p := range r.Problems {
		var said interface{ feature() string }
		if errors.As(p, &said) {
			missing = without(missing, said.feature())
		}
	}
	if len(missing) > 0 {
		r.Problems = append(r.Problems, &MissingError{Release: r.Table.Release, Missing: missing})
	}
	return nil
}

func (c Check) progress(step string) {
	if c.Progress != nil {
		c.Progress(step)
	}
}

func (c Check) booted(what string, a accel.Accel, took time.Duration) {
	if c.Booted != nil {
		c.Booted(what, a, took)
	}
}

// newLog makes the log of a machine's console.
func newLog() *console.Log { return console.NewLog(io.Discard, nil) }

// A SplatError is a fault that the kernel reported while it was checked.
type SplatError struct{ console.Splat }

func (e *SplatError) Error() string { return "the kernel reported a fault: " + e.Title }

// Excerpt is the report.
func (e *SplatError) Excerpt() []string { return e.Lines }

// readConfig reads the configuration that came with the kernel, nil without.
func (c Check) readConfig() (kconfig.Config, error) {
	if c.Kernel.Config == "" {
		return nil, nil
	}
	b, err := os.ReadFile(c.Kernel.Config)
	if err != nil {
		return nil, fmt.Errorf("read the kernel's configuration: %w", err)
	}
	return kconfig.ParseConfig(b)
}
