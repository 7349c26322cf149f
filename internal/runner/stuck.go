package runner

import (
	"time"

	"github.com/bpf-vmtest/bpf-vmtest/internal/console"
)

// dump makes the kernel write to the console's file: blocked tasks, CPUs, all
// tasks, memory.
func (m *machineRun) dump() {
	from, limit := time.Now(), m.slowed(m.grace()/2)
	m.dumping(from, from.Add(2*limit))
	m.guest.Sysrq("wltm", limit)
	m.dumping(from, time.Now().Add(limit))
}

func (m *machineRun) dumping(from, to time.Time) {
	m.splatsMu.Lock()
	defer m.splatsMu.Unlock()
	m.dumped.from, m.dumped.to = from, to
}

// causedByDump reports whether a fault is our own doing: while one CPU writes all
// tasks to a serial line, others wait for longer than the kernel finds right. The
// caller holds splatsMu.
func (m *machineRun) causedByDump(s console.Splat) bool {
	return s.Stuck && s.Time.After(m.dumped.from) && s.Time.Before(m.dumped.to)
}

// watchKernel tells when the kernel has said that it is stuck and the command has
// not ended in the time a busy machine gets to get over it.
func (m *machineRun) watchKernel(pkg string, done <-chan struct{}) <-chan error {
	stuck := make(chan error, 1)
	go func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
			}
			if s, ok := m.stuck(pkg); ok && time.Since(s.Time) > m.slowed(m.grace()/2) {
				stuck <- &stuckError{s}
				return
			}
		}
	}()
	return stuck
}

// A stuckError says that the kernel has reported that a part of it does not go
// on, and that it has not got over it.
type stuckError struct{ splat console.Splat }

func (e *stuckError) Error() string { return "the kernel is stuck: " + e.splat.Title }
