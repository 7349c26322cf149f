package actions

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAppendSummary(t *testing.T) {
	file := filepath.Join(t.TempDir(), "summary.md")
	t.Setenv("GITHUB_STEP_SUMMARY", file)
	var limits []int
	for range 2 {
		if err := AppendSummary(func(limit int) string {
			limits = append(limits, limit)
			return strings.Repeat("x", 1000)
		}); err != nil {
			t.Fatal(err)
		}
	}
	if b, err := os.ReadFile(file); err != nil || len(b) != 2000 {
		t.Errorf("%d bytes are written, %v", len(b), err)
	}
	if limits[0] != summaryLimit || limits[1] != summaryLimit-1000 {
		t.Errorf("limits %d, want %d and what is left of it", limits, summaryLimit)
	}
	t.Setenv("GITHUB_STEP_SUMMARY", filepath.Dir(file))
	if err := AppendSummary(func(int) string { return "" }); err == nil {
		t.Error("a summary that cannot be written is no error")
	}
	t.Setenv("GITHUB_STEP_SUMMARY", "")
	if err := AppendSummary(func(int) string { panic("nobody reads it") }); err != nil {
		t.Error(err)
	}
}
