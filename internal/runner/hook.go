package runner

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/bpf-vmtest/bpf-vmtest/initramfs/wire"
	"github.com/bpf-vmtest/bpf-vmtest/internal/guest"
	"github.com/bpf-vmtest/bpf-vmtest/internal/result"
)

// shell is a command line that is run in a guest, where vmtest was run, with the
// environment of a test.
func (m *machineRun) shell(line string) guest.Command {
	return guest.Command{
		Args:        []string{"sh", "-c", line},
		Env:         append(slices.Clone(m.env), "PWD="+m.Go.Dir),
		Dir:         m.Go.Dir,
		MergeStderr: true,
	}
}

// hook runs a command before the first package, or after the last one, as the
// action says. It gets the time of a package. An error is a *HookError, or means
// that the kernel is lost.
func (m *machineRun) hook(ctx context.Context, action result.Action, line string) error {
	if line == "" {
		return nil
	}
	var last []string
	var printed int64
	out := &lines{each: func(s string) {
		if printed += eventCost + int64(len(s)); printed > m.OutputLimit {
			return
		}
		last = append(last, s)
		last = last[max(0, len(last)-excerptLines):]
		m.emit(result.Event{Action: action, Output: s})
	}}
	c := m.shell(line)
	c.Stdout = out
	exited, timedOut, err := m.exec(ctx, "", c)
	out.close()
	if err != nil {
		return err
	}
	why := commandReason(exited, m.Flags.Timeout, timedOut)
	if printed > m.OutputLimit {
		why = m.flood()
	}
	if why != "" {
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
