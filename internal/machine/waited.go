package machine

import (
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// Waited is how long QEMU has been ready to run and had no processor to run on:
// of its threads, the one that waited longest. It is 0 where the host's kernel
// does not count that, and before the start.
func (m *Machine) Waited() time.Duration {
	if m.cmd == nil {
		return 0
	}
	return waited(m.cmd.Process.Pid)
}

// waited asks the scheduler's statistics, whose second number is the time on a
// run queue in ns (Documentation/scheduler/sched-stats.rst). A cgroup's quota
// and the host's other work count, and what its own hypervisor takes does not.
func waited(pid int) (longest time.Duration) {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			continue // the thread has ended
		}
		var ran, wait int64
		if _, err := fmt.Sscan(string(b), &ran, &wait); err == nil {
			longest = max(longest, time.Duration(wait))
		}
	}
	return longest
}
