package machine

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
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
