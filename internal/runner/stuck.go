package runner

import (
	"time"

	"github.com/bpf-vmtest/bpf-vmtest/internal/console"
)

// dump makes the kernel write to the console's file: blocked tasks, CPUs, all
// tasks, memory.
func (k *kernelRun) dump() { k.guest.Sysrq("wltm", k.grace()/2) }

// watchKernel tells when the kernel has said that it is stuck and the command has
// not ended in the time a busy machine gets to get over it.
func (k *kernelRun) watchKernel(pkg string, done <-chan struct{}) <-chan error {
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
			if s, ok := k.stuck(pkg); ok && time.Since(s.Time) > k.grace()/2 {
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
