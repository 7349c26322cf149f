package host

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"

	"github.com/bpf-vmtest/bpf-vmtest/internal/accel"
)

// SetupOptions say what to install, and how.
type SetupOptions struct {
	// Groups to make complete; empty means [Run].
	Groups []Group
	// CacheDir as in [Options].
	CacheDir string
	// DryRun prints the commands and runs none.
	DryRun bool
	// Stdout receives each command before it runs, and its output.
	Stdout io.Writer
	// Run runs one command, its output already directed; nil means
	// (*exec.Cmd).Run.
	Run func(*exec.Cmd) error
}

// Setup installs with the system's package manager what [Doctor] misses, and
// lets a GitHub runner's user open /dev/kvm. It asks no questions. Where
// nothing is missing it says so and runs nothing. The errors of a machine that
// cannot be set up have hints.
func Setup(ctx context.Context, o SetupOptions) error {
	return newInstaller(o).setUp(ctx)
}

func (i *installer) setUp(ctx context.Context) error {
	report, err := Doctor(ctx, Options{Groups: i.Groups, CacheDir: i.CacheDir})
	if err != nil {
		return err
	}
	names, beyond := wanted(report, i.manager)
	for _, c := range beyond {
		fmt.Fprintf(i.Stdout, "# no package brings %s: %s\n", c.Name, c.Detail)
	}
	openKVM := i.kvmForbidden(ctx)
	if len(names) == 0 && !openKVM {
		if len(beyond) == 0 {
			fmt.Fprintln(i.Stdout, "nothing is missing")
		}
		return unmet(beyond)
	}
	if openKVM {
		if err := i.openKVM(ctx); err != nil {
			return err
		}
	}
	if len(names) > 0 {
		if err := i.install(ctx, names); err != nil {
			return err
		}
	}
	return i.verify(ctx, beyond)
}

// verify looks again: a package that installs need not bring what was hoped.
func (i *installer) verify(ctx context.Context, beyond []Check) error {
	if i.DryRun {
		return unmet(beyond)
	}
	report, err := Doctor(ctx, Options{Groups: i.Groups, CacheDir: i.CacheDir})
	if err != nil {
		return err
	}
	return unmet(report.Missing())
}

// wanted sorts what is not as it should be into packages to install, each
// once, and checks that no package mends. Warnings about the machine itself
// are neither. Without a package manager the names are Debian's, for the user.
func wanted(report Report, m manager) (names []string, beyond []Check) {
	if m == "" {
		m = apt
	}
	for _, c := range report.Checks {
		if c.Status == OK {
			continue
		}
		found := packages[c.supply][m]
		if len(found) == 0 && c.Status == Missing {
			beyond = append(beyond, c)
		}
		for _, name := range found {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names, beyond
}

// unmet is nil, or an error about missing checks.
func unmet(missing []Check) error {
	if len(missing) == 0 {
		return nil
	}
	return &UnmetError{Checks: missing}
}

// An UnmetError lists what setup could not provide.
type UnmetError struct{ Checks []Check }

func (e *UnmetError) Error() string {
	var parts []string
	for _, c := range e.Checks {
		parts = append(parts, c.Name+": "+c.Detail)
	}
	return "set up host: " + strings.Join(parts, "; ")
}

// Hint is the remedies of what is missing.
func (e *UnmetError) Hint() string {
	var parts []string
	for _, c := range e.Checks {
		if c.Remedy != "" && !slices.Contains(parts, c.Remedy) {
			parts = append(parts, c.Remedy)
		}
	}
	return strings.Join(parts, "; ")
}

// kvmForbidden is true only on GitHub's runners. Elsewhere who may open the
// device is the administrator's decision, and doctor says what to type.
func (i *installer) kvmForbidden(ctx context.Context) bool {
	if os.Getenv("GITHUB_ACTIONS") != "true" {
		return false
	}
	result, err := accel.Probe(ctx, accel.Options{})
	return err == nil && result.Reason == accel.Forbidden
}

// kvmRule opens the device to all users of a runner, which has one, and keeps
// it open when udev makes it anew.
const kvmRule = `KERNEL=="kvm", GROUP="kvm", MODE="0666", OPTIONS+="static_node=kvm"`

// openKVM writes the rule and does at once what it does at the next event.
func (i *installer) openKVM(ctx context.Context) error {
	for _, argv := range [][]string{
		{"sh", "-c", "echo '" + kvmRule + "' >/etc/udev/rules.d/99-kvm4all.rules"},
		{"udevadm", "control", "--reload-rules"},
		{"chmod", "0666", "/dev/kvm"},
	} {
		if _, err := i.asRoot(ctx, argv); err != nil {
			return err
		}
	}
	return nil
}
