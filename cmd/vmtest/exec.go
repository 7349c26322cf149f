package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/bpf-vmtest/bpf-vmtest/initramfs/wire"
	"github.com/bpf-vmtest/bpf-vmtest/internal/boot"
	"github.com/bpf-vmtest/bpf-vmtest/internal/console"
	"github.com/bpf-vmtest/bpf-vmtest/internal/gotest"
	"github.com/bpf-vmtest/bpf-vmtest/internal/guest"
	"github.com/bpf-vmtest/bpf-vmtest/internal/host"
	"github.com/bpf-vmtest/bpf-vmtest/internal/kernel"
	"github.com/bpf-vmtest/bpf-vmtest/internal/kernelref"
	"github.com/bpf-vmtest/bpf-vmtest/internal/runner"
	"github.com/bpf-vmtest/bpf-vmtest/internal/timeline"
	"github.com/bpf-vmtest/bpf-vmtest/internal/workspace"
)

// execRun is one command on one kernel.
type execRun struct {
	*machineFlags
	ref     kernelref.Ref
	cache   string
	argv    []string
	dir     string // empty for the current one
	stdin   io.Reader
	console string // file for the console, or empty
	toolbox bool   // with u-root's commands, also where the host's are there
	timeout time.Duration
	quiet   bool
	// terminal gives the command ours; it is called when the guest is ready.
	terminal func() (*terminal, error)
}

func (a *app) exec(ctx context.Context, args []string) error {
	var m machineFlags
	fs := a.flagSet("exec")
	m.register(fs)
	e := execRun{machineFlags: &m}
	stdin := fs.Bool("stdin", false, "forward standard input; it is empty otherwise")
	fs.StringVar(&e.dir, "dir", "", "working `directory` in the guest (default the current one)")
	fs.StringVar(&e.console, "console", "", "keep the kernel's console in this `file`")
	fs.DurationVar(&e.timeout, "timeout", 0, "give the command this `time`, then kill it and exit with 3")
	fs.BoolVar(&e.quiet, "q", false, "say nothing but what the command says")
	if err := parseFlags(fs, args); err != nil {
		return err
	}
	if e.argv = fs.Args(); len(e.argv) == 0 {
		return usagef("vmtest exec -kernel debian:6.12 -- uname -r", "exec: no command given")
	}
	if *stdin {
		e.stdin = a.stdin
	}
	if info, err := os.Stdout.Stat(); err == nil && info.Mode().IsRegular() && a.log != nil {
		a.stdout = os.Stdout // a file gets what the command wrote, whatever a log would make of it
	}
	return exit(a.execOne(ctx, e))
}

// execOne completes a run with what its flags leave open.
func (a *app) execOne(ctx context.Context, e execRun) (int, error) {
	var err error
	if e.cache, err = cacheDir(); err != nil {
		return 0, err
	}
	if err := e.finish(a, e.cache); err != nil {
		return 0, err
	}
	refs, err := e.kernels()
	if err != nil {
		return 0, err
	}
	if len(refs) != 1 {
		return 0, usagef("vmtest test -cmd 'COMMAND' runs one on several", "-kernel %s: want one kernel", e.kernel)
	}
	e.ref = refs[0]
	return a.execOn(ctx, e)
}

// execOn boots the kernel, runs the command and returns its exit code, 128 and
// the signal's number when a signal ended it.
func (a *app) execOn(ctx context.Context, e execRun) (code int, err error) {
	if _, err := host.FindQEMU(string(e.arch), e.settings.QEMU); err != nil { // before a kernel is fetched for it
		return 0, err
	}
	end := timeline.Begin(ctx, timeline.Vmtest, "go env")
	space, err := e.workspace(ctx)
	end()
	if err != nil {
		return 0, err
	}
	kernels, err := a.store(e.cache, e.arch, e.verify)
	if err != nil {
		return 0, err
	}
	if e.silent() {
		kernels.Notice, e.settings.Warn = nil, nil
	}
	end = timeline.Begin(ctx, timeline.Vmtest, "look the kernel up")
	k, err := kernels.Resolve(ctx, e.ref)
	end()
	if err != nil {
		return 0, err
	}
	work, remove, err := boot.TempDir(e.cache)
	if err != nil {
		return 0, err
	}
	defer func() {
		defer timeline.Begin(ctx, timeline.Vmtest, "remove temporary files")()
		remove()
	}()
	base := ""
	if e.toolbox || e.needsToolbox() {
		if base, err = a.toolbox(ctx, e.cache, work, e.arch); err != nil {
			return 0, err
		}
	}
	log, closeLog, err := openConsole(e.console)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, closeLog()) }()

	m := boot.Machine{Settings: e.settings, Kernel: k, Layout: space.Layout(), Base: base, Dir: work, Log: log}
	g, err := m.Boot(ctx)
	if err != nil {
		return 0, err
	}
	defer func() {
		defer timeline.Begin(ctx, timeline.QEMU, "QEMU ends")()
		g.Close()
	}()
	if !e.silent() {
		a.bootNote(k, g)
	}
	exited, err := a.runCommand(ctx, g, e, space.Environ(k.Name, g.Hello.Release))
	if err != nil {
		return 0, err
	}
	if err := e.fetchProfiles(ctx, g); err != nil {
		return 0, err
	}
	if err := g.Shutdown(ctx); err != nil {
		return 0, err
	}
	return a.exitCode(e.argv[0], exited), nil
}

func (a *app) bootNote(k *kernel.Kernel, g *boot.Running) {
	warm := ""
	if g.Warm {
		warm = ", warm"
	}
	fmt.Fprintf(a.stderr, "vmtest: %s: Linux %s, %s, ready in %.1fs%s\n", k.Name, g.Hello.Release, g.Accel, g.Took.Seconds(), warm)
	if g.Note != "" {
		fmt.Fprintf(a.stderr, "vmtest: %s\n", g.Note)
	}
	for _, w := range g.Skipped {
		fmt.Fprintf(a.stderr, "vmtest: the guest goes without: %s\n", w)
	}
}

func openConsole(file string) (*console.Log, func() error, error) {
	if file == "" {
		return console.NewLog(io.Discard, nil), func() error { return nil }, nil
	}
	f, err := os.Create(file)
	if err != nil {
		return nil, nil, fmt.Errorf("keep the console: %w", err)
	}
	return console.NewLog(f, nil), f.Close, nil
}

// workspace is what vmtest test would give a package in the command's directory.
func (e *execRun) workspace(ctx context.Context) (workspace.Workspace, error) {
	if e.dir == "" {
		cwd, err := os.Getwd()
		if err != nil {
			return workspace.Workspace{}, err
		}
		e.dir = cwd
	}
	mounts, err := e.shares()
	if err != nil {
		return workspace.Workspace{}, err
	}
	// Without a Go toolchain there is nothing of Go's to share.
	env, err := gotest.Go{Dir: e.dir, Env: os.Environ()}.Environment(ctx)
	var missing *gotest.ToolchainError
	if err != nil && !errors.As(err, &missing) {
		return workspace.Workspace{}, err
	}
	return workspace.Workspace{
		Go: env, Arch: string(e.arch), Dirs: e.dirs(), Mounts: mounts, Hermetic: e.hermetic, Env: e.environment(),
	}, nil
}

// dirs are the directories the command needs: the repository it runs in, and
// the one of its program, which `go test -exec` puts into a temporary one.
func (e *execRun) dirs() []string {
	dirs := []string{e.dir}
	if program := e.argv[0]; filepath.IsAbs(program) {
		if info, err := os.Stat(program); err == nil && info.Mode().IsRegular() && !e.isShared(filepath.Dir(program)) {
			dirs = append(dirs, filepath.Dir(program))
		}
	}
	return dirs
}

// isShared reports whether a directory is of the host's /usr, which is there by
// itself: a share for /bin would be one too many.
func (e *execRun) isShared(dir string) bool {
	real, err := filepath.EvalSymlinks(dir)
	return err == nil && !e.hermetic && !e.arch.foreign() && strings.HasPrefix(real+"/", "/usr/")
}

func (a *app) runCommand(ctx context.Context, g *boot.Running, e execRun, env []string) (wire.ExitedMsg, error) {
	c := guest.Command{
		Args: e.argv, Env: env, Dir: e.dir, Stdin: e.stdin, Stdout: a.stdout, Stderr: a.stderr,
	}
	if e.terminal != nil {
		t, err := e.terminal()
		if err != nil {
			return wire.ExitedMsg{}, err
		}
		defer t.restore()
		c.TTY, c.Resizes = &t.size, t.resizes
		c.Env = append(c.Env, "TERM="+cmp.Or(t.name, "linux"))
	}
	signals, stop := a.interrupts.forward()
	defer stop()
	c.Signals = signals
	if e.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, e.timeout, fmt.Errorf("%s: timed out after %v", e.argv[0], e.timeout))
		defer cancel()
	}
	return g.Run(ctx, c)
}

// exitCode is the shell's convention for how a command ended. It explains what
// the command could not.
func (a *app) exitCode(name string, e wire.ExitedMsg) int {
	switch {
	case e.Error != "" && e.NotFound:
		fmt.Fprintf(a.stderr, "vmtest: error: %s\n", e.Error)
		return 127
	case e.Error != "":
		fmt.Fprintf(a.stderr, "vmtest: error: %s\n", e.Error)
		return 126
	case e.Signal != 0 && e.OOMKilled:
		fmt.Fprintf(a.stderr, "vmtest: %s was killed by the guest's OOM killer\nvmtest: hint: -memory gives the guest more\n", filepath.Base(name))
		return 128 + e.Signal
	case e.Signal != 0:
		fmt.Fprintf(a.stderr, "vmtest: %s was killed by %s\n", filepath.Base(name), runner.SignalName(syscall.Signal(e.Signal)))
		return 128 + e.Signal
	}
	return e.Code
}

// silent reports whether nothing but what the command says is wanted: go test
// -exec takes standard error for the test's.
func (e *execRun) silent() bool { return e.quiet || e.isTestBinary() }

// isTestBinary reports whether go test -exec has called us.
func (e *execRun) isTestBinary() bool { return strings.HasSuffix(e.argv[0], ".test") }

// fetchProfiles brings back the coverage that a test binary was told to write
// to a file, so that `go test -coverprofile -exec 'vmtest exec --'` works.
func (e *execRun) fetchProfiles(ctx context.Context, g *boot.Running) error {
	if !e.isTestBinary() {
		return nil
	}
	for _, name := range []string{"-test.coverprofile=", "-test.gocoverdir="} {
		i := slices.IndexFunc(e.argv, func(s string) bool { return strings.HasPrefix(s, name) })
		if i < 0 {
			continue
		}
		path := strings.TrimPrefix(e.argv[i], name)
		if !filepath.IsAbs(path) {
			path = filepath.Join(e.dir, path)
		}
		if err := g.Fetch(ctx, path, filepath.Dir(path)); err != nil && !strings.Contains(err.Error(), "no such file") {
			return err
		}
	}
	return nil
}
