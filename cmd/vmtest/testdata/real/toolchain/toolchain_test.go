package toolchain

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
)

func TestCgo(t *testing.T) {
	if got := Twice(-21); got != 42 {
		t.Errorf("Twice = %d", got)
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	n := 0
	for range 8 {
		wg.Go(func() { mu.Lock(); defer mu.Unlock(); n++ })
	}
	wg.Wait()
	if n != 8 {
		t.Errorf("n = %d", n)
	}
}

func TestGoBuild(t *testing.T) {
	out, err := exec.Command("go", "run", "./hello").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "hello from a program built in the guest") {
		t.Errorf("go run: %v\n%s", err, out)
	}
}

// TestWrites writes into every tree of Go's; the host hashes them afterwards.
func TestWrites(t *testing.T) {
	for _, dir := range []string{
		".", os.Getenv("GOCACHE"), os.Getenv("GOMODCACHE"), filepath.Join(runtime.GOROOT(), "src", "errors"),
	} {
		if err := os.WriteFile(filepath.Join(dir, "written_by_the_guest.go"), []byte("package x"), 0o644); err != nil {
			t.Error(err)
		}
	}
	// The whole of GOPATH is not shared, and may be made.
	dir := filepath.Join(os.Getenv("GOPATH"), "bin")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "written"), nil, 0o755); err != nil {
		t.Error(err)
	}
}
