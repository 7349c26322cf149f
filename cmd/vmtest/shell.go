package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"golang.org/x/term"

	"github.com/bpf-vmtest/bpf-vmtest/initramfs/toolbox"
	"github.com/bpf-vmtest/bpf-vmtest/initramfs/wire"
)

// shell opens the u-root shell, or another command that wants a terminal, with
// the mounts of exec.
func (a *app) shell(ctx context.Context, args []string) error {
	var m machineFlags
	fs := a.flagSet("shell")
	m.register(fs)
	e := execRun{machineFlags: &m, toolbox: true, argv: []string{"/bbin/gosh"}, stdin: a.stdin, terminal: a.terminal}
	fs.StringVar(&e.console, "console", "", "keep the kernel's console in this `file`")
	if err := parseFlags(fs, args); err != nil {
		return err
	}
	if fs.NArg() > 0 {
		e.argv = fs.Args()
	}
	a.stdout, a.stderr = os.Stdout, os.Stderr // every byte, also in a debugging session of GitHub Actions
	if !isTerminal(a.stdin) || !isTerminal(a.stdout) {
		return usagef("vmtest exec -stdin runs a command without a terminal", "shell: standard input and output must be a terminal")
	}
	return exit(a.execOne(ctx, e))
}

// toolbox writes the archive with u-root's commands to a file in dir.
func (a *app) toolbox(ctx context.Context, cache, dir string, arch archFlag) (string, error) {
	path := filepath.Join(dir, "toolbox.cpio")
	return path, a.writeToolbox(ctx, cache, path, string(arch), (*toolbox.Toolbox).WriteOverlay)
}

// writeToolbox builds the toolbox, on first use, and writes it in one of its
// forms.
func (a *app) writeToolbox(ctx context.Context, cache, path, arch string, form func(*toolbox.Toolbox, io.Writer) error) error {
	t, err := toolbox.Build(ctx, toolbox.Options{Arch: arch, CacheDir: cache, Progress: a.progress})
	if err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(form(t, f), f.Close())
}

// A terminal is ours while a command in a guest has it.
type terminal struct {
	name    string // TERM
	size    wire.WindowSize
	resizes <-chan wire.WindowSize
	restore func()
}

// terminal gives the guest every key, ^C too, and follows the window's size.
func (a *app) terminal() (*terminal, error) {
	fd := int(a.stdin.Fd())
	state, err := term.MakeRaw(fd)
	if err != nil {
		return nil, fmt.Errorf("prepare the terminal: %w", err)
	}
	changed := make(chan os.Signal, 1)
	signal.Notify(changed, syscall.SIGWINCH)
	resizes, done := make(chan wire.WindowSize), make(chan struct{})
	go func() {
		for {
			select {
			case <-changed:
			case <-done:
				return
			}
			select {
			case resizes <- windowSize(fd):
			case <-done:
				return
			}
		}
	}()
	return &terminal{
		name: os.Getenv("TERM"), size: windowSize(fd), resizes: resizes,
		restore: func() {
			signal.Stop(changed)
			close(done)
			_ = term.Restore(fd, state)
		},
	}, nil
}

func windowSize(fd int) wire.WindowSize {
	cols, rows, err := term.GetSize(fd)
	if err != nil {
		return wire.WindowSize{Rows: 24, Cols: 80}
	}
	return wire.WindowSize{Rows: uint16(rows), Cols: uint16(cols)}
}
