package console

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files")

// TestLog reads consoles as kernels print them. Beside each lies what is to be
// recognised in it.
func TestLog(t *testing.T) {
	files, err := filepath.Glob("testdata/*.console")
	if err != nil || len(files) == 0 {
		t.Fatalf("no consoles: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".console"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			golden := strings.TrimSuffix(file, ".console") + ".splats"
			for _, chunk := range []int{len(text), 1} {
				got := splats(serial(text), chunk)
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
					t.Errorf("in pieces of %d bytes (-want +got):\n%s", chunk, diff)
				}
			}
		})
	}
}

// serial gives a text the line ends of a serial line.
func serial(text []byte) []byte { return bytes.ReplaceAll(text, []byte("\n"), []byte("\r\n")) }

// splats describes what a Log recognises.
func splats(text []byte, chunk int) string {
	var b strings.Builder
	l := NewLog(&bytes.Buffer{}, nil)
	for len(text) > 0 {
		n := min(chunk, len(text))
		_, _ = l.Write(text[:n])
		text = text[n:]
	}
	for _, s := range l.Splats() {
		kind := "splat"
		if s.Fatal {
			kind = "panic"
		}
		if s.Stuck {
			kind = "stuck"
		}
		fmt.Fprintf(&b, "%s: %s\n\t%s\n", kind, s.Title, s.Fingerprint())
		for _, line := range s.Lines {
			fmt.Fprintf(&b, "\t%s\n", line)
		}
	}
	if p, ok := l.Panic(); ok {
		fmt.Fprintf(&b, "ended by: %s\n", p.Title)
	}
	return b.String()
}

func TestNotify(t *testing.T) {
	var told []string
	l := NewLog(&bytes.Buffer{}, func(s Splat) { told = append(told, s.Title) })
	fmt.Fprint(l, "[    1.000000] BUG: something\r\n[    1.1")
	if want := []string{"BUG: something"}; !cmp.Equal(told, want) {
		t.Errorf("told of %q, want %q", told, want)
	}
}

func TestTail(t *testing.T) {
	var file bytes.Buffer
	l := NewLog(&file, nil)
	if got := l.Tail(); len(got) != 0 {
		t.Errorf("Tail of nothing = %q", got)
	}
	for i := range 100 {
		fmt.Fprintf(l, "line %d\r\n", i)
	}
	fmt.Fprint(l, "\x1b[31mred\x1b[0m \x00\xff unfinished")
	got := l.Tail()
	if len(got) != tailLines+1 || got[0] != "line 60" || got[tailLines-1] != "line 99" || got[tailLines] != "[31mred[0m \uFFFD unfinished" {
		t.Errorf("Tail = %d lines, %q … %q", len(got), got[0], got[len(got)-2:])
	}
	if !bytes.Contains(file.Bytes(), []byte("\x1b[31mred\x1b[0m \x00\xff unfinished")) {
		t.Error("the file is not as it was written")
	}
}

// TestEndlessLine is about a guest that never ends its line: nothing of it is
// lost, and it takes no more memory than it should.
func TestEndlessLine(t *testing.T) {
	l := NewLog(&bytes.Buffer{}, nil)
	var want strings.Builder
	for i := 0; want.Len() < 1<<20; i++ {
		fmt.Fprintf(&want, "%07d.", i)
	}
	for text := []byte(want.String()); len(text) > 0; {
		n := min(1000, len(text))
		if m, err := l.Write(text[:n]); m != n || err != nil {
			t.Fatal(m, err)
		}
		text = text[n:]
	}
	fmt.Fprint(l, "\r\n[    2.000000] BUG: after it\r\n")
	tail := l.Tail()
	if got := strings.Join(tail[:len(tail)-1], ""); got != want.String() {
		t.Errorf("%d bytes of the line are left, want %d", len(got), want.Len())
	}
	if len(l.Splats()) != 1 {
		t.Errorf("Splats = %v", l.Splats())
	}
}

// TestEndless is about a guest that never ends at all.
func TestEndless(t *testing.T) {
	var file bytes.Buffer
	l := NewLog(&file, nil)
	chunk := bytes.Repeat([]byte(strings.Repeat("x", 1<<15-1)+"\n"), 1<<3)
	for range fileLimit/len(chunk) + 3 {
		if n, err := l.Write(chunk); n != len(chunk) || err != nil {
			t.Fatal(n, err)
		}
	}
	fmt.Fprint(l, "[    1.000000] BUG: after it\r\n")
	if over := file.Len() - fileLimit; over < 0 || over > 100 || !bytes.HasSuffix(file.Bytes(), []byte("nothing after the first 64 MiB is kept\r\n")) {
		t.Errorf("%d bytes are kept", file.Len())
	}
	if len(l.Splats()) != 1 || l.Err() != nil {
		t.Errorf("Splats = %v, Err = %v", l.Splats(), l.Err())
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestFullDisk(t *testing.T) {
	l := NewLog(full{}, nil)
	if n, err := l.Write([]byte("[    1.000000] BUG: x\n")); n != 22 || err != nil {
		t.Errorf("Write = %d, %v: the machine must go on", n, err)
	}
	if l.Err() == nil || len(l.Splats()) != 1 {
		t.Errorf("Err = %v, Splats = %v", l.Err(), l.Splats())
	}
}

// TestEndlessFaults is about a guest that reports one fault after the other.
func TestEndlessFaults(t *testing.T) {
	l := NewLog(io.Discard, nil)
	for i := range 2 * splatLimit {
		fmt.Fprintf(l, "[    1.000000] WARNING: at %d %s\r\n", i, strings.Repeat("x", 8<<10))
	}
	fmt.Fprint(l, "[    1.000000] Kernel panic - not syncing: one\r\n[    1.000000] Kernel panic - not syncing: two\r\n")
	all := l.Splats()
	if len(all) != splatLimit+1 || all[splatLimit].Title != "Kernel panic - not syncing: one" {
		t.Errorf("%d faults, the last one %q", len(all), all[len(all)-1].Title)
	}
	if got := len(all[0].Lines[0]); got != faultLine {
		t.Errorf("%d bytes of a line", got)
	}
}
