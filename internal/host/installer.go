package host

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"time"
)

// An installer runs the system's package manager as root.
type installer struct {
	SetupOptions
	manager manager
	sudo    []string // before each command; empty for root
	sudoErr error    // root is needed and cannot be had
	backOff time.Duration
}

func newInstaller(o SetupOptions) *installer {
	i := &installer{SetupOptions: o, manager: systemManager(), backOff: 10 * time.Second}
	if i.Run == nil {
		i.Run = (*exec.Cmd).Run
	}
	if len(i.Groups) == 0 {
		i.Groups = []Group{Run}
	}
	if os.Geteuid() != 0 {
		i.sudo = []string{"sudo"}
		_, i.sudoErr = exec.LookPath("sudo")
	}
	return i
}

// install brings the packages, refreshing the package manager's lists only
// when they lack one or name a file that is no longer there. What this release
// of a distribution does not have is left out: whether it is needed is found
// out by looking again.
func (i *installer) install(ctx context.Context, names []string) error {
	if i.manager == "" {
		return &noManagerError{packages: names}
	}
	refreshed := false
	if i.listsLack(ctx, names) {
		if err := i.refresh(ctx); err != nil {
			return err
		}
		refreshed = true
	}
	argv := append(slices.Clone(installCommand[i.manager]), names...)
	out, err := i.asRoot(ctx, argv)
	if err == nil || i.sudoErr != nil || ctx.Err() != nil {
		return err
	}
	known, unknown := offered(names, out)
	switch {
	case lockBusy.MatchString(out):
		if err := i.wait(ctx); err != nil {
			return err
		}
	case refreshed && len(unknown) > 0:
		fmt.Fprintf(i.Stdout, "# %s has no %s\n", i.manager, strings.Join(unknown, ", "))
		if len(known) == 0 {
			return nil
		}
		argv = append(slices.Clone(installCommand[i.manager]), known...)
	case !refreshed && refreshCommand[i.manager] != nil:
		// Old lists name versions that the mirror has dropped.
		if err := i.refresh(ctx); err != nil {
			return err
		}
	default:
		return err
	}
	_, err = i.asRoot(ctx, argv)
	return err
}

// unlocated is what apt-get says of packages that its lists lack, of each, and
// before it installs any.
var unlocated = regexp.MustCompile(`(?m)^(?:E|Error): (?:Unable to locate package (\S+)|Package '(\S+)' has no installation candidate)$`)

// offered sorts packages by whether apt-get, which printed out, knows them.
func offered(names []string, out string) (known, unknown []string) {
	for _, found := range unlocated.FindAllStringSubmatch(out, -1) {
		unknown = append(unknown, found[1]+found[2])
	}
	known = slices.DeleteFunc(slices.Clone(names), func(name string) bool { return slices.Contains(unknown, name) })
	return known, unknown
}

func (i *installer) refresh(ctx context.Context) error {
	argv := refreshCommand[i.manager]
	out, err := i.asRoot(ctx, argv)
	if err == nil || !lockBusy.MatchString(out) {
		return err
	}
	if err := i.wait(ctx); err != nil {
		return err
	}
	_, err = i.asRoot(ctx, argv)
	return err
}

// lockBusy is what apt-get and dpkg say when another one is at work.
var lockBusy = regexp.MustCompile(`(?i)could not get lock|unable to acquire the dpkg|unable to lock`)

func (i *installer) wait(ctx context.Context) error {
	fmt.Fprintf(i.Stdout, "# another package manager is at work: trying once more in %v\n", i.backOff)
	select {
	case <-time.After(i.backOff):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// candidate is what apt-cache policy says of a package that can be installed.
// Of one it does not know it says nothing.
var candidate = regexp.MustCompile(`(?m)^  Candidate: [^(\s]`)

// listsLack reports whether apt's lists know too few of the packages; other
// package managers see to their lists by themselves or in refreshing on
// failure.
func (i *installer) listsLack(ctx context.Context, names []string) bool {
	if i.manager != apt {
		return false
	}
	var out bytes.Buffer
	cmd := command(ctx, "apt-cache", append([]string{"policy"}, names...)...)
	cmd.Stdout = &out
	return i.Run(cmd) != nil || len(candidate.FindAllString(out.String(), -1)) < len(names)
}

// asRoot prints a command, runs it unless dry, and returns what it printed.
func (i *installer) asRoot(ctx context.Context, argv []string) (string, error) {
	argv = append(slices.Clone(i.sudo), argv...)
	fmt.Fprintln(i.Stdout, commandLine(argv))
	if i.DryRun {
		return "", nil
	}
	if i.sudoErr != nil {
		return "", &needRootError{argv: argv[len(i.sudo):]}
	}
	var out bytes.Buffer
	cmd := command(ctx, argv[0], argv[1:]...)
	cmd.Stdout = io.MultiWriter(i.Stdout, &out)
	cmd.Stderr = cmd.Stdout
	if err := i.Run(cmd); err != nil {
		return out.String(), fmt.Errorf("run %q: %w", commandLine(argv), err)
	}
	return out.String(), nil
}

// commandLine writes a command as one would type it into a shell.
func commandLine(argv []string) string {
	quoted := make([]string, len(argv))
	for i, arg := range argv {
		quoted[i] = arg
		if !plain.MatchString(arg) {
			quoted[i] = "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
		}
	}
	return strings.Join(quoted, " ")
}

var plain = regexp.MustCompile(`^[\w@%+=:,./-]+$`)

type noManagerError struct{ packages []string }

func (e *noManagerError) Error() string {
	return "set up host: no package manager that is known here"
}

func (e *noManagerError) Hint() string {
	return "install yourself what these are called on Debian: " + strings.Join(e.packages, " ")
}

type needRootError struct{ argv []string }

func (e *needRootError) Error() string {
	return "set up host: this user is not root, and there is no sudo"
}

func (e *needRootError) Hint() string { return "as root: " + commandLine(e.argv) }
