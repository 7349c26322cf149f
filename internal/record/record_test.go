package record

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// record makes a record that holds text.
func record(t *testing.T, cache, dir, text string) *Record {
	t.Helper()
	r, err := Create(cache, dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(r, text); err != nil {
		t.Fatal(err)
	}
	return r
}

func last(t *testing.T, cache, dir string) string {
	t.Helper()
	f, err := Last(cache, dir)
	if errors.Is(err, ErrNone) {
		return "none"
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestLast(t *testing.T) {
	cache := t.TempDir()
	if got := last(t, cache, "/a"); got != "none" {
		t.Errorf("before any run: %q", got)
	}
	for i := range kept + 5 {
		r := record(t, cache, "/a", fmt.Sprint("run ", i))
		if err := os.WriteFile(filepath.Join(r.Dir, "console.log"), nil, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Millisecond) // names are of milliseconds
	}
	if got, want := last(t, cache, "/a"), fmt.Sprint("run ", kept+4); got != want {
		t.Errorf("last = %q, want %q", got, want)
	}
	if runs, err := list(home(cache, "/a")); err != nil || len(runs) != kept {
		t.Errorf("%d runs are kept, want %d, %v", len(runs), kept, err)
	}
	if got := last(t, cache, "/b"); got != "none" {
		t.Errorf("another directory's: %q", got)
	}
}

// TestLastUnfinished is about runs that are under way, were killed, or recorded
// nothing.
func TestLastUnfinished(t *testing.T) {
	cache := t.TempDir()
	if err := record(t, cache, "/a", "finished").Close(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(2 * time.Millisecond)
	record(t, cache, "/a", "half a ru") // killed
	empty := record(t, cache, "/a", "")
	if err := empty.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(empty.Dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("an empty record is left: %v", err)
	}
	if got := last(t, cache, "/a"); got != "finished" {
		t.Errorf("last = %q", got)
	}
}

func TestCreateError(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Create(file, "/a"); err == nil {
		t.Error("a record in a cache that is a file")
	}
}
