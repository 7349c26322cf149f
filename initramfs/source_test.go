package initramfs

import (
	"debug/elf"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var maxTime = time.Unix(1<<32, 0)

func TestBuildInit(t *testing.T) {
	cache := t.TempDir()
	// Settings of the user's that must not reach the guest's init.
	env := filepath.Join(t.TempDir(), "env")
	write(t, env, []byte("GOFLAGS=-mod=vendor -tags=nonsense\nGOEXPERIMENT=nosuchexperiment\n"))
	t.Setenv("GOENV", env)
	t.Setenv("GOOS", "plan9")
	t.Setenv("GOWORK", filepath.Join(t.TempDir(), "go.work"))
	t.Setenv("GOPROXY", "off")
	for goarch, machine := range map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64} {
		path, err := BuildInit(t.Context(), cache, goarch)
		if err != nil {
			t.Fatal(err)
		}
		f, err := elf.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if f.Machine != machine {
			t.Errorf("%s: for %v", goarch, f.Machine)
		}
		if libs, _ := f.ImportedLibraries(); len(libs) > 0 || f.Section(".interp") != nil {
			t.Errorf("%s: it is not static", goarch)
		}
		before, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		again, err := BuildInit(t.Context(), cache, goarch)
		if after, statErr := os.Stat(again); err != nil || statErr != nil || again != path || !after.ModTime().Equal(before.ModTime()) {
			t.Errorf("%s: built again: %v, %v", goarch, err, statErr)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(cache, "init", "build-*")); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	if _, err := BuildInit(t.Context(), cache, "nosuch"); err == nil || !strings.Contains(err.Error(), "build init for nosuch") {
		t.Errorf("for no architecture: %v", err)
	}
}
