package store

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/bpf-vmtest/bpf-vmtest/internal/kernelref"
	"github.com/bpf-vmtest/bpf-vmtest/internal/lockfile"
)

// pin looks the reference up and enters it into the store's lock file.
func pin(t *testing.T, s *Store, ref string) lockfile.Pin {
	t.Helper()
	parsed, err := kernelref.Parse(ref, "")
	if err != nil {
		t.Fatal(err)
	}
	p, err := s.LookUp(t.Context(), parsed)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Lock.Set(p); err != nil {
		t.Fatal(err)
	}
	return p
}

// A tag that moves is said to have moved, and the lock file holds it.
func TestMovedTag(t *testing.T) {
	server := newServer(t)
	first, second := t.TempDir(), t.TempDir()
	image := pack(t, first, "6.12", "6.12.95", "amd64")
	pack(t, second, "6.12", "6.12.96", "amd64")
	old := server.push(t, first, "6.12") // of the index
	ref := server.repository + ":6.12"
	s := newStore(t)
	var notices []string
	s.Notice = func(m string) { notices = append(notices, m) }
	s.Lock = &lockfile.File{Path: "kernels.lock"}
	p := pin(t, s, ref)
	if p.Digest != old || p.Release != "6.12.95" || p.Reference() != ref {
		t.Errorf("pin is %+v, want %s", p, old)
	}
	if left := cached(t, s); len(left) > 0 {
		t.Errorf("looking it up brought %v into the cache", left)
	}
	moved := server.push(t, second, "6.12")
	notices = nil
	k, err := resolve(t, s, "%s", ref)
	if err != nil || k.Digest != image || k.Name != ref {
		t.Errorf("locked: %+v, %v", k, err)
	}
	if want := []string{ref + " is " + old + ", 6.12.95, as kernels.lock has it"}; !slices.Equal(notices, want) {
		t.Errorf("notices %q, want %q", notices, want)
	}
	s.Lock, notices = nil, nil
	k, err = resolve(t, s, "%s", ref)
	if err != nil || k.Release != "6.12.96" {
		t.Errorf("not locked: %+v, %v", k, err)
	}
	if want := ref + " has moved: it is " + moved + ", and was " + old; len(notices) != 1 || !strings.HasPrefix(notices[0], want) {
		t.Errorf("notices %q, want one with %q", notices, want)
	}
	notices = nil
	if _, err := resolve(t, s, "%s", ref); err != nil || !slices.Equal(notices, []string{ref + " is " + moved}) {
		t.Errorf("again: %v, notices %q", err, notices)
	}
}

// What the lock file names may have been deleted.
func TestGone(t *testing.T) {
	server, dir := newServer(t), t.TempDir()
	pack(t, dir, "6.12", "6.12.95", "amd64")
	digest := server.push(t, dir, "6.12")
	s, other := newStore(t), newStore(t)
	s.Lock = &lockfile.File{Path: ".vmtest/kernels.lock"}
	ref := server.repository + ":6.12"
	pin(t, s, ref)
	d, err := name.NewDigest(server.repository + "@" + digest)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Delete(d); err != nil {
		t.Fatal(err)
	}
	other.Lock = s.Lock
	_, err = resolve(t, other, "%s", ref)
	var gone *GoneError
	if !errors.As(err, &gone) || !strings.Contains(err.Error(), digest) || !strings.Contains(gone.Hint(), "vmtest kernel lock -update "+ref) {
		t.Errorf("error %v, want a GoneError", err)
	}
}

// References that there is nothing to lock about, and nothing there to lock.
func TestLookUpErrors(t *testing.T) {
	server := newServer(t)
	for ref, want := range map[string]string{
		"./bzImage":    "lock kernel \"./bzImage\"",
		"oci:dir:6.12": "lock kernel",
		server.repository + "@sha256:" + strings.Repeat("0", 64): "lock kernel",
		server.repository + ":6.12":                              "404 Not Found",
	} {
		parsed, err := kernelref.Parse(ref, "")
		if err != nil {
			t.Fatal(err)
		}
		if p, err := newStore(t).LookUp(t.Context(), parsed); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %+v, %v, want an error with %q", ref, p, err, want)
		}
	}
}

// A store with a limit removes what was used longest ago when something comes
// in, but neither what is in use nor what the lock file names.
func TestLimit(t *testing.T) {
	server, dir := newServer(t), t.TempDir()
	pack(t, dir, "6.12", "6.12.95", "amd64")
	pack(t, dir, "6.12", "6.12.95", "arm64")
	server.push(t, dir, "6.12")
	ref := server.repository + ":6.12"
	s := newStore(t)
	s.Limit = 1 << 30
	s.Lock = &lockfile.File{}
	pin(t, s, ref)
	arm := newStore(t)
	arm.Dir, arm.Arch = s.Dir, "arm64"
	pinned, err := resolve(t, arm, "%s", ref) // its process has ended
	if err != nil {
		t.Fatal(err)
	}
	const stranger = "images/0123"
	writeFiles(t, s.Dir, map[string]string{stranger + "/kernel/boot/vmlinuz": strings.Repeat("x", 1<<20)})
	var notices []string
	s.Notice = func(m string) { notices = append(notices, m) }
	if _, err := resolve(t, s, "oci:%s:6.12", dir); err != nil {
		t.Fatal(err)
	}
	if len(notices) > 0 {
		t.Errorf("with room for all: notices %q", notices)
	}
	s.Limit = 1
	other := t.TempDir()
	pack(t, other, "6.6", "6.6.80", "amd64")
	k, err := resolve(t, s, "oci:%s", other)
	if err != nil {
		t.Fatal(err)
	}
	if len(notices) != 1 || !strings.Contains(notices[0], "1 of its entries, 1.0 MiB") {
		t.Errorf("notices %q, want one about 1 MiB", notices)
	}
	if _, err := os.Stat(filepath.Join(s.Dir, stranger)); err == nil {
		t.Error("what was used longest ago is still there")
	}
	for _, k := range []string{k.Image, pinned.Image} {
		if _, err := os.Stat(k); err != nil {
			t.Errorf("it is gone: %v", err)
		}
	}
}
