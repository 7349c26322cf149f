package boot

import (
	"os"
	"path/filepath"
	"testing"
)

func TestTempDir(t *testing.T) {
	cache := t.TempDir()
	alive, remove, err := TempDir(cache)
	if err != nil {
		t.Fatal(err)
	}
	stale := filepath.Join(cache, "tmp", "run-killed")
	if err := os.MkdirAll(filepath.Join(stale, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(stale, lockName), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	other, removeOther, err := TempDir(cache)
	if err != nil {
		t.Fatal(err)
	}
	defer removeOther()
	if alive == other {
		t.Errorf("two runs got %s", alive)
	}
	if _, err := os.Stat(alive); err != nil {
		t.Errorf("the directory of a run under way: %v", err)
	}
	if _, err := os.Stat(stale); !os.IsNotExist(err) {
		t.Errorf("the directory of a killed run is still there (%v)", err)
	}
	remove()
	if _, err := os.Stat(alive); !os.IsNotExist(err) {
		t.Errorf("the directory of a run that has ended is still there (%v)", err)
	}
}
