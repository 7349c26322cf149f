package report

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bpf-vmtest/bpf-vmtest/internal/result"
)

var update = flag.Bool("update", false, "write the golden files")

// TestText renders recorded streams. Beside each lies what is to be printed,
// without and with -v: results first, then the notes.
func TestText(t *testing.T) {
	files, err := filepath.Glob("testdata/*.jsonl")
	if err != nil || len(files) == 0 {
		t.Fatalf("no streams: %v", err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(file, ".jsonl")
		t.Run(filepath.Base(name), func(t *testing.T) {
			checkGolden(t, name+".txt", renderFile(t, file, false))
			checkGolden(t, name+"-v.txt", renderFile(t, file, true))
		})
	}
}

func renderFile(t *testing.T, file string, verbose bool) string {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out, notes strings.Builder
	if err := renderText(f, &Text{Out: &out, Notes: &notes, Verbose: verbose}); err != nil {
		t.Fatal(err)
	}
	return out.String() + "=== notes\n" + notes.String()
}

// renderText renders a stream as cmd/vmtest does.
func renderText(r io.Reader, text *Text) error {
	text.Matrix = &Matrix{}
	return result.Decode(r, result.SinkFunc(func(e result.Event) error {
		return errors.Join(text.Matrix.Event(e), text.Event(e))
	}))
}

func checkGolden(t *testing.T, golden, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", golden, diff)
	}
}

// TestTorn renders streams that end anywhere, as those of killed runs do.
func TestTorn(t *testing.T) {
	files, err := filepath.Glob("testdata/*.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		stream, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		lines := bytes.SplitAfter(stream, []byte("\n"))
		for n := 1; n < len(lines); n += max(1, len(lines)/40) {
			var out bytes.Buffer
			text := &Text{Out: &out, Notes: &out}
			if err := renderText(bytes.NewReader(bytes.Join(lines[:n], nil)), text); err != nil {
				t.Errorf("%s, cut after %d lines: %v", file, n, err)
			}
			for _, f := range Formats {
				if err := text.Matrix.Write(&out, f.Name); err != nil {
					t.Errorf("%s, cut after %d lines: %s: %v", file, n, f.Name, err)
				}
			}
		}
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, os.ErrPermission }

// TestTextUnwritable is about standard output on a full disk: a lost result is
// an error, a lost note is not.
func TestTextUnwritable(t *testing.T) {
	stream, err := os.ReadFile("testdata/fail.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := renderText(bytes.NewReader(stream), &Text{Out: full{}, Notes: &b}); err == nil {
		t.Error("results that nobody gets are no error")
	}
	if err := renderText(bytes.NewReader(stream), &Text{Out: &b, Notes: full{}}); err != nil {
		t.Errorf("notes that nobody gets: %v", err)
	}
}
