package machine

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bpf-vmtest/bpf-vmtest/internal/sandbox"
)

// TestSnapshotArguments: a machine that is restored is the one that was saved
// but for what it must not share with it.
func TestSnapshotArguments(t *testing.T) {
	command := func(restore bool) []string {
		m := Machine{Arch: "amd64", CPUs: 2, MemoryMiB: 512, Snapshot: &Snapshot{RAM: "/a,b/ram", State: "/a,b/state"}, Restore: restore}
		argv, err := m.Command()
		if err != nil {
			t.Fatal(err)
		}
		return argv
	}
	saved, restored := command(false), command(true)
	if !slices.Contains(saved, "memory-backend-file,id=ram,size=512M,mem-path=/a,,b/ram,share=on") {
		t.Errorf("the memory of the machine that is saved: %q", saved)
	}
	want := slices.Concat(saved, []string{"-incoming", "defer"})
	i := slices.IndexFunc(want, func(s string) bool { return strings.Contains(s, "share=on") })
	want[i] = strings.Replace(want[i], "share=on", "share=off", 1)
	slices.Sort(want)
	slices.Sort(restored)
	if diff := cmp.Diff(want, restored); diff != "" {
		t.Errorf("the machine that is restored (-want +got):\n%s", diff)
	}
}

// TestSaveOwner: what a machine is started from belongs to those alone who have to write
// to it.
func TestSaveOwner(t *testing.T) {
	nobody := os.Geteuid()
	if sandbox.Check() == nil {
		nobody = sandbox.Nobody
	}
	for qemu, want := range map[string]struct {
		readOnly bool
		owner    int
	}{
		`"major": 7, "minor": 2`: {false, nobody}, `"major": 8, "minor": 1`: {false, nobody},
		`"major": 8, "minor": 2`: {true, os.Geteuid()}, `"major": 10, "minor": 0`: {true, os.Geteuid()},
	} {
		t.Run(qemu, func(t *testing.T) {
			s := Snapshot{RAM: filepath.Join(t.TempDir(), "ram"), State: filepath.Join(t.TempDir(), "state")}
			m := Machine{Arch: "amd64", Console: io.Discard, Kernel: os.Args[0], Snapshot: &s, QEMU: program(t, `
echo memory >`+s.RAM+`
echo '{"QMP": {"version": {"qemu": {`+qemu+`, "micro": 0}}}}' >&5
for i in 1 2 3 4 5; do read x <&5; echo '{"return": {}}' >&5; done
echo '{"event": "MIGRATION", "data": {"status": "completed"}}' >&5
read x <&5; echo '{"return": {}}' >&5`)}
			m.Rooted = func(err error) {
				if sandbox.Check() == nil {
					t.Errorf("it runs as root: %v", err)
				}
			}
			if err := m.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			defer m.Wire().Close()
			if err := m.Save(); err != nil {
				t.Fatal(err)
			}
			info, err := os.Stat(s.RAM)
			if err != nil {
				t.Fatal(err)
			}
			if owner := int(info.Sys().(*syscall.Stat_t).Uid); owner != want.owner || info.Mode().Perm() != 0o600 && nobody != os.Geteuid() || s.ReadOnly != want.readOnly {
				t.Errorf("%d may %v it, read-only %v; want %d, %v", owner, info.Mode(), s.ReadOnly, want.owner, want.readOnly)
			}
			argv, err := (&Machine{Arch: "amd64", Snapshot: &s, Restore: true}).Command()
			if got := strings.Contains(strings.Join(argv, " "), "readonly=on,rom=off"); err != nil || got != want.readOnly {
				t.Errorf("%q, %v", argv, err)
			}
		})
	}
}

// TestRooted: QEMU runs as root where it must, and that is said.
func TestRooted(t *testing.T) {
	if err := sandbox.Check(); err != nil {
		t.Skipf("not possible here: %v", err)
	}
	ram := filepath.Join(t.TempDir(), "ram")
	if err := os.WriteFile(ram, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		machine *Machine
		why     string // or empty: it runs as nobody
		uid     string
	}{
		"by itself":     {&Machine{}, "", "65534"},
		"asked for":     {&Machine{AsRoot: true}, "", "0"},
		"more":          {&Machine{Extra: []string{"-hda", "/dev/sda"}}, "-qemu-arg may name", "0"},
		"no kernel":     {&Machine{Kernel: "/nonexistent"}, "/nonexistent", "0"},
		"root's memory": {&Machine{Snapshot: &Snapshot{RAM: ram, State: ram}, Restore: true}, "is root's", "0"},
		"private KVM":   {&Machine{KVM: true}, "/dev/kvm is for root alone", "0"},
	} {
		t.Run(name, func(t *testing.T) {
			if info, err := os.Stat("/dev/kvm"); tt.machine.KVM && (err != nil || info.Mode().Perm() != 0o600) {
				t.Skip("this host's is not")
			}
			var console strings.Builder
			m := tt.machine
			m.Arch, m.Console, m.QEMU = "amd64", &console, program(t, "id -u >&4; echo '{}' >&5")
			if m.Kernel == "" {
				m.Kernel = os.Args[0]
			}
			if m.AsNobody() && tt.machine.AsRoot {
				t.Error("it is nobody's, and root is asked for")
			}
			said := ""
			m.Rooted = func(err error) { said = err.Error() }
			if err := m.Start(t.Context()); err == nil {
				m.Wire().Close()
				_ = m.Wait()
			}
			if got := strings.TrimSpace(console.String()); got != tt.uid || tt.why == "" && said != "" || !strings.Contains(said, tt.why) {
				t.Errorf("user %s, %q; want %s, %q", got, said, tt.uid, tt.why)
			}
		})
	}
}

// TestSnapshotErrors: a QEMU that cannot do it is no mystery.
func TestSnapshotErrors(t *testing.T) {
	for name, tt := range map[string]struct{ script, want string }{
		"ends":     {"echo no such thing >&2; exit 1", "no such thing"},
		"speaks":   {"echo hello >&5; sleep 60", "invalid character"},
		"refuses":  {`echo '{"QMP": {}}' >&5; read x <&5; echo '{"error": {"desc": "not today"}}' >&5; sleep 60`, "not today"},
		"stumbles": {`echo '{"QMP": {}}' >&5; for i in 1 2 3 4; do read x <&5; echo '{"return": {}}' >&5; done; echo '{"event": "MIGRATION", "data": {"status": "failed"}}' >&5; sleep 60`, "migrate: failed"},
		"dies":     {`echo '{"QMP": {}}' >&5; read x <&5; echo bad state >&2; exit 1`, "bad state"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			qemu, state := filepath.Join(dir, "qemu"), filepath.Join(dir, "state")
			if err := errors.Join(os.WriteFile(qemu, []byte("#!/bin/sh\n"+tt.script+"\n"), 0o755), os.WriteFile(state, nil, 0o600)); err != nil {
				t.Fatal(err)
			}
			m := Machine{QEMU: qemu, Arch: "amd64", Console: &strings.Builder{}, Snapshot: &Snapshot{RAM: filepath.Join(dir, "ram"), State: state}, Restore: true}
			err := m.Start(context.Background())
			var snapshot *SnapshotError
			if !errors.As(err, &snapshot) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want a SnapshotError with %q", err, tt.want)
			}
			select {
			case <-m.Done():
			default:
				t.Error("QEMU goes on")
			}
		})
	}
}
