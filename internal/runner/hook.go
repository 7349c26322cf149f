package runner

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/bpf-vmtest/bpf-vmtest/initramfs/wire"
	"github.com/bpf-vmtest/bpf-vmtest/internal/guest"
	"github.com/bpf-vmtest/bpf-vmtest/internal/result"
)

// shell is a command line that is run in a guest, where vmtest was run, with the
// environment of a test.
func (k *kernelRun) shell(line string) guest.Command {
	return guest.Command{
		Args:        []string{"sh", "-c", line},
		Env:         append(slices.Clone(k.env), "PWD="+k.Go.Dir),
		Dir:         k.Go.Dir,
		MergeStderr: true,
	}
}

// hook runs a command before the first package, or after the last one, as the
// action says. It gets the time of a package. An error is a *HookError, or means
// that the kernel is lost.
func (k *kernelRun) hook(ctx context.Context, action result.Action, line string) error {
	if line == "" {
		return nil
	}
	var last []string
	out := &lines{each: func(s string) {
		last = append(last, s)
		last = last[max(0, len(last)-excerptLines):]
		k.emit(result.Event{Action: action, Output: s})
	}}
	c := k.shell(line)
	c.Stdout = out
	exited, timedOut, err := k.exec(ctx, "", c)
	out.close()
	if err != nil {
		return err
	}
	if why := commandReason(exited, k.Flags.Timeout, timedOut); why != "" {
		e := &HookError{Action: action, Line: line, Reason: why, missing: exited.NotFound}
		for _, s := range last {
			e.lines = append(e.lines, strings.TrimSuffix(s, "\n"))
		}
		return e
	}
	return nil
}

// excerptLines is how much of what a hook printed is told with its failure.
const excerptLines = 20

// A HookError says that a command around the tests failed.
type HookError struct {
	Action  result.Action // setup or teardown
	Line    string        // the command
	Reason  string
	lines   []string
	missing bool // the shell is
}

func (e *HookError) Error() string { return fmt.Sprintf("%s %q: %s", e.Action, e.Line, e.Reason) }

// Excerpt is the end of what the command printed.
func (e *HookError) Excerpt() []string { return e.lines }

// Hint says what to do where that is known.
func (e *HookError) Hint() string {
	if e.missing {
		return "sh runs it, which -hermetic leaves out"
	}
	return ""
}

// commandReason is why a command did not succeed, or empty.
func commandReason(e wire.ExitedMsg, limit time.Duration, timedOut bool) string {
	reason := endReason(e, limit, timedOut)
	if reason == "" && e.Code != 0 {
		reason = fmt.Sprintf("exit status %d", e.Code)
	}
	return reason
}

// exec runs a command, of a package unless that is empty, until it ends, its
// time, -timeout's, is over, the kernel is stuck, or the run ends.
func (k *kernelRun) exec(ctx context.Context, pkg string, c guest.Command) (exited wire.ExitedMsg, timedOut bool, err error) {
	signals := make(chan syscall.Signal, 1)
	c.Signals = signals
	var deadline <-chan time.Time
	if limit := k.Flags.Timeout; limit > 0 {
		timer := time.NewTimer(limit + k.grace())
		defer timer.Stop()
		deadline = timer.C
	}
	ctx, cancel := k.patience(ctx)
	defer cancel(nil)
	done := make(chan struct{})
	defer close(done)
	killed := make(chan struct{})
	go func() {
		select {
		case <-done:
			return
		case <-deadline:
			close(killed)
		case err := <-k.watchKernel(pkg, done):
			k.dump()
			cancel(err)
			return
		}
		k.dump()
		signals <- syscall.SIGKILL
		select {
		case <-done:
		case <-time.After(k.grace()):
			cancel(&timeoutError{k.Flags.Timeout})
		}
	}()
	exited, err = k.guest.Run(ctx, c)
	select {
	case <-killed:
		timedOut = true
	default:
	}
	return exited, timedOut, err
}

// lines hands on what is written to it line by line.
type lines struct {
	each func(string)
	rest []byte
}

// lineLimit bounds a line kept in memory; longer ones are handed on in parts.
const lineLimit = 64 << 10

func (l *lines) Write(b []byte) (int, error) {
	l.rest = append(l.rest, b...)
	for {
		i := bytes.IndexByte(l.rest, '\n')
		if i < 0 && len(l.rest) < lineLimit {
			return len(b), nil
		}
		if i < 0 {
			i = len(l.rest) - 1
		}
		l.hand(l.rest[:i+1])
		l.rest = append(l.rest[:0:0], l.rest[i+1:]...)
	}
}

func (l *lines) hand(line []byte) { l.each(strings.ToValidUTF8(string(line), "\uFFFD")) }

// close hands on what has no end.
func (l *lines) close() {
	if len(l.rest) > 0 {
		l.hand(append(l.rest, '\n'))
	}
}
