package bootcheck

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bpf-vmtest/bpf-vmtest/initramfs/toolbox"
	"github.com/bpf-vmtest/bpf-vmtest/internal/accel"
	"github.com/bpf-vmtest/bpf-vmtest/internal/boot"
	"github.com/bpf-vmtest/bpf-vmtest/internal/features"
	"github.com/bpf-vmtest/bpf-vmtest/internal/kernelref"
	"github.com/bpf-vmtest/bpf-vmtest/internal/store"
)

// realCheck is of a real kernel in the real QEMU, with the toolbox for an
// initramfs.
func realCheck(t *testing.T, name, arch string) Check {
	t.Helper()
	if os.Getenv("VMTEST_TESTS") != "all" {
		t.Skip("needs QEMU, a Debian mirror and minutes of booting: set VMTEST_TESTS=all")
	}
	user, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	cache := filepath.Join(user, "bpf-vmtest")
	ref, err := kernelref.Parse(name, "")
	if err != nil {
		t.Fatal(err)
	}
	k, err := (&store.Store{Dir: cache, Arch: arch}).Resolve(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	box, err := toolbox.Build(t.Context(), toolbox.Options{CacheDir: cache, Arch: arch})
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(filepath.Join(t.TempDir(), "initramfs.cpio"))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(box.WriteArchive(f), f.Close()); err != nil {
		t.Fatal(err)
	}
	return Check{
		Settings:  boot.Settings{CacheDir: cache},
		Kernel:    k,
		Initramfs: f.Name(),
		Booted:    func(state string, a accel.Accel, took time.Duration) { t.Logf("%s after %v, %s", state, took, a) },
	}
}

func run(t *testing.T, c Check) (*Result, []byte) {
	t.Helper()
	start := time.Now()
	r, err := c.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b, err := r.Table.Encode()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("checked in %v: %s", time.Since(start), r.Table.Summary())
	return r, b
}

// lacking names what the kernel should have and has not.
func lacking(t *testing.T, r *Result) []string {
	t.Helper()
	var missing *MissingError
	if len(r.Problems) != 1 || !errors.As(r.Problems[0], &missing) {
		t.Fatalf("problems: %v", r.Problems)
	}
	var names []string
	for _, m := range missing.Missing {
		names = append(names, string(m.Kind)+" "+m.Name)
	}
	return names
}

// Debian's kernel has everything but three symbols of ours, on any machine.
func TestDebian(t *testing.T) {
	for _, arch := range []string{"amd64", "arm64"} {
		t.Run(arch, func(t *testing.T) {
			c := realCheck(t, "debian:6.12", arch)
			r, table := run(t, c)
			want := []string{"kernel config", "kernel sched_ext", "program lirc_mode2"}
			if diff := cmp.Diff(want, lacking(t, r)); diff != "" {
				t.Errorf("missing (-want +got):\n%s", diff)
			}
			for _, name := range []string{"xdp_native", "xdp_generic", "clsact", "tcx", "netkit", "kprobe", "fentry", "lsm"} {
				if f := r.Table.Find(features.Attach, name); f.State != features.Supported {
					t.Errorf("%s is %s: %s", name, f.State, f.Detail)
				}
			}
			if n := len(r.Table.Helpers["xdp"]); n < 50 {
				t.Errorf("%d helpers for xdp", n)
			}
			if arch != "amd64" {
				return
			}
			c.Initramfs, c.Settings.CPUs, c.Settings.MemoryMiB = "", 1, 768
			again, _ := run(t, c)
			for _, f := range r.Table.Features[features.Kernel] { // what the first boot alone was not about
				if f.Name == powerOff {
					again.Table.Add(features.Kernel, f)
				}
			}
			if b, err := again.Table.Encode(); err != nil || !bytes.Equal(b, table) {
				t.Errorf("another machine gives another table, %v:\n%s", err, cmp.Diff(string(table), string(b)))
			}
		})
	}
}

// Debian's 5.10 has BPF_LSM, but not in the list of security modules.
func TestNeverCalled(t *testing.T) {
	c := realCheck(t, "debian:5.10", "amd64")
	c.Initramfs = ""
	r, _ := run(t, c)
	want := features.Feature{Name: "lsm", State: features.Unsupported, Detail: "attached, but never called"}
	if diff := cmp.Diff(want, r.Table.Find(features.Attach, "lsm")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, name := range []string{"tcx", "netkit", "netfilter"} {
		if f := r.Table.Find(features.Attach, name); f.State != features.Unsupported {
			t.Errorf("%s is %s: %s", name, f.State, f.Detail)
		}
	}
}

// Without ACPI a PC cannot power off.
func TestNoPowerOff(t *testing.T) {
	c := realCheck(t, "debian:6.12", "amd64")
	c.Settings.Append = []string{"acpi=off"}
	r, _ := run(t, c)
	var off *PowerOffError
	if !errors.As(r.Err("debian:6.12"), &off) || off.Cause != "it halted instead" {
		t.Errorf("problems: %v", r.Problems)
	}
}
