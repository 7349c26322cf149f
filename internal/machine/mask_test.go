package machine

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// A machine that is to see other files is started by a shell that shows them to
// nobody else.
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
	m := &Machine{Masks: []Mask{{Path: path, With: with}}}
	cmd := exec.Command("cat", path)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	before := *cmd
	if err := m.mask(t.Context(), cmd); err != nil {
		t.Logf("not possible here: %v", err)
		if cmd.Path != before.Path || cmd.SysProcAttr != before.SysProcAttr {
			t.Errorf("the command has changed: %v", cmd)
		}
		return
	}
	if cmd.SysProcAttr.Pdeathsig != syscall.SIGKILL {
		t.Error("it outlives us")
	}
	if out, err := cmd.CombinedOutput(); err != nil || string(out) != "harmless" {
		t.Errorf("the command sees %q, %v", out, err)
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "secret" {
		t.Errorf("we see %q, %v", b, err)
	}
	// A file that is gone is an error, and not one of QEMU's.
	m.Masks[0].Path += "/gone"
	if err := m.mask(t.Context(), &before); err == nil {
		t.Error("there is no error")
	}
}
