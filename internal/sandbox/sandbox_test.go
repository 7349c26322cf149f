package sandbox

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// asNobody runs a shell's command line as nobody, or skips the test.
func asNobody(t *testing.T, line string) string {
	t.Helper()
	if err := Check(); err != nil {
		t.Skipf("not possible here: %v", err)
	}
	var out []byte
	var err error
	done := make(chan struct{})
	Apart(func() {
		defer close(done)
		cmd := exec.Command("sh", "-c", line)
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		if err = AsNobody(cmd); err == nil {
			out, err = cmd.CombinedOutput()
		}
	})
	<-done
	if err != nil {
		t.Errorf("%s: %v\n%s", line, err, out)
	}
	return string(out)
}

func TestAsNobody(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("only root's"), 0); err != nil {
		t.Fatal(err)
	}
	status := asNobody(t, "cat /proc/self/status")
	for _, want := range []string{
		"Uid:\t65534\t65534\t65534\t65534\n", "Gid:\t65534\t65534\t65534\t65534\n", "Groups:\t \n",
		"CapPrm:\t0000000000000004\n", "CapEff:\t0000000000000004\n",
	} {
		if !strings.Contains(status, want) {
			t.Errorf("no %q in\n%s", want, status)
		}
	}
	if got := asNobody(t, "cat "+file); got != "only root's" {
		t.Errorf("it reads %q", got)
	}
	for _, line := range []string{
		"echo x >>" + file, "rm " + file, "touch " + dir + "/new", "chmod 777 " + dir, "kill -0 $PPID", "cat /proc/$PPID/environ",
		"echo 0 >/proc/sys/kernel/randomize_va_space", "chroot / true",
	} {
		if got := asNobody(t, line+" && echo succeeds; true"); strings.Contains(got, "succeeds") {
			t.Errorf("%s: %s", line, got)
		}
	}
}

func TestMapped(t *testing.T) {
	for ids, want := range map[string]bool{
		"         0          0 4294967295\n": true, "0 1234 1\n": false, "0 100000 65534\n": false, "0 100000 65535\n": true,
		"0 1000 1\n1 100000 65535\n": true, "65535 1 1\n": false, "": false,
	} {
		if got := mapped(ids); got != want {
			t.Errorf("%q: %v", ids, got)
		}
	}
}

func TestNoNetwork(t *testing.T) {
	var devices []byte
	done := make(chan error)
	Apart(func() {
		err := NoNetwork()
		if err == nil {
			devices, err = exec.Command("cat", "/proc/self/net/dev").Output()
		}
		done <- err
	})
	if err := <-done; errors.Is(err, unix.EPERM) {
		t.Skipf("not possible here: %v", err)
	} else if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(devices), ":"); n != 1 || !strings.Contains(string(devices), "lo:") {
		t.Errorf("there are %s", devices)
	}
}

func TestGroup(t *testing.T) {
	if g, err := group("/dev/null"); g != Nobody || err != nil {
		t.Errorf("/dev/null: %d, %v", g, err)
	}
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	device := filepath.Join(t.TempDir(), "device")
	for _, tt := range []struct {
		mode  os.FileMode
		group int
		want  uint32
		ok    bool
	}{{0o660, 109, 109, true}, {0o600, 109, 0, false}, {0o660, 0, 0, false}, {0o666, 0, Nobody, true}, {0o640, 109, 0, false}} {
		_ = os.Remove(device)
		if err := os.WriteFile(device, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(device, 0, tt.group); err != nil {
			t.Skip(err)
		}
		if err := os.Chmod(device, tt.mode); err != nil {
			t.Fatal(err)
		}
		if got, err := group(device); got != tt.want || (err == nil) != tt.ok {
			t.Errorf("%v, group %d: %d, %v", tt.mode, tt.group, got, err)
		}
	}
}

func TestReadable(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0); err != nil {
		t.Fatal(err)
	}
	if err := Check(); err != nil {
		t.Skipf("not possible here: %v", err)
	}
	if err := Readable(dir); err != nil {
		t.Error(err)
	}
	if err := Readable(dir, dir+"/gone"); err == nil || !strings.Contains(err.Error(), "gone") {
		t.Errorf("of a file that is not there: %v", err)
	}
	// What the trial gave up, this process has kept.
	if err := Check(); err != nil {
		t.Error(err)
	}
}

// TestApart: the first thread goes on, and no other thread gets to see what was
// changed.
func TestApart(t *testing.T) {
	for range 50 {
		tid := make(chan int)
		Apart(func() { tid <- syscall.Gettid() })
		if got := <-tid; got == os.Getpid() {
			t.Fatal("it is the first thread")
		}
	}
}
