package cache

import (
	"context"
	"fmt"
	"time"

	"github.com/rogpeppe/go-internal/lockedfile"
)

// Lock keeps other processes from filling an entry at the same time: it takes
// the lock file at path, which the returned function gives back. Waiting is
// called when that takes a noticeable time.
func Lock(ctx context.Context, path string, waiting func()) (unlock func(), err error) {
	type taken struct {
		unlock func()
		err    error
	}
	done := make(chan taken, 1)
	go func() {
		unlock, err := lockedfile.MutexAt(path).Lock()
		done <- taken{unlock, err}
	}()
	noticeable := time.NewTimer(time.Second)
	defer noticeable.Stop()
	for {
		select {
		case t := <-done:
			if t.err != nil {
				return nil, fmt.Errorf("lock %q: %w", path, t.err)
			}
			return t.unlock, nil
		case <-noticeable.C:
			waiting()
		case <-ctx.Done():
			go func() { // lockedfile cannot be interrupted
				if t := <-done; t.err == nil {
					t.unlock()
				}
			}()
			return nil, fmt.Errorf("lock %q: %w", path, ctx.Err())
		}
	}
}
