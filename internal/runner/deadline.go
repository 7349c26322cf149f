package runner

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// A DeadlineError is the cause of a context in which a run has taken too long.
type DeadlineError struct{ Limit time.Duration }

func (e *DeadlineError) Error() string {
	return fmt.Sprintf("the whole run timed out after %v (-deadline)", e.Limit)
}

// WithDeadline bounds a run from now on; 0 is no bound. Its end is that of an
// interrupt, with one difference: the kernels write their tasks to the console,
// and are asked for files, before they are killed, which takes some time more.
func WithDeadline(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	if limit == 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeoutCause(ctx, limit, &DeadlineError{limit})
}

// lifetime is the context of the machine, which outlives the run's
// deadline once it is up: there is something to ask it for. Its user ends it.
func (m *machineRun) lifetime(ctx context.Context) (life context.Context, stop func()) {
	life, end := context.WithCancelCause(context.WithoutCancel(ctx))
	unlink := context.AfterFunc(ctx, func() {
		if err := context.Cause(ctx); !m.up.Load() || !pastDeadline(err) {
			end(err)
		}
	})
	return life, func() { unlink(); end(nil) }
}

// untilDumped is the context of a command in the guest. At the run's deadline it
// ends when the kernel has written its tasks.
func (m *machineRun) untilDumped(ctx context.Context) (context.Context, context.CancelCauseFunc) {
	patient, end := context.WithCancelCause(context.WithoutCancel(ctx))
	unlink := context.AfterFunc(ctx, func() {
		err := context.Cause(ctx)
		if pastDeadline(err) {
			m.dumpOnce.Do(m.dump)
		}
		end(err)
	})
	return patient, func(err error) { unlink(); end(err) }
}

// pastDeadline reports whether an error is a deadline's, and not an impatient
// user's.
func pastDeadline(err error) bool {
	var late *DeadlineError
	return errors.As(err, &late)
}
