package core

import (
	"os"
	"path/filepath"
	"runtime/debug"
	"testing"
)

func TestCore(t *testing.T) {
	before := filepath.Join(os.Getenv("VMTEST_ARTIFACTS"), "before.txt")
	if err := os.WriteFile(before, []byte("written before the crash"), 0o600); err != nil {
		t.Fatal(err)
	}
	debug.SetTraceback("crash")
	var nowhere *int
	*nowhere = 1
}
