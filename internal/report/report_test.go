package report

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bpf-vmtest/bpf-vmtest/internal/result"
)

// gathered is the matrix of a recorded stream. In every.jsonl tests end in all
// the ways there are, and print what no report may take for its own.
func gathered(t testing.TB, file string) *Matrix {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	m := &Matrix{}
	if err := result.Decode(f, m); err != nil {
		t.Fatal(err)
	}
	return m
}

// chosen are the streams that all renderers have golden files of.
var chosen = []string{"every", "lost", "pass"}

// eachChosen runs a test on the chosen streams.
func eachChosen(t *testing.T, f func(t *testing.T, name string, m *Matrix)) {
	for _, name := range chosen {
		name = "testdata/" + name
		t.Run(filepath.Base(name), func(t *testing.T) { f(t, name, gathered(t, name+".jsonl")) })
	}
}

// eachStream runs a test on every recorded stream.
func eachStream(t *testing.T, f func(t *testing.T, name string, m *Matrix)) {
	t.Helper()
	files, err := filepath.Glob("testdata/*.jsonl")
	if err != nil || len(files) == 0 {
		t.Fatalf("no streams: %v", err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(file, ".jsonl")
		t.Run(filepath.Base(name), func(t *testing.T) { f(t, name, gathered(t, file)) })
	}
}
