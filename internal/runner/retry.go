package runner

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/bpf-vmtest/bpf-vmtest/internal/result"
)

// retried is what the kernel's next machine is to run: what failed in this one
// and may be tried again, and what had not begun when this one was lost. It is
// nothing when no attempt is left, or the kernel did not get as far as that.
func (m *machineRun) retried(ctx context.Context) []task {
	if m.attempt > m.Retry || ctx.Err() != nil || !m.ready {
		return nil
	}
	var tasks []task
	for _, t := range m.tasks {
		if again, begun := m.ended[t.ImportPath]; !begun {
			tasks = append(tasks, t)
		} else if again != nil {
			tasks = append(tasks, *again)
		}
	}
	return tasks
}

// again is which attempt this is, for people.
func (m *machineRun) again() string {
	if m.attempt == 1 {
		return ""
	}
	return fmt.Sprintf(" again, attempt %d of %d", m.attempt, m.Retry+1)
}

// retry says what of a package that has ended is to run again. A package that
// failed as a whole is, as a whole; one with a data race is not, for that is no
// less one because it does not show the next time.
func (pr *packageRun) retry(a result.Action, reason string) *task {
	if a != result.Fail || pr.raced || pr.flooded {
		return nil
	}
	t := pr.task
	t.again = true
	failed := pr.unexcused()
	if pr.conv != nil { // not a command's
		failed = append(failed, pr.conv.Running()...)
	}
	for i, test := range failed {
		failed[i], _, _ = strings.Cut(test, "/")
	}
	slices.Sort(failed)
	failed = slices.Compact(failed)
	if reason == "" && len(failed) > 0 {
		t.only = failed
	}
	t.failed = slices.Concat(t.failed, failed)
	return &t
}

// unexcused are the tests that failed and that no entry of the blocklist excuses.
func (pr *packageRun) unexcused() []string {
	excused := pr.blocklist().Excused(pr.pkg.ImportPath, pr.failed)
	return slices.DeleteFunc(slices.Clone(pr.failed), func(test string) bool {
		_, ok := excused[test]
		return ok
	})
}

// dodged names a test that skipped itself after it had failed, which is no
// success.
func (pr *packageRun) dodged() string {
	i := slices.IndexFunc(pr.task.failed, func(test string) bool { return pr.skipped[test] })
	if i < 0 {
		return ""
	}
	return pr.task.failed[i] + " failed, and skipped itself when it ran again"
}
