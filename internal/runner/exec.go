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
	var deadline <-chan time.Time
	if limit := m.Flags.Timeout; limit > 0 {
		timer := time.NewTimer(limit + m.grace())
		defer timer.Stop()
		deadline = timer.C
	}
	ctx, cancel := m.patience(ctx)
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
		case err := <-m.watchKernel(pkg, done):
			m.dump()
			cancel(err)
			return
		}
		m.dump()
		signals <- syscall.SIGKILL
		select {
		case <-done:
		case <-time.After(m.grace()):
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
