// Package attack is a hostile test: it is root, and tries what root can do from a
// guest to the host. It passes when nothing of it works.
package attack

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestShares changes the shares below their overlays in every way there is.
func TestShares(t *testing.T) {
	shares, err := filepath.Glob("/run/vmtest/shares/*")
	if err != nil || len(shares) < 3 {
		t.Fatalf("shares: %v, %v", shares, err)
	}
	for _, dir := range shares {
		_ = syscall.Mount("", dir, "", syscall.MS_REMOUNT, "")
		change(t, dir)
	}
}

// TestTags mounts what QEMU exports once more, the devices that no share uses
// among them, with the protocol's other versions.
func TestTags(t *testing.T) {
	tags, err := filepath.Glob("/sys/bus/virtio/drivers/9pnet_virtio/virtio*/mount_tag")
	if err != nil || len(tags) < 3 {
		t.Fatalf("tags: %v, %v", tags, err)
	}
	mounted := 0
	for i, file := range tags {
		tag, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, options := range []string{"version=9p2000.L", "version=9p2000.u", "version=9p2000", "access=any,aname=/../..", "cache=none,msize=4096"} {
			dir := fmt.Sprintf("/tmp/tag%d", i)
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := syscall.Mount(strings.Trim(string(tag), "\x00\n"), dir, "9p", 0, "trans=virtio,"+options); err != nil {
				continue // a share's device is in use
			}
			mounted++
			change(t, dir)
			for _, out := range []string{"..", "../..", "../../../../../../../../etc/shadow"} {
				if b, err := os.ReadFile(filepath.Join(dir, "x", "..", out)); err == nil && bytes.Contains(b, []byte("root:")) {
					t.Errorf("%s: the host's /etc/shadow", tag)
				}
			}
			if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
				t.Errorf("%s, %s: %d entries, %v", tag, options, len(entries), err)
			}
			_ = syscall.Unmount(dir, 0)
		}
	}
	t.Logf("%d devices, mounted %d times", len(tags), mounted)
}

// change tries every operation that changes a file system. The host compares its
// trees afterwards; here none may succeed.
func change(t *testing.T, dir string) {
	t.Helper()
	var some string // a file
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if e.Type().IsRegular() {
			some = filepath.Join(dir, e.Name())
		}
	}
	attempts := map[string]func() error{
		"create":  func() error { return os.WriteFile(filepath.Join(dir, "hostile"), []byte("x"), 0o644) },
		"mkdir":   func() error { return os.Mkdir(filepath.Join(dir, "hostile"), 0o755) },
		"symlink": func() error { return os.Symlink("/etc/shadow", filepath.Join(dir, "hostile")) },
		"mknod":   func() error { return syscall.Mknod(filepath.Join(dir, "hostile"), syscall.S_IFBLK|0o600, 8<<8) },
		"fifo":    func() error { return syscall.Mkfifo(filepath.Join(dir, "hostile"), 0o600) },
		"chmod":   func() error { return os.Chmod(dir, 0o4777) },
		"chown":   func() error { return os.Chown(dir, 12345, 12345) },
		"utimes":  func() error { return os.Chtimes(dir, time.Unix(1, 0), time.Unix(1, 0)) },
		"xattr":   func() error { return syscall.Setxattr(dir, "user.hostile", []byte("x"), 0) },
		"acl":     func() error { return syscall.Setxattr(dir, "system.posix_acl_access", []byte("\x02\x00\x00\x00"), 0) },
	}
	if some != "" {
		attempts["open for writing"] = func() error {
			f, err := os.OpenFile(some, os.O_RDWR, 0)
			if err == nil {
				f.Close()
			}
			return err
		}
		attempts["truncate"] = func() error { return os.Truncate(some, 0) }
		attempts["remove"] = func() error { return os.Remove(some) }
		attempts["rename"] = func() error { return os.Rename(some, some+"-hostile") }
		attempts["link"] = func() error { return os.Link(some, filepath.Join(dir, "hostile")) }
	}
	for name, attempt := range attempts {
		if err := attempt(); err == nil {
			t.Errorf("%s: %s succeeds", dir, name)
		}
	}
}

// TestHost looks for the host where it could show through.
func TestHost(t *testing.T) {
	for _, pattern := range []string{
		"/run/vmtest/shares/*/proc/self", "/run/vmtest/shares/*/etc/shadow", "/run/vmtest/shares/*/*.sock",
		"/dev/vsock", "/dev/vhost*", "/dev/kvm", "/dev/sd*", "/dev/vd*", "/dev/nvme*", "/sys/class/net/e*",
	} {
		if found, _ := filepath.Glob(pattern); len(found) > 0 {
			t.Errorf("there is %v", found)
		}
	}
}
