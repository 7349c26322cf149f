// Package guest checks, inside a guest, what docs/guest.md promises.
package guest

import (
	"bytes"
	"crypto/rand"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestRoot(t *testing.T) {
	if os.Getuid() != 0 {
		t.Errorf("uid %d", os.Getuid())
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, caps, _ := strings.Cut(string(status), "CapEff:\t")
	if n, err := strconv.ParseUint(caps[:16], 16, 64); err != nil || n&(1<<21) == 0 || n&(1<<12) == 0 {
		t.Errorf("without CAP_SYS_ADMIN or CAP_NET_ADMIN: %s, %v", caps[:16], err)
	}
	if name, err := os.Hostname(); err != nil || !strings.HasPrefix(name, "vmtest-") {
		t.Errorf("host name %q, %v", name, err)
	}
}

func TestMounts(t *testing.T) {
	for dir, magic := range map[string]int64{
		"/sys/fs/cgroup":       0x63677270,
		"/sys/fs/bpf":          0xcafe4a11,
		"/sys/kernel/tracing":  0x74726163,
		"/sys/kernel/debug":    0x64626720,
		"/sys/kernel/security": 0x73636673,
		"/dev/pts":             0x1cd1,
		"/dev/mqueue":          0x19800202,
		"/proc":                0x9fa0,
		"/sys":                 0x62656572,
		"/tmp":                 0x01021994,
		"/dev/shm":             0x01021994,
		"/run":                 0x01021994,
	} {
		var s syscall.Statfs_t
		if err := syscall.Statfs(dir, &s); err != nil || int64(s.Type) != magic {
			t.Errorf("%s: type %#x, %v, want %#x", dir, s.Type, err, magic)
		}
	}
	for _, dir := range []string{"/tmp", "/run", "/root", "/var/tmp", "/dev/shm", "/sys/fs/cgroup/vmtest-new"} {
		if strings.HasPrefix(dir, "/sys") {
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Error(err)
			}
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, "f"), []byte("x"), 0o644); err != nil {
			t.Error(err)
		}
	}
	if info, err := os.Stat("/tmp"); err != nil || info.Mode()&os.ModeSticky == 0 || info.Mode().Perm() != 0o777 {
		t.Errorf("/tmp: %v, %v", info.Mode(), err)
	}
	for _, dev := range []string{"/dev/null", "/dev/zero", "/dev/urandom", "/dev/ptmx", "/dev/fd/0", "/dev/kmsg"} {
		f, err := os.Open(dev)
		if err != nil {
			t.Error(err)
			continue
		}
		f.Close()
	}
}

func TestNetwork(t *testing.T) {
	interfaces, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range interfaces {
		if i.Name == "lo" && i.Flags&net.FlagUp == 0 {
			t.Error("lo is down")
		}
		if i.Name != "lo" && i.Flags&net.FlagUp != 0 {
			t.Errorf("%s is up", i.Name)
		}
	}
	for _, network := range []string{"tcp4", "tcp6"} {
		l, err := net.Listen(network, "localhost:0")
		if err != nil {
			t.Error(err)
			continue
		}
		defer l.Close()
		c, err := net.Dial(network, l.Addr().String())
		if err != nil {
			t.Error(err)
			continue
		}
		c.Close()
	}
	for _, address := range []string{"192.0.2.1:80", "10.0.2.2:22", "[2001:db8::1]:80"} {
		start := time.Now()
		if c, err := net.DialTimeout("tcp", address, 5*time.Second); err == nil {
			c.Close()
			t.Errorf("%s answers", address)
		}
		if took := time.Since(start); took > time.Second {
			t.Errorf("%s: it took %v to fail", address, took)
		}
	}
}

func TestClockAndEntropy(t *testing.T) {
	told, err := strconv.ParseInt(os.Getenv("REAL_TIME"), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	// The host told its time before it compiled and booted.
	if off := time.Since(time.Unix(told, 0)); off < -2*time.Second || off > 10*time.Minute {
		t.Errorf("the clock is %v off", off)
	}
	start := time.Now()
	if _, err := rand.Read(make([]byte, 1<<16)); err != nil || time.Since(start) > time.Second {
		t.Errorf("getrandom took %v, %v", time.Since(start), err)
	}
}

func TestEnvironment(t *testing.T) {
	want := map[string]string{
		"GOPROXY": "off", "GOTOOLCHAIN": "local", "VMTEST": "1", "HOME": "/root",
	}
	for _, e := range os.Environ() {
		name, value, _ := strings.Cut(e, "=")
		if strings.Contains(value, "do-not-tell") {
			t.Errorf("%s is passed on", name) // without its value
		}
		if w, ok := want[name]; ok && value != w {
			t.Errorf("%s=%s, want %s", name, value, w)
		}
		delete(want, name)
	}
	for name := range want {
		t.Errorf("%s is not set", name)
	}
	if flags := os.Getenv("GOFLAGS"); !strings.Contains(flags, "-mod=readonly") {
		t.Errorf("GOFLAGS=%s", flags)
	}
	release, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil || strings.TrimSpace(string(release)) != os.Getenv("VMTEST_RELEASE") {
		t.Errorf("VMTEST_RELEASE=%s on %s, %v", os.Getenv("VMTEST_RELEASE"), release, err)
	}
}

func TestNoSecrets(t *testing.T) {
	home := os.Getenv("REAL_HOME")
	for _, name := range []string{".ssh", ".docker", ".netrc", ".aws", ".gnupg", ".bash_history", ".config/gh"} {
		if _, err := os.Lstat(filepath.Join(home, name)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("~/%s: %v", name, err)
		}
	}
	for _, file := range []string{"/etc/shadow", "/etc/ssh", "/var/lib/apt"} {
		if _, err := os.Lstat(file); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: %v", file, err)
		}
	}
	for _, name := range []string{"/etc/passwd", "/etc/hosts", "/etc/nsswitch.conf"} {
		if _, err := os.ReadFile(name); err != nil {
			t.Error(err)
		}
	}
}

// TestNoCredentials looks for the token that actions/checkout leaves, below the
// overlay as well.
func TestNoCredentials(t *testing.T) {
	files, _ := filepath.Glob("/run/vmtest/shares/*/.git/config")
	if len(files) == 0 {
		t.Error("no share has a .git/config")
	}
	for _, file := range append(files, ".git/config") {
		b, err := os.ReadFile(file)
		if err != nil || !bytes.Contains(b, []byte("bare = false")) || bytes.Contains(b, []byte("extraheader")) {
			t.Errorf("%s: %d bytes, %v", file, len(b), err)
		}
	}
}

// TestWrites writes below the package; the host hashes it afterwards.
func TestWrites(t *testing.T) {
	if dir, err := os.Getwd(); err != nil || dir != os.Getenv("REAL_MODULE") {
		t.Errorf("in %s, want %s", dir, os.Getenv("REAL_MODULE"))
	}
	if err := os.WriteFile("written_by_the_guest", []byte("x"), 0o644); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile("go.mod", []byte("changed"), 0o644); err != nil {
		t.Error(err)
	}
	if err := os.Rename("guest_test.go", "renamed.go"); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile("/usr/bin/written", []byte("x"), 0o755); err != nil {
		t.Error(err)
	}
}

// TestRemount is about the shares below the overlays, which QEMU itself must
// keep from being written.
func TestRemount(t *testing.T) {
	shares, err := filepath.Glob("/run/vmtest/shares/*")
	if err != nil || len(shares) == 0 {
		t.Fatalf("no shares: %v", err)
	}
	for _, dir := range shares {
		_ = syscall.Mount("", dir, "", syscall.MS_REMOUNT, "") // refused or not
		err := os.WriteFile(filepath.Join(dir, "written_by_the_guest"), []byte("x"), 0o644)
		if err == nil {
			t.Errorf("%s can be written", dir)
		}
	}
}

// TestLinkOut follows a link out of a share: in the guest, where nothing is.
func TestLinkOut(t *testing.T) {
	if target, err := os.Readlink(".git/link-out"); err != nil || !filepath.IsAbs(target) {
		t.Fatalf("the link is %q, %v", target, err)
	}
	if b, err := os.ReadFile(".git/link-out"); err == nil {
		t.Errorf("the host's file is there: %d bytes", len(b))
	}
	shares, _ := filepath.Glob("/run/vmtest/shares/*")
	for _, dir := range shares {
		if b, err := os.ReadFile(filepath.Join(dir, "..", "..", "..", "..", "..", "etc", "shadow")); err == nil {
			t.Errorf("%d bytes of the host's /etc/shadow", len(b))
		}
	}
}

func TestModules(t *testing.T) {
	if _, err := exec.LookPath("modprobe"); err != nil {
		t.Skip("the host has no modprobe to run")
	}
	if out, err := exec.Command("modprobe", "veth").CombinedOutput(); err != nil {
		t.Errorf("modprobe veth: %v\n%s", err, out)
	}
	modules, err := os.ReadFile("/proc/modules")
	if err != nil || !bytes.Contains(modules, []byte("veth ")) {
		t.Errorf("veth is not loaded: %v", err)
	}
	if out, err := exec.Command("ip", "link", "add", "type", "veth").CombinedOutput(); err != nil && !errors.Is(err, exec.ErrNotFound) {
		t.Errorf("ip: %v\n%s", err, out)
	}
}

// TestFull fills the memory behind the overlays: the test sees ENOSPC and the
// machine lives on.
func TestZFull(t *testing.T) {
	f, err := os.Create("big")
	if err != nil {
		t.Fatal(err)
	}
	defer os.Remove("big")
	defer f.Close()
	chunk := bytes.Repeat([]byte("x"), 8<<20)
	for range 512 {
		if _, err = f.Write(chunk); err != nil {
			break
		}
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("writing 4 GiB: %v, want ENOSPC", err)
	}
}
