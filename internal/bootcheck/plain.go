package bootcheck

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/bpf-vmtest/bpf-vmtest/internal/boot"
	"github.com/bpf-vmtest/bpf-vmtest/internal/console"
	"github.com/bpf-vmtest/bpf-vmtest/internal/features"
)

const powerHint = "it takes CONFIG_ACPI on amd64 and CONFIG_ARM_PSCI_FW on arm64, and drivers that let go"

// A PowerOffError says that a kernel cannot power off.
type PowerOffError struct {
	Release string
	Cause   string
	Console []string // its end
}

func (e *PowerOffError) Error() string {
	return fmt.Sprintf("power off Linux %s: %s", e.Release, e.Cause)
}

// Hint says what a kernel needs for it.
func (e *PowerOffError) Hint() string { return powerHint }

// Excerpt is the end of the console.
func (e *PowerOffError) Excerpt() []string { return e.Console }

func (e *PowerOffError) feature() string { return powerOff }

// A PromptError says that a kernel did not get to a shell by itself.
type PromptError struct {
	Release string
	Cause   string
	Console []string
}

func (e *PromptError) Error() string {
	return fmt.Sprintf("boot Linux %s with plain QEMU into the shell of its initramfs: %s", e.Release, e.Cause)
}

// Excerpt is the end of the console.
func (e *PromptError) Excerpt() []string { return e.Console }

func (e *PromptError) feature() string { return powerOff }

// What a serial console shows: u-root's shell asks for a command at the start
// of a line; a kernel introduces itself, and says when it cannot power off.
var (
	prompt = []byte("\n$ ")
	banner = []byte("Linux version ")
	halted = []byte("System halted")
)

// bootPlain boots the kernel with the initramfs that came with it, in a machine
// that has nothing of ours, waits for the shell and types what powers off.
func (c Check) bootPlain(ctx context.Context, r *Result, dir string) error {
	c.progress("boot it with nothing of ours, and power off")
	start := time.Now()
	s := &screen{}
	log := newLog()
	m, err := boot.Machine{Settings: c.Settings, Kernel: c.Kernel, Dir: dir, Log: log}.BootPlain(ctx, c.Initramfs, s)
	if err != nil {
		return err
	}
	defer m.Close()
	f := features.Feature{Name: powerOff}
	p := &plain{Plain: m, screen: s, log: log, release: r.Table.Release, end: c.endTimeout(m.Accel)}
	problem, err := p.run(ctx, func() { c.booted("at its prompt", m.Accel, time.Since(start)) })
	switch {
	case err != nil:
		return err
	case problem != nil:
		f.State, f.Detail = features.Unsupported, problem.Error()
		r.Problems = append(r.Problems, problem)
	default:
		f.State = features.Supported
		for _, splat := range log.Splats() {
			r.Problems = append(r.Problems, &SplatError{splat})
		}
	}
	r.Table.Add(features.Kernel, f)
	return nil
}

// plain is a plain machine and what is waited for.
type plain struct {
	*boot.Plain
	screen  *screen
	log     *console.Log
	release string
	end     time.Duration // how long powering off may take
}

// run returns what is wrong with the kernel, or an error that says nothing
// about it.
func (p *plain) run(ctx context.Context, ready func()) (problem, err error) {
	cause, err := p.await(ctx, p.BootTimeout, func() bool { return p.screen.count(prompt) > 0 })
	if cause != "" || err != nil {
		return &PromptError{p.release, cause, p.log.Tail()}, err
	}
	ready()
	boots := p.screen.count(banner)
	if err := p.Type("poweroff\r"); err != nil {
		return nil, fmt.Errorf("type on the console: %w", err)
	}
	cause, err = p.await(ctx, p.end, func() bool { return p.screen.count(banner) > boots || p.screen.count(halted) > 0 })
	switch {
	case err != nil:
		return nil, err
	case cause == "" && p.screen.count(halted) > 0:
		cause = "it halted instead"
	case cause == "":
		cause = "it started again instead"
	case cause == ended:
		return nil, nil
	case cause == late(p.end):
		cause = fmt.Sprintf("the machine is still there %v after poweroff", p.end)
	}
	return &PowerOffError{p.release, cause, p.log.Tail()}, nil
}

// ended is the cause of waiting in vain for a machine that is no more.
const ended = "the machine ended"

func late(limit time.Duration) string { return fmt.Sprintf("nothing for %v", limit) }

// await waits until the screen shows it. The cause is why that will not
// happen any more; err is not the kernel's fault.
func (p *plain) await(ctx context.Context, limit time.Duration, shows func() bool) (cause string, err error) {
	patience := p.Patience(limit)
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for {
		changed := p.screen.next()
		if shows() {
			return "", nil
		}
		if report, ok := p.log.Panic(); ok {
			return report.Title, nil
		}
		select {
		case <-changed:
		case <-p.Done():
			if ctx.Err() != nil { // which killed it
				return "", context.Cause(ctx)
			}
			return ended, p.Wait()
		case <-timer.C:
			left := patience.Left()
			if left <= 0 {
				return late(limit), nil
			}
			timer.Reset(left)
		case <-ctx.Done():
			return "", context.Cause(ctx)
		}
	}
}

// A screen keeps what a console shows and tells when there is more.
type screen struct {
	mu      sync.Mutex
	text    []byte
	changed chan struct{}
}

func (s *screen) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text = append(s.text, b...)
	if s.changed != nil {
		close(s.changed)
		s.changed = nil
	}
	return len(b), nil
}

// next is closed when more has been written.
func (s *screen) next() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.changed == nil {
		s.changed = make(chan struct{})
	}
	return s.changed
}

func (s *screen) count(text []byte) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Count(s.text, text)
}
