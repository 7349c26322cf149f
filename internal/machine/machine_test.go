package machine

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// options pairs a command line's flags with their values, whatever the order.
func options(argv []string) []string {
	var all []string
	for i := 1; i < len(argv); i++ {
		o := argv[i]
		if i+1 < len(argv) && !strings.HasPrefix(argv[i+1], "-") {
			i++
			o += " " + argv[i]
		}
		all = append(all, o)
	}
	slices.Sort(all)
	return all
}

func TestCommand(t *testing.T) {
	m := Machine{
		Arch: "amd64", Kernel: "/k/bzImage", Initramfs: "/k/init.cpio", Append: []string{"quiet", "x=1"},
		CPUs: 2, MemoryMiB: 512, Shares: []Share{{Tag: "share0", Path: "/a,b/c"}}, Extra: []string{"-cpu", "qemu64"},
	}
	argv, err := m.Command()
	if err != nil {
		t.Fatal(err)
	}
	if argv[0] != "qemu-system-x86_64" {
		t.Errorf("program %q", argv[0])
	}
	got := options(argv)
	for _, want := range []string{
		"-no-reboot", "-nodefaults", "-no-user-config", "-display none",
		"-kernel /k/bzImage", "-initrd /k/init.cpio", "-smp 2", "-m 512M", "-cpu max", "-cpu qemu64",
		"-fsdev local,id=share0,path=/a,,b/c,security_model=none,readonly=on,multidevs=remap",
		"-device virtio-9p-pci,fsdev=share0,mount_tag=share0",
		"-device virtserialport,chardev=wire,name=vmtest.wire",
		"-chardev socket,id=wire,fd=3", "-chardev socket,id=console,fd=4", "-serial chardev:console",
	} {
		if !slices.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, strings.Join(got, "\n"))
		}
	}
	i := slices.Index(argv, "-append")
	for _, want := range []string{"panic=-1", "console=ttyS0", "quiet", "x=1"} {
		if !slices.Contains(strings.Fields(argv[i+1]), want) {
			t.Errorf("no %q in %q", want, argv[i+1])
		}
	}
	if end := argv[len(argv)-2:]; !cmp.Equal(end, m.Extra) {
		t.Errorf("the user's arguments are not the last: %q", end)
	}

	m.KVM, m.QEMU = true, "/opt/qemu"
	if argv, err = m.Command(); err != nil || argv[0] != "/opt/qemu" || !slices.Contains(options(argv), "-accel kvm") {
		t.Errorf("with KVM: %q, %v", argv, err)
	}
	m.Plain, m.Shares = true, nil
	if argv, err = m.Command(); err != nil {
		t.Fatal(err)
	}
	for _, no := range []string{"wire", "-no-reboot", "share0", "panic=-1", "reboot=t"} {
		if strings.Contains(strings.Join(argv, " "), no) {
			t.Errorf("a plain machine has %s: %q", no, argv)
		}
	}
	if i := slices.Index(argv, "-append"); argv[i+1] != "console=ttyS0 no_timer_check quiet x=1" || !slices.Contains(options(argv), "-initrd /k/init.cpio") {
		t.Errorf("a plain machine is %q", argv)
	}
	m = Machine{Arch: "arm64", CPUs: 1, MemoryMiB: 512}
	if argv, err = m.Command(); err != nil || argv[0] != "qemu-system-aarch64" || !slices.Contains(options(argv), "-cpu max,pauth=off,lpa2=off") {
		t.Errorf("for arm64: %q, %v", argv, err)
	}
	m.Arch = "sparc"
	if _, err = m.Command(); err == nil {
		t.Error("a machine for sparc")
	}
}

// TestRouting: interrupts of devices that we do not know are routed.
func TestRouting(t *testing.T) {
	for _, tt := range []struct {
		name    string
		machine *Machine
		routed  bool
	}{
		{"our devices", &Machine{Arch: "amd64"}, false},
		{"another one", &Machine{Arch: "amd64", Extra: []string{"-nic", "user,model=e1000"}}, true},
		{"KVM", &Machine{Arch: "amd64", KVM: true}, true},
		{"nothing of ours", &Machine{Arch: "amd64", Plain: true}, true},
		{"arm64", &Machine{Arch: "arm64"}, true},
	} {
		argv, err := tt.machine.Command()
		if err != nil {
			t.Fatal(err)
		}
		parameters := strings.Fields(argv[slices.Index(argv, "-append")+1])
		if routed := !slices.Contains(parameters, "acpi=noirq"); routed != tt.routed {
			t.Errorf("%s: routed %v, want %v", tt.name, routed, tt.routed)
		}
	}
}

// TestClock: only a TSC made of one that is trusted is trusted.
func TestClock(t *testing.T) {
	host, err := os.ReadFile("/sys/devices/system/clocksource/clocksource0/current_clocksource")
	trusted := err == nil && string(host) == "tsc\n"
	for _, tt := range []struct {
		name    string
		machine *Machine
		want    bool
	}{
		{"translated", &Machine{Arch: "amd64"}, trusted},
		{"KVM", &Machine{Arch: "amd64", KVM: true}, false},
		{"arm64", &Machine{Arch: "arm64"}, false},
	} {
		argv, err := tt.machine.Command()
		if err != nil {
			t.Fatal(err)
		}
		parameters := strings.Fields(argv[slices.Index(argv, "-append")+1])
		if got := slices.Contains(parameters, "tsc=reliable"); got != tt.want {
			t.Errorf("%s: trusted %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestNoSuchQEMU(t *testing.T) {
	m := Machine{Arch: "amd64", QEMU: filepath.Join(t.TempDir(), "qemu")}
	err := m.Start(t.Context())
	var missing *NotFoundError
	if !errors.As(err, &missing) || missing.Hint() == "" || !strings.HasPrefix(err.Error(), "find ") {
		t.Errorf("Start = %v", err)
	}
}

// program writes a shell script that stands in for QEMU.
func program(t *testing.T, script string) string {
	t.Helper()
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("no sh to stand in for QEMU")
	}
	path := filepath.Join(t.TempDir(), "qemu")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestType(t *testing.T) {
	var console strings.Builder
	m := Machine{Arch: "amd64", Plain: true, QEMU: program(t, "read line <&4; echo typed $line >&4"), Console: &console}
	if err := m.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer m.Wire().Close()
	if err := errors.Join(m.Type("poweroff\n"), m.Wait()); err != nil {
		t.Fatal(err)
	}
	if got := console.String(); got != "typed poweroff\n" {
		t.Errorf("console: %q", got)
	}
}

func TestRun(t *testing.T) {
	var console strings.Builder
	m := Machine{Arch: "amd64", QEMU: program(t, "echo from the kernel >&4; read line <&3; echo got $line >&3"), Console: &console}
	if err := m.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer m.Wire().Close()
	if _, err := io.WriteString(m.Wire(), "hello\n"); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(m.Wire())
	if err != nil || string(answer) != "got hello\n" {
		t.Errorf("wire: %q, %v", answer, err)
	}
	if err := m.Wait(); err != nil {
		t.Error(err)
	}
	if got := console.String(); got != "from the kernel\n" {
		t.Errorf("console: %q", got)
	}
}

func TestExitError(t *testing.T) {
	m := Machine{Arch: "amd64", QEMU: program(t, "echo could not open disk >&2; exit 1"), Console: io.Discard}
	if err := m.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer m.Wire().Close()
	err := m.Wait()
	var exit *ExitError
	if !errors.As(err, &exit) || exit.Stderr != "could not open disk" {
		t.Errorf("Wait = %v", err)
	}
}

// TestCancel is about a QEMU that has started other processes: none outlives
// the context.
func TestCancel(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	m := Machine{Arch: "amd64", QEMU: program(t, "sleep 60 & echo $! >&4; wait"), Console: io.Discard}
	pid := make(chan string, 1)
	m.Console = writerFunc(func(b []byte) { pid <- strings.TrimSpace(string(b)) })
	if err := m.Start(ctx); err != nil {
		t.Fatal(err)
	}
	defer m.Wire().Close()
	child := <-pid
	cancel()
	select {
	case <-m.Done():
	case <-time.After(10 * time.Second):
		t.Fatal("it goes on after its context has ended")
	}
	for range 100 {
		if state, err := os.ReadFile("/proc/" + child + "/stat"); err != nil || strings.Contains(string(state), ") Z ") {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("its child %s is left", child)
}

type writerFunc func([]byte)

func (f writerFunc) Write(b []byte) (int, error) { f(b); return len(b), nil }

func TestTail(t *testing.T) {
	var tl tail
	for range 1000 {
		_, _ = io.WriteString(&tl, "0123456789")
	}
	_, _ = io.WriteString(&tl, "the end")
	if got := tl.String(); len(got) != tailSize || !strings.HasSuffix(got, "9the end") {
		t.Errorf("%d bytes, …%q", len(got), got[len(got)-20:])
	}
}
