package machine

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/bpf-vmtest/bpf-vmtest/internal/sandbox"
)

// A machine that is to see other files sees them alone, in both ways of showing
// them.
func TestMask(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a b,'c")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	path, with := filepath.Join(dir, "config"), filepath.Join(dir, "mask")
	for file, content := range map[string]string{path: "secret", with: "harmless"} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, mask := range map[string]func(*Machine, *exec.Cmd) error{
		"by a thread": func(m *Machine, cmd *exec.Cmd) error { return m.mask() },
		"by a shell":  func(m *Machine, cmd *exec.Cmd) error { return m.maskedByShell(t.Context(), cmd) },
	} {
		t.Run(name, func(t *testing.T) {
			m := &Machine{Masks: []Mask{{Path: path, With: with}}}
			cmd := exec.Command("cat", path)
			cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
			before := *cmd
			var out []byte
			masked, failed := onThread(func() error { return mask(m, cmd) }, func() (err error) {
				out, err = cmd.CombinedOutput()
				return err
			})
			if masked != nil {
				t.Logf("not possible here: %v", masked)
				if cmd.Path != before.Path || cmd.SysProcAttr != before.SysProcAttr {
					t.Errorf("the command has changed: %v", cmd)
				}
				return
			}
			if cmd.SysProcAttr.Pdeathsig != syscall.SIGKILL {
				t.Error("it outlives us")
			}
			if failed != nil || string(out) != "harmless" {
				t.Errorf("the command sees %q, %v", out, failed)
			}
			if b, err := os.ReadFile(path); err != nil || string(b) != "secret" {
				t.Errorf("we see %q, %v", b, err)
			}
			// A file that is gone is an error, and not one of QEMU's.
			m.Masks[0].Path += "/gone"
			if err, _ := onThread(func() error { return mask(m, &before) }, nil); err == nil {
				t.Error("there is no error")
			}
		})
	}
}

// onThread does one thing and, if that went well, another on the same thread, which
// nothing else will use.
func onThread(first, then func() error) (err, thenErr error) {
	done := make(chan struct{})
	sandbox.Apart(func() {
		defer close(done)
		if err = first(); err == nil && then != nil {
			thenErr = then()
		}
	})
	<-done
	return err, thenErr
}
