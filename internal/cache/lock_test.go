package cache

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"
)

// Whoever waits is told so, and can be interrupted.
func TestLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "entry.lock")
	unlock, err := Lock(t.Context(), path, func() { t.Error("waited for nobody") })
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := Lock(ctx, path, cancel); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
	time.AfterFunc(10*time.Millisecond, unlock)
	again, err := Lock(t.Context(), path, func() {})
	if err != nil {
		t.Fatal(err)
	}
	again()
}
