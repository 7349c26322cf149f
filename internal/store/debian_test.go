package store

import (
	"cmp"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bpf-vmtest/bpf-vmtest/internal/kernelref"
)

// Kernels of Debian, from its mirror, into the program's own cache.
func TestDebian(t *testing.T) {
	if os.Getenv("VMTEST_TESTS") != "all" {
		t.Skip("needs a Debian mirror: set VMTEST_TESTS=all")
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	s := &Store{Dir: filepath.Join(cache, "bpf-vmtest"), Warn: func(m string) { t.Log("warning:", m) }}
	for _, text := range strings.Fields(cmp.Or(os.Getenv("VMTEST_TEST_KERNELS"), "debian:6.12")) {
		ref, err := kernelref.Parse(text, "")
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		k, err := s.Resolve(context.Background(), ref)
		if err != nil {
			t.Error(err)
			continue
		}
		t.Logf("%v: %+v", time.Since(start).Round(time.Millisecond), *k)
		if filepath.Base(k.Modules) != k.Release {
			t.Errorf("modules of %s are in %q", k.Release, k.Modules)
		}
		for _, path := range []string{k.Image, k.Config, filepath.Join(k.Modules, "modules.dep")} {
			if info, err := os.Stat(path); err != nil || info.Size() == 0 {
				t.Errorf("%s: %v", text, err)
			}
		}
	}
}
