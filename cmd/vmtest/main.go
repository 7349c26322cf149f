// Vmtest runs a repository's Go tests inside real Linux kernels.
//
// See `vmtest help`, or help.go, for the manual.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"

	"github.com/bpf-vmtest/bpf-vmtest/internal/actions"
	"github.com/bpf-vmtest/bpf-vmtest/internal/runner"
	"github.com/bpf-vmtest/bpf-vmtest/internal/timeline"
)

func main() {
	interrupts, ctx := catchInterrupts(context.Background())
	a := &app{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, interrupts: interrupts}
	if actions.Running() { // whose log reads commands, also from a terminal: act gives a step one
		a.log = actions.NewLog(a.stdout, a.stderr)
		a.stdout, a.stderr = a.log.Out, a.log.Err
	}
	code := a.main(ctx, os.Args[1:])
	if a.log != nil && a.log.Close() != nil && code == 0 {
		code = runner.ExitInfra
	}
	os.Exit(code)
}

// app is the program with its surroundings.
type app struct {
	stdin          *os.File
	stdout, stderr io.Writer
	log            *actions.Log // what both of them go through, or nil
	interrupts     *interrupts
}

// A command is one of vmtest's.
type command struct {
	name, summary string
	run           func(*app, context.Context, []string) error
}

func commands() []command {
	return []command{
		{"test", "run a module's Go tests on kernels", (*app).test},
		{"exec", "run a command on a kernel", (*app).exec},
		{"shell", "open a shell on a kernel", (*app).shell},
		{"kernel", "build, fetch and list kernels", (*app).kernel},
		{"blocklist", "check a blocklist, or suggest entries for it", (*app).blocklist},
		{"report", "show the results of the last run again", (*app).report},
		{"matrix", "print the jobs of a workflow that runs one kernel each", (*app).matrix},
		{"doctor", "say what this machine has and lacks", (*app).doctor},
		{"setup", "install what is missing", (*app).setup},
		{"action", "be a step of GitHub Actions", (*app).action},
		{"version", "print the version", (*app).version},
	}
}

// An exitError ends the program with a code and without a message: it has been
// said already.
type exitError int

func (e exitError) Error() string { return fmt.Sprintf("exit status %d", int(e)) }
func (e exitError) ExitCode() int { return int(e) }

// exit makes a command's exit code an error, if it is one.
func exit(code int, err error) error {
	if err == nil && code != 0 {
		err = exitError(code)
	}
	return err
}

// A usageError is the user's to mend.
type usageError struct{ msg, hint string }

func (e *usageError) Error() string { return e.msg }
func (e *usageError) Hint() string  { return e.hint }
func (e *usageError) ExitCode() int { return runner.ExitUsage }

func usagef(hint, format string, args ...any) error {
	return &usageError{msg: fmt.Sprintf(format, args...), hint: hint}
}

func (a *app) main(ctx context.Context, args []string) int {
	completeEnvironment()
	err := a.timed(ctx, args)
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return 0
	}
	code := runner.ExitInfra
	var coded interface{ ExitCode() int }
	if errors.As(err, &coded) && !isForeign(coded) {
		code = coded.ExitCode()
	}
	var silent exitError
	if !errors.As(err, &silent) {
		a.complain(err)
	}
	return code
}

// isForeign reports whether an exit code is that of a program we ran, such as
// the go command.
func isForeign(err any) bool {
	_, ok := err.(*exec.ExitError)
	return ok
}

// complain prints an error, and on a line of its own what to do about it.
func (a *app) complain(err error) {
	fmt.Fprintf(a.stderr, "vmtest: error: %v\n", err)
	var excerpt interface{ Excerpt() []string }
	if errors.As(err, &excerpt) {
		for _, line := range excerpt.Excerpt() {
			fmt.Fprintf(a.stderr, "    %s\n", line)
		}
	}
	var hinted interface{ Hint() string }
	if errors.As(err, &hinted) && hinted.Hint() != "" {
		fmt.Fprintf(a.stderr, "vmtest: hint: %s\n", hinted.Hint())
	}
}

// timed keeps a timeline for who wants one.
func (a *app) timed(ctx context.Context, args []string) error {
	path := os.Getenv("VMTEST_TIMELINE")
	if path == "" {
		return a.dispatch(ctx, args)
	}
	ctx, line := timeline.With(ctx)
	err := a.dispatch(ctx, args)
	if failed := line.WriteFile(path); failed != nil {
		a.complain(failed)
		err = cmp.Or(err, error(exitError(runner.ExitInfra)))
	}
	return err
}

func (a *app) dispatch(ctx context.Context, args []string) error {
	if len(args) == 0 {
		fmt.Fprint(a.stderr, usage())
		return exitError(runner.ExitUsage)
	}
	switch args[0] {
	case "help", "-h", "-help", "--help":
		return a.help(args[1:])
	}
	for _, c := range commands() {
		if c.name == args[0] {
			return c.run(a, ctx, args[1:])
		}
	}
	return usagef("`vmtest help` lists the commands", "unknown command %q", args[0])
}

// completeEnvironment gives what the go command and others cannot do without
// and an empty environment lacks.
func completeEnvironment() {
	if os.Getenv("HOME") == "" {
		os.Setenv("HOME", homeOfUser())
	}
	if os.Getenv("PATH") == "" {
		os.Setenv("PATH", "/usr/local/go/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
	}
}
