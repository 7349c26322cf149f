package bootcheck

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bpf-vmtest/bpf-vmtest/initramfs"
	"github.com/bpf-vmtest/bpf-vmtest/internal/accel"
	"github.com/bpf-vmtest/bpf-vmtest/internal/boot"
	"github.com/bpf-vmtest/bpf-vmtest/internal/fakeqemu"
	"github.com/bpf-vmtest/bpf-vmtest/internal/features"
	"github.com/bpf-vmtest/bpf-vmtest/internal/guest"
	"github.com/bpf-vmtest/bpf-vmtest/internal/kernel"
)

const fakeName = "fake-qemu"

func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == fakeName {
		fakeqemu.Main()
	}
	code := m.Run()
	if dir, err := sharedInit(); err == nil {
		os.RemoveAll(dir)
	}
	os.Exit(code)
}

// sharedInit is a directory with init, which takes a while to compile.
var sharedInit = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "bootcheck-")
	if err != nil {
		return "", err
	}
	_, err = initramfs.BuildInit(context.Background(), dir, "amd64")
	return dir, err
})

// completeTable has everything that may be required.
func completeTable(release, arch string) *features.Table {
	t := &features.Table{Release: release, Arch: arch}
	for _, r := range Requirements {
		if r.Name != configFeature && r.Name != powerOff { // those are found out on the host
			t.Add(r.Kind, features.Feature{Name: r.Name, State: features.Supported})
		}
	}
	return t
}

const testConfig = "CONFIG_BPF_SYSCALL=y\nCONFIG_DEBUG_INFO_BTF=y\n"

// newCheck is of a kernel for the fake QEMU, with a probe that prints the table.
func newCheck(t *testing.T, behavior fakeqemu.Behavior, table *features.Table) Check {
	t.Helper()
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	write := func(name string, data []byte, mode os.FileMode) {
		t.Helper()
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, data, mode)); err != nil {
			t.Fatal(err)
		}
	}
	if err := (fakeqemu.Kernel{Arch: "amd64", Release: "6.12.1", Behavior: behavior}).WriteFile(path("vmlinuz")); err != nil {
		t.Fatal(err)
	}
	probe, err := Probe().Path(path("cache"), "amd64")
	if err != nil {
		t.Fatal(err)
	}
	b, err := table.Encode()
	if err != nil {
		t.Fatal(err)
	}
	write(path("table"), b, 0o644)
	write(probe, []byte("#!/bin/sh\nexec cat "+path("table")+"\n"), 0o755)
	write(path("config"), []byte(testConfig), 0o644)
	write(path("initramfs"), nil, 0o644)
	init, err := sharedInit()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(init, "init"), path("cache/init")); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, path(fakeName)); err != nil {
		t.Fatal(err)
	}
	return Check{
		Settings:  boot.Settings{Accel: accel.TCG, QEMU: path(fakeName), CacheDir: path("cache"), AsRoot: true},
		Kernel:    &kernel.Kernel{Name: "fake:6.12", Arch: "amd64", Image: path("vmlinuz"), Config: path("config")},
		Initramfs: path("initramfs"),
	}
}

func TestCheck(t *testing.T) {
	c := newCheck(t, fakeqemu.Good, completeTable("6.12.1", "amd64"))
	c.Parts = map[string]string{"kernel": "sha256:aa"}
	var steps []string
	c.Progress = func(step string) { steps = append(steps, step) }
	c.Booted = func(state string, _ accel.Accel, _ time.Duration) { steps = append(steps, state) }
	r, err := c.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Err("fake:6.12"); err != nil {
		t.Error(err)
	}
	for _, name := range []string{configFeature, powerOff} {
		if f := r.Table.Find(features.Kernel, name); f.State != features.Supported {
			t.Errorf("%s is %s: %s", name, f.State, f.Detail)
		}
	}
	if diff := cmp.Diff(c.Parts, r.Table.Parts); diff != "" {
		t.Errorf("parts (-want +got):\n%s", diff)
	}
	if _, err := r.Table.Encode(); err != nil {
		t.Error(err)
	}
	want := "build the probe for amd64; boot it and see what it can do; ready; boot it with nothing of ours, and power off; at its prompt"
	if got := strings.Join(steps, "; "); got != want {
		t.Errorf("steps: %s", got)
	}
	if left, _ := filepath.Glob(filepath.Join(c.Settings.CacheDir, "tmp", "*")); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// Each of these kernels has one thing wrong with it, and is told what.
func TestProblems(t *testing.T) {
	for _, tt := range []struct {
		behavior fakeqemu.Behavior
		want     string
		shown    string // in the excerpt
	}{
		{fakeqemu.NoPowerOff, "power off Linux 6.12.1: the machine is still there 1s after poweroff", "reboot: Power down"},
		{fakeqemu.Restarts, "power off Linux 6.12.1: it started again instead", "Linux version"},
		{fakeqemu.Halts, "power off Linux 6.12.1: it halted instead", "Power off not available"},
		{fakeqemu.NoPrompt, "boot Linux 6.12.1 with plain QEMU into the shell of its initramfs: nothing for 2s", "Linux version"},
		{fakeqemu.Stays, "shut down Linux 6.12.1: the machine is still there 1s after init restarted it", ""},
		{fakeqemu.OtherConfig, "/proc/config.gz is not the configuration that came with the kernel: CONFIG_FAKE is y, not n", ""},
		{fakeqemu.WarnsLate, "the kernel reported a fault: WARNING: CPU: 1 PID: 77 at kernel/fake.c:42", "fake_update_elem"},
	} {
		t.Run(string(tt.behavior), func(t *testing.T) {
			t.Parallel()
			c := newCheck(t, tt.behavior, completeTable("6.12.1", "amd64"))
			c.end, c.Settings.BootTimeout = time.Second, 2*time.Second
			r, err := c.Run(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if len(r.Problems) != 1 {
				t.Fatalf("problems: %v", r.Problems)
			}
			problem := r.Problems[0]
			if !strings.HasPrefix(problem.Error(), tt.want) {
				t.Errorf("%q, want %q", problem, tt.want)
			}
			var excerpt interface{ Excerpt() []string }
			if tt.shown != "" && (!errors.As(problem, &excerpt) || !strings.Contains(strings.Join(excerpt.Excerpt(), "\n"), tt.shown)) {
				t.Errorf("%T does not show %q", problem, tt.shown)
			}
			if err := r.Err("fake:6.12"); err.Error() != fmt.Sprintf("check kernel %q: %v", "fake:6.12", problem) {
				t.Errorf("the whole error is %v", err)
			}
		})
	}
}

// A machine that stays is not taken for one that ended when it is killed because
// nothing is heard of it any more.
func TestStaysSilently(t *testing.T) {
	c := newCheck(t, fakeqemu.Stays, completeTable("6.12.1", "amd64"))
	c.end, c.Settings.SilenceTimeout = 3*time.Second, time.Second
	r, err := c.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var stays *RestartError
	if err := r.Err("fake:6.12"); !errors.As(err, &stays) {
		t.Errorf("problems: %v", err)
	}
}

// A kernel that goes down on the way has not been checked.
func TestLost(t *testing.T) {
	for behavior, want := range map[fakeqemu.Behavior]string{
		fakeqemu.Panics:    "the kernel panicked before init said hello",
		fakeqemu.NeverDone: "the guest went down at the end",
	} {
		r, err := newCheck(t, behavior, completeTable("6.12.1", "amd64")).Run(t.Context())
		var lost *guest.LostError
		if r != nil || !errors.As(err, &lost) || err.Error() != `check kernel "fake:6.12": `+want {
			t.Errorf("%s: %v, %v", behavior, r, err)
		}
	}
}

// A check that is interrupted says nothing about the kernel.
func TestInterrupted(t *testing.T) {
	interrupted := errors.New("interrupted")
	for step, behavior := range map[string]fakeqemu.Behavior{
		"boot it and see what it can do":              fakeqemu.Hangs,
		"boot it with nothing of ours, and power off": fakeqemu.NoPrompt,
	} {
		ctx, cancel := context.WithCancelCause(t.Context())
		c := newCheck(t, behavior, completeTable("6.12.1", "amd64"))
		c.Progress = func(s string) {
			if s == step {
				time.AfterFunc(200*time.Millisecond, func() { cancel(interrupted) })
			}
		}
		if r, err := c.Run(ctx); r != nil || !errors.Is(err, interrupted) {
			t.Errorf("%s: %v, %v", behavior, r, err)
		}
	}
}

func TestBrokenProbe(t *testing.T) {
	for script, want := range map[string]string{
		"echo no BPF >&2; exit 1": "run the probe: exit status 1, signal 0: no BPF",
		"kill -9 $$":              "run the probe: exit status 0, signal 9",
		"echo {}":                 "run the probe: parse features: the table's version is 0, want 1",
	} {
		c := newCheck(t, fakeqemu.Good, completeTable("6.12.1", "amd64"))
		probe, err := Probe().Path(c.Settings.CacheDir, "amd64")
		if err == nil {
			err = os.WriteFile(probe, []byte("#!/bin/sh\n"+script+"\n"), 0o755)
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Run(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", script, err)
		}
	}
}

func TestWithoutConfig(t *testing.T) {
	c := newCheck(t, fakeqemu.Good, completeTable("6.12.1", "amd64"))
	c.Kernel.Config = "" // then it shows none: the fake has what it was given
	r, err := c.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var missing *MissingError
	if err := r.Err(""); !errors.As(err, &missing) || len(missing.Missing) != 1 ||
		missing.Error() != "Linux 6.12.1 lacks a required feature, kernel config: there is no /proc/config.gz; it is a matter of CONFIG_IKCONFIG_PROC" {
		t.Errorf("%v", err)
	}
}

func TestOtherRelease(t *testing.T) {
	c := newCheck(t, fakeqemu.Good, completeTable("6.12.1", "amd64"))
	c.Kernel.Release, c.Initramfs = "6.12.2", ""
	r, err := c.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Err("x"); err == nil || err.Error() != `check kernel "x": it came as Linux 6.12.2 and calls itself 6.12.1` {
		t.Error(err)
	}
}

// Without an initramfs there is no second boot, and nothing is said about it.
func TestWithoutInitramfs(t *testing.T) {
	c := newCheck(t, fakeqemu.NoPowerOff, completeTable("6.12.1", "amd64"))
	c.Initramfs = ""
	r, err := c.Run(t.Context())
	if err != nil || len(r.Problems) > 0 {
		t.Errorf("%v, %v", err, r.Problems)
	}
}
