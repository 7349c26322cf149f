package bundle

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files")

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
		t.Fatal(err)
	}
}

// run is a bundle of a run on one kernel.
func run(t *testing.T, dir, kernel string) *Bundle {
	t.Helper()
	b, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Kernel(kernel, "kernel debian:6.12\n"); err != nil {
		t.Fatal(err)
	}
	return b
}

func TestOpen(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "out")
	b := run(t, dir, "debian_6.12")
	write(t, b.Dir, "debian_6.12/m/artifacts/old", "")
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	run(t, dir, "debian_6.1") // takes the place of the first
	if _, err := os.Stat(filepath.Join(dir, "debian_6.12")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the earlier run's kernel is still there: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "debian_6.1", About)); err != nil {
		t.Error(err)
	}
}

// TestOpenForeign is about directories that hold something else, of which
// nothing may be removed.
func TestOpenForeign(t *testing.T) {
	for _, name := range []string{"file", "directory/file", "debian_6.12/console.log", Readme} {
		dir := t.TempDir()
		write(t, dir, name, "mine")
		run := filepath.Join(dir, "debian_6.1")
		write(t, run, About, "")
		_, err := Open(dir)
		var wrong *DirError
		if !errors.As(err, &wrong) || wrong.ExitCode() != 2 || wrong.Hint() == "" {
			t.Errorf("%s: %v", name, err)
		}
		for _, path := range []string{filepath.Join(dir, name), filepath.Join(run, About)} {
			if _, err := os.Stat(path); err != nil {
				t.Error(err)
			}
		}
	}
	file := filepath.Join(t.TempDir(), "file")
	write(t, filepath.Dir(file), "file", "")
	if _, err := Open(file); err == nil {
		t.Error("a file is taken for a directory")
	}
}

func TestExplain(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "out")
	b := run(t, dir, "debian_6.12")
	write(t, dir, "debian_6.12/console.log", strings.Repeat("x", 300<<10))
	write(t, dir, "debian_6.12/m_load/TestLoad/output.txt", strings.Repeat("x", 17<<20))
	write(t, dir, "debian_6.12/m_load/artifacts/TestLoad/verifier.log", strings.Repeat("x", 1000))
	write(t, dir, "results.jsonl", "not the bundle's")
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(dir, Readme))
	if err != nil {
		t.Fatal(err)
	}
	const golden = "testdata/README.txt"
	if *update {
		write(t, "testdata", "README.txt", string(got))
	}
	want, err := os.ReadFile(golden)
	if diff := cmp.Diff(string(want), string(got)); diff != "" || err != nil {
		t.Errorf("%s (-want +got):\n%s%v", golden, diff, err)
	}
}

func TestExplainMany(t *testing.T) {
	b := run(t, filepath.Join(t.TempDir(), "out"), "k")
	for i := range listed + 10 {
		write(t, b.Dir, filepath.Join("k", "m", strings.Repeat("t", 1+i%100), strings.Repeat("f", 1+i/100)), "")
	}
	var text strings.Builder
	if err := Explain(&text, b.Dir); err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(text.String(), "  … and 11 more\n") || strings.Count(text.String(), "\n") > listed+30 {
		t.Errorf("it ends in %q", text.String()[text.Len()-100:])
	}
}

func TestFileName(t *testing.T) {
	for name, want := range map[string]string{
		"debian:6.12":                  "debian_6.12",
		"ghcr.io/o/k:6.12@sha256:0f":   "ghcr.io_o_k_6.12@sha256_0f",
		"TestX/a_b=1,c#01":             "TestX_a_b=1_c#01",
		"TestÄ/\x1b[31m":               "Test____31m",
		"..":                           "_..",
		".":                            "_.",
		"":                             "_",
		"../../etc/passwd":             ".._.._etc_passwd",
		strings.Repeat("a", maxName):   strings.Repeat("a", maxName),
		strings.Repeat("a", 2*maxName): strings.Repeat("a", maxName-9) + "-d3e55bb5",
	} {
		if got := FileName(name); got != want {
			t.Errorf("FileName(%q) = %q, want %q", name, got, want)
		}
	}
}

func TestMkdir(t *testing.T) {
	parent := filepath.Join(t.TempDir(), "m")
	var got []string
	for _, name := range []string{"TestX/a", "TestX_a", "TestX:a"} {
		dir, err := Mkdir(parent, name)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, filepath.Base(dir))
	}
	if diff := cmp.Diff([]string{"TestX_a", "TestX_a.2", "TestX_a.3"}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestQuote(t *testing.T) {
	got := Quote([]string{"qemu", "-append", "console=ttyS0 panic=-1", "", "it's", "$HOME"})
	if want := `qemu -append 'console=ttyS0 panic=-1' '' 'it'\''s' '$HOME'`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
