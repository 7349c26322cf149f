package distro

import (
	"cmp"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bpf-vmtest/bpf-vmtest/internal/cache"
	"github.com/bpf-vmtest/bpf-vmtest/internal/kver"
)

// cacheDir is where the program keeps its packages, so that the tests leave a
// warm cache behind.
func cacheDir(t *testing.T) string {
	if os.Getenv("VMTEST_TESTS") != "all" {
		t.Skip("needs a Debian mirror: set VMTEST_TESTS=all")
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "bpf-vmtest")
}

func realApt(t *testing.T) *Apt {
	return &Apt{Dir: cacheDir(t), Warn: func(s string) { t.Log("warning:", s) }, Progress: func(p Progress) { t.Log(p) }}
}

func TestFetchSource(t *testing.T) {
	v := kver.Version{Major: 6, Minor: 12}
	p, err := realApt(t).Fetch(context.Background(), Query{Distribution: "debian", Package: "linux-source-6.12", Version: v})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", p)
	got, err := cache.Digest(p.Path)
	if err != nil || got != p.SHA256 {
		t.Errorf("SHA-256 of %s is %s, %v, want %s", p.Path, got, err, p.SHA256)
	}
}

func TestKernel(t *testing.T) {
	for _, v := range strings.Fields(cmp.Or(os.Getenv("VMTEST_TEST_DEBIAN_KERNELS"), "6.12")) {
		version, err := kver.Parse(v)
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		k, err := realApt(t).Kernel(context.Background(), Query{Distribution: "debian", Version: version})
		if err != nil {
			t.Error(err)
			continue
		}
		t.Logf("%s: %+v in %v", v, k, time.Since(start))
	}
}
