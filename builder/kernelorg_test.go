package builder

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bpf-vmtest/bpf-vmtest/internal/kernelorg"
	"github.com/bpf-vmtest/bpf-vmtest/internal/kernelorg/kernelorgtest"
	"github.com/bpf-vmtest/bpf-vmtest/internal/kver"
)

// A release is fetched, checked, unpacked and built.
func TestKernelOrg(t *testing.T) {
	src, dir := fakeTree(t), t.TempDir()
	file := filepath.Join(t.TempDir(), "linux.tar.xz")
	sh(t, filepath.Dir(src), "tar", "cJf", file, filepath.Base(src))
	tarball, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	server := kernelorgtest.New(t)
	server.Release("6.12.3", tarball)
	source := KernelOrg{Version: kver.Version{Major: 6, Minor: 12, Patch: 3}, BaseURL: server.URL, Fingerprint: server.Key.Fingerprint()}
	var phases []string
	r, err := Build(t.Context(), Options{Source: source, Dir: dir, Progress: func(p Progress) {
		if len(phases) == 0 || phases[len(phases)-1] != p.Phase {
			phases = append(phases, p.Phase)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	if r.Release != "6.12.3" || r.BuildInfo.Source != "linux-6.12.3.tar.xz" || !strings.HasPrefix(r.BuildInfo.SourceDigest, "sha256:") {
		t.Errorf("built %+v", r)
	}
	if got := strings.Join(phases[:2], ", "); got != "fetch linux-6.12.3.tar.xz, unpack source" {
		t.Errorf("phases: %s", got)
	}
	leftovers(t, dir)
	// One that does not match its signed checksum is never unpacked.
	server.Put("/pub/linux/kernel/v6.x/linux-6.12.3.tar.xz", tarball[1:])
	other := t.TempDir()
	if _, err := Build(t.Context(), Options{Source: source, Dir: other}); !errors.As(err, new(*kernelorg.ChecksumError)) {
		t.Errorf("Build of an altered tarball = %v", err)
	}
	if got, _ := filepath.Glob(filepath.Join(other, "sources", "*")); len(got) > 0 {
		t.Errorf("unpacked %q", got)
	}
}
