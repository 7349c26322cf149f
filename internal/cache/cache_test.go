package cache

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

const kib = 1 << 10

// put makes an entry with a file of the size, last used that many days ago.
func put(t *testing.T, dir, entry string, size, days int) {
	t.Helper()
	path := filepath.Join(dir, entry, "lib/modules/6.12.9")
	if strings.HasPrefix(entry, blobs) {
		path = filepath.Join(dir, entry)
	} else {
		path = filepath.Join(path, "m.ko")
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, make([]byte, size), 0o644); err != nil {
		t.Fatal(err)
	}
	used := time.Now().Add(-time.Duration(days) * 24 * time.Hour)
	if err := os.Chtimes(filepath.Join(dir, entry), used, used); err != nil {
		t.Fatal(err)
	}
}

// names are AREA/NAME of the entries.
func names(entries []Entry) []string {
	var all []string
	for _, e := range entries {
		all = append(all, e.Area+"/"+e.Name)
	}
	return all
}

func list(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := List(dir, true)
	if err != nil {
		t.Fatal(err)
	}
	return names(entries)
}

// release lets go of what this process holds, as its end does.
func release(t *testing.T) {
	t.Helper()
	held.Lock()
	defer held.Unlock()
	for path, f := range held.files {
		f.Close()
		delete(held.files, path)
	}
}

func TestList(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "images/a", 100*kib, 3)
	put(t, dir, "images/b", 10*kib, 1)
	put(t, dir, "builds/c", kib, 2)
	put(t, dir, "blobs/d", kib, 0)
	put(t, dir, "runs/x", kib, 0) // not ours
	for _, name := range []string{"images/a.lock", "images/e.lock", "images/f.use", "builds/c.log"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	old := time.Now().Add(-48 * time.Hour)
	if err := os.Chtimes(filepath.Join(dir, "builds/c.log"), old, old); err != nil {
		t.Fatal(err)
	}
	entries, err := List(dir, true)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"images/a", "builds/c", "images/b", "blobs/d"}, names(entries)); diff != "" {
		t.Errorf("entries, the one used longest ago first (-want +got):\n%s", diff)
	}
	a := entries[0]
	if a.Of != "6.12.9" || a.What != "pulled image" || a.Size < 100*kib || a.Size > 200*kib {
		t.Errorf("%+v", a)
	}
	if entries, err := List(filepath.Join(dir, "none"), true); err != nil || len(entries) > 0 {
		t.Errorf("without a cache: %v, %v", entries, err)
	}
}

func TestPrune(t *testing.T) {
	day := 24 * time.Hour
	for name, c := range map[string]struct {
		p    Pruning
		gone []string
	}{
		"no limits":        {Pruning{Size: -1, Built: true}, nil},
		"room for all":     {Pruning{Size: 1 << 30, Built: true}, nil},
		"nothing":          {Pruning{Size: 0, Built: true}, []string{"sources/1", "images/2", "kernels/3", "builds/4", "images/5"}},
		"only the fetched": {Pruning{Size: 0}, []string{"images/2", "kernels/3", "images/5"}},
		"a part":           {Pruning{Size: 250 * kib}, []string{"images/2"}},
		"by age":           {Pruning{Size: -1, Age: 3*day + day/2, Built: true}, []string{"sources/1", "images/2"}},
		"both":             {Pruning{Size: 150 * kib, Age: 3*day + day/2}, []string{"images/2", "kernels/3"}},
		"kept":             {Pruning{Size: 0, Keep: func(e Entry) bool { return e.Name == "2" }}, []string{"kernels/3", "images/5"}},
	} {
		for _, trial := range []bool{true, false} {
			dir := t.TempDir()
			for i, entry := range []string{"sources/1", "images/2", "kernels/3", "builds/4", "images/5"} {
				put(t, dir, entry, 100*kib, 5-i)
			}
			before := list(t, dir)
			c.p.Trial = trial
			r, err := Prune(t.Context(), dir, c.p)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.gone, names(r.Removed)); diff != "" {
				t.Errorf("%s: removed (-want +got):\n%s", name, diff)
			}
			want := slices.DeleteFunc(before, func(n string) bool { return !trial && slices.Contains(c.gone, n) })
			if diff := cmp.Diff(strings.Join(want, " "), strings.Join(list(t, dir), " ")); diff != "" {
				t.Errorf("%s, trial %v: stays, in the same order (-want +got):\n%s", name, trial, diff)
			}
			if len(c.gone) > 0 && r.Freed() < int64(len(c.gone))*100*kib {
				t.Errorf("%s: freed %d", name, r.Freed())
			}
			if left := find(t, dir, trash); len(left) > 0 {
				t.Errorf("%s: left in the trash: %q", name, left)
			}
		}
	}
}

// find lists the paths below dir whose names hold the text.
func find(t *testing.T, dir, text string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if strings.Contains(filepath.Base(path), text) {
			found = append(found, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// What is used stays: by this process, by a lock for filling it, and until a
// process has ended, however.
func TestInUse(t *testing.T) {
	dir := t.TempDir()
	all := []string{"images/held", "sources/filled", "blobs/loading", "kernels/free"}
	for i, entry := range all {
		put(t, dir, entry, 10*kib, 10-i)
	}
	if err := Hold(filepath.Join(dir, "images/held")); err != nil {
		t.Fatal(err)
	}
	var locks []*os.File
	for _, name := range []string{"sources/filled.lock", "blobs/loading"} {
		f, err := os.OpenFile(filepath.Join(dir, name), os.O_RDWR|os.O_CREATE, 0o644)
		if err == nil {
			err = unix.Flock(int(f.Fd()), unix.LOCK_EX)
		}
		if err != nil {
			t.Fatal(err)
		}
		locks = append(locks, f)
	}
	everything := Pruning{Size: 0, Built: true}
	r, err := Prune(t.Context(), dir, everything)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"kernels/free"}, names(r.Removed)); diff != "" || r.InUse != 3 {
		t.Errorf("%d in use, removed (-want +got):\n%s", r.InUse, diff)
	}
	release(t)
	for _, f := range locks {
		f.Close()
	}
	r, err = Prune(t.Context(), dir, everything)
	if diff := cmp.Diff([]string{"sources/filled", "blobs/loading", "images/held"}, names(r.Removed)); err != nil || diff != "" {
		t.Errorf("%v, removed (-want +got):\n%s", err, diff)
	}
}

// Using an entry makes it the last to go.
func TestHold(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "images/a", kib, 2)
	put(t, dir, "images/b", kib, 1)
	for range 2 {
		if err := Hold(filepath.Join(dir, "images/a")); err != nil {
			t.Fatal(err)
		}
	}
	release(t)
	if diff := cmp.Diff([]string{"images/b", "images/a"}, list(t, dir)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := Hold(filepath.Join(dir, "file/images/a")); err == nil || !strings.Contains(err.Error(), "file") {
		t.Errorf("in a cache that cannot be written: %v", err)
	}
}

// A process that was killed while it removed something leaves it to the next.
func TestSweep(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "images/a"+trash+"1", kib, 0)
	if _, err := Prune(t.Context(), dir, Pruning{Size: -1}); err != nil {
		t.Fatal(err)
	}
	if left := find(t, dir, trash); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}

// The hold of a process ends with it, also when it is killed. The process is
// this test's binary.
func TestKilled(t *testing.T) {
	const variable = "VMTEST_CACHE_TEST_HOLD"
	if entry := os.Getenv(variable); entry != "" {
		if err := Hold(entry); err != nil {
			t.Fatal(err)
		}
		os.Stdout.WriteString("held\n")
		time.Sleep(time.Minute)
		return
	}
	dir := t.TempDir()
	put(t, dir, "images/a", kib, 1)
	cmd := exec.Command(os.Args[0], "-test.run=^TestKilled$")
	cmd.Env = append(os.Environ(), variable+"="+filepath.Join(dir, "images/a"))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	if r, err := Prune(t.Context(), dir, Pruning{Size: 0}); err != nil || r.InUse != 1 {
		t.Errorf("while it lives: %+v, %v", r, err)
	}
	if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	var killed *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &killed) {
		t.Fatal(err)
	}
	if r, err := Prune(t.Context(), dir, Pruning{Size: 0}); err != nil || len(r.Removed) != 1 {
		t.Errorf("after its end: %+v, %v", r, err)
	}
}
