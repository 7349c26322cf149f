package runner

import (
	"bytes"
	"context"
	"strings"
	"syscall"
	"time"

	"github.com/bpf-vmtest/bpf-vmtest/initramfs/wire"
	"github.com/bpf-vmtest/bpf-vmtest/internal/guest"
)

// exec runs a command, of a package unless that is empty, until it ends, its
// time, -timeout's, is over, the kernel is stuck, or the run ends.
func (m *machineRun) exec(ctx context.Context, pkg string, c guest.Command) (exited wire.ExitedMsg, timedOut bool, err error) {
	signals := make(chan syscall.Signal, 1)
	c.Signals = signals
	ctx, cancel := m.untilDumped(ctx)
	defer cancel(nil)
	done := make(chan struct{})
	defer close(done)
	deadline := m.overdue(done)
	killed := make(chan struct{})
	go func() {
		select {
		case <-done:
			return
		case <-deadline:
			close(killed)
		case err := <-m.watchKernel(pkg, done):
			m.dump()
			cancel(err)
			return
		}
		m.dump()
		signals <- syscall.SIGKILL
		if m.guest.Patience(m.grace()).Wait(done) {
			cancel(&timeoutError{m.Flags.Timeout})
		}
	}()
	exited, err = m.guest.Run(ctx, c)
	select {
	case <-killed:
		timedOut = true
	default:
	}
	return exited, timedOut, err
}

// overdue is closed when a binary has not told by itself that its time was over.
func (m *machineRun) overdue(done <-chan struct{}) <-chan struct{} {
	over := make(chan struct{})
	if m.Flags.Timeout <= 0 {
		return over
	}
	go func() {
		select {
		case <-done:
		case <-time.After(m.Flags.Timeout):
			if m.guest.Patience(m.grace()).Wait(done) {
				close(over)
			}
		}
	}()
	return over
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
