// Package privileged is for tests that load BPF programs into the kernel they
// run on.
package privileged

import (
	"errors"
	"os"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/features"
	"github.com/cilium/ebpf/rlimit"
	"golang.org/x/sys/unix"
)

// Require skips the test where BPF programs may not be loaded: run it in a
// kernel of its own with vmtest.
func Require(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root; run it with vmtest test")
	}
	if err := features.HaveProgramType(ebpf.XDP); errors.Is(err, unix.EPERM) {
		t.Skipf("needs CAP_BPF and CAP_NET_ADMIN; run it with vmtest test: %v", err)
	}
	// Kernels before 5.11 count maps against the limit on locked memory.
	if err := rlimit.RemoveMemlock(); err != nil {
		t.Fatal(err)
	}
}

// BPFFS skips the test where no BPF file system is mounted, and returns a new
// directory of it that is removed after the test.
func BPFFS(t *testing.T) string {
	t.Helper()
	const mount = "/sys/fs/bpf"
	var fs unix.Statfs_t
	if err := unix.Statfs(mount, &fs); err != nil || uint32(fs.Type) != unix.BPF_FS_MAGIC {
		t.Skipf("needs a BPF file system at %s; run it with vmtest test", mount)
	}
	dir, err := os.MkdirTemp(mount, "test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}
