package template

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

const memoryMiB = 1

// fakeSave leaves what QEMU would.
func fakeSave(t *Template) error {
	ram := make([]byte, memoryMiB<<20)
	copy(ram[3*pageSize:], "something")
	t.Said = []byte(`"hello"`)
	return errors.Join(
		os.WriteFile(t.RAM, ram, 0o600),
		os.WriteFile(t.State, []byte("devices"), 0o600),
		os.WriteFile(t.Console, []byte("Linux version"), 0o600))
}

func key(t *testing.T, description any) Key {
	t.Helper()
	k, err := KeyOf(description)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// make1 makes a template and fails the test if that does not work.
func make1(t *testing.T, s Store, k Key) *Template {
	t.Helper()
	tmpl, err := s.Make(t.Context(), k, memoryMiB, func() {}, fakeSave)
	if err != nil {
		t.Fatal(err)
	}
	return tmpl
}

func TestMakeAndFind(t *testing.T) {
	s, k := Store{Dir: t.TempDir()}, key(t, "a machine")
	if got, err := s.Find(k); got != nil || err != nil {
		t.Fatalf("found %v, %v in an empty store", got, err)
	}
	made := make1(t, s, k)
	found, err := s.Find(k)
	if err != nil || found.Snapshot != made.Snapshot || string(found.Said) != `"hello"` {
		t.Fatalf("found %+v, %v, want %+v", found, err, made)
	}
	if got, err := s.Find(key(t, "another machine")); got != nil || err != nil {
		t.Errorf("found %v, %v for another key", got, err)
	}
	s.Discard(k)
	if got, err := s.Find(k); got != nil || err != nil {
		t.Errorf("found %v, %v after it was discarded", got, err)
	}
}

// TestHoles: what the guest wrote zeros to takes no space.
func TestHoles(t *testing.T) {
	s, k := Store{Dir: t.TempDir()}, key(t, "a machine")
	made := make1(t, s, k)
	data, err := os.ReadFile(made.RAM)
	if err != nil || len(data) != memoryMiB<<20 || !bytes.HasPrefix(data[3*pageSize:], []byte("something")) {
		t.Fatalf("the memory is not what was written: %d bytes, %v", len(data), err)
	}
	entries, err := os.ReadDir(filepath.Dir(made.RAM))
	if err != nil || len(entries) != 4 {
		t.Fatalf("%v, %v", entries, err)
	}
	var blocks int64
	if blocks, err = allocated(made.RAM); err != nil || blocks > 64<<10 {
		t.Errorf("%d bytes are allocated, %v", blocks, err)
	}
}

// TestDamaged: whatever happens to a template's files, it is not used again, and
// made anew under the same key.
func TestDamaged(t *testing.T) {
	for name, damage := range map[string]func(*Template) error{
		"memory truncated":       func(t *Template) error { return os.Truncate(t.RAM, 4096) },
		"memory cut and regrown": func(t *Template) error { return errors.Join(os.Truncate(t.RAM, 0), os.Truncate(t.RAM, memoryMiB<<20)) },
		"memory of another": func(t *Template) error {
			b, err := os.ReadFile(t.RAM)
			return errors.Join(err, os.Remove(t.RAM), os.WriteFile(t.RAM, b, 0o600))
		},
		"memory written to, its time put back": func(t *Template) error {
			info, err := os.Stat(t.RAM)
			if err != nil {
				return err
			}
			f, err := os.OpenFile(t.RAM, os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			_, err = f.WriteString("x")
			return errors.Join(err, f.Close(), os.Chtimes(t.RAM, info.ModTime(), info.ModTime()))
		},
		"no memory":       func(t *Template) error { return os.Remove(t.RAM) },
		"memory a device": func(t *Template) error { return errors.Join(os.Remove(t.RAM), os.Symlink("/dev/zero", t.RAM)) },
		"state truncated": func(t *Template) error { return os.Truncate(t.State, 3) },
		"no state":        func(t *Template) error { return os.Remove(t.State) },
		"record torn":     func(t *Template) error { return os.Truncate(filepath.Join(filepath.Dir(t.RAM), recordFile), 20) },
		"no record":       func(t *Template) error { return os.Remove(filepath.Join(filepath.Dir(t.RAM), recordFile)) },
		"record of another": func(t *Template) error {
			path := filepath.Join(filepath.Dir(t.RAM), recordFile)
			b, err := os.ReadFile(path)
			return errors.Join(err, os.WriteFile(path, bytes.Replace(b, []byte(`"Key":"`), []byte(`"Key":"0`), 1), 0o600))
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, k := Store{Dir: t.TempDir()}, key(t, "a machine")
			if err := damage(make1(t, s, k)); err != nil {
				t.Fatal(err)
			}
			var damaged *DamagedError
			if got, err := s.Find(k); got != nil || !errors.As(err, &damaged) {
				t.Errorf("found %v, %v, want a DamagedError", got, err)
			}
			make1(t, s, k)
			if got, err := s.Find(k); got == nil || err != nil {
				t.Errorf("made anew, found %v, %v", got, err)
			}
		})
	}
}

// TestCopied: a template is not one elsewhere.
func TestCopied(t *testing.T) {
	here, there, k := Store{Dir: t.TempDir()}, Store{Dir: t.TempDir()}, key(t, "a machine")
	make1(t, here, k)
	if err := os.CopyFS(there.Dir, os.DirFS(here.Dir)); err != nil {
		t.Fatal(err)
	}
	if got, err := there.Find(k); got != nil || err == nil {
		t.Errorf("found %v, %v", got, err)
	}
}

// TestAtOnce: however many want a template, one makes it.
func TestAtOnce(t *testing.T) {
	s, k := Store{Dir: t.TempDir()}, key(t, "a machine")
	var saves atomic.Int32
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			got, err := s.Make(context.Background(), k, memoryMiB, func() {}, func(t *Template) error {
				saves.Add(1)
				time.Sleep(20 * time.Millisecond)
				return fakeSave(t)
			})
			if got == nil || err != nil {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
	group.Wait()
	if n := saves.Load(); n != 1 {
		t.Errorf("saved %d times", n)
	}
}

// TestFailed: what could not be saved leaves nothing.
func TestFailed(t *testing.T) {
	s, k := Store{Dir: t.TempDir()}, key(t, "a machine")
	full := errors.New("no space left on device")
	_, err := s.Make(t.Context(), k, memoryMiB, func() {}, func(t *Template) error {
		return errors.Join(fakeSave(t), full)
	})
	if !errors.Is(err, full) {
		t.Fatalf("got %v", err)
	}
	if left := directories(t, s); len(left) > 0 {
		t.Errorf("%v are left", left)
	}
	if got, err := s.Find(k); got != nil || err != nil {
		t.Errorf("found %v, %v", got, err)
	}
}

// TestLeft: what was left by those killed while they were saving, and by the
// host's earlier lives, goes when the next one saves.
func TestLeft(t *testing.T) {
	s, k := Store{Dir: t.TempDir()}, key(t, "a machine")
	p := s.disk()
	old := Key{bootID: "another life", h: k.h}
	for _, dir := range []string{p.entry(k) + ".new-123", p.entry(old)} {
		if err := errors.Join(os.MkdirAll(dir, 0o700), os.WriteFile(filepath.Join(dir, ramFile), nil, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	make1(t, s, k)
	if left := directories(t, s); len(left) != 1 || left[0] != k.name() {
		t.Errorf("%v are there, want %s alone", left, k.name())
	}
}

// directories are those that a store has.
func directories(t *testing.T, s Store) []string {
	t.Helper()
	entries, err := os.ReadDir(s.disk().dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() && !strings.HasPrefix(e.Name(), ".") {
			names = append(names, e.Name())
		}
	}
	return names
}

// TestKey: nothing that is described goes unnoticed, and the same is the same.
func TestKey(t *testing.T) {
	type machine struct {
		CPUs   int
		Kernel File
	}
	a := machine{2, File{Ino: 1, Ctime: 5}}
	if key(t, a) != key(t, a) {
		t.Error("the same machine has two keys")
	}
	for _, b := range []machine{{1, a.Kernel}, {2, File{Ino: 2, Ctime: 5}}, {2, File{Ino: 1, Ctime: 6}}} {
		if key(t, a) == key(t, b) {
			t.Errorf("%+v has the key of %+v", b, a)
		}
	}
}

// TestPrivate: a directory that somebody else has made, or may enter, is none
// of ours.
func TestPrivate(t *testing.T) {
	dir := t.TempDir()
	open, link, mine := filepath.Join(dir, "open"), filepath.Join(dir, "link"), filepath.Join(dir, "mine")
	if err := errors.Join(os.Mkdir(open, 0o755), os.Chmod(open, 0o777), os.Symlink(dir, link)); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{open: false, link: false, mine: true} {
		for range 2 {
			if got := makePrivate(path); got != want {
				t.Errorf("%s: %v", filepath.Base(path), got)
			}
		}
	}
}

// allocated is what a file takes, in bytes.
func allocated(path string) (int64, error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	return info.Sys().(*syscall.Stat_t).Blocks * 512, nil
}
