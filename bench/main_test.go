package main

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func TestTable(t *testing.T) {
	all := []contestant{{name: "ours"}, {name: "theirs"}}
	times := [][]time.Duration{{1 * time.Second, 2 * time.Second, 4 * time.Second}, {10 * time.Second, 10 * time.Second, 8 * time.Second}}
	want := `| | median | range | ours takes of it | range |
|---|---|---|---|---|
| ours | 2.00 s | 1.00–4.00 s | 1.000 | 1.000–1.000 |
| theirs | 10.00 s | 8.00–10.00 s | 0.200 | 0.100–0.500 |
`
	if got := table(all, times); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestMedian(t *testing.T) {
	for _, tt := range []struct {
		values []float64
		want   float64
	}{{[]float64{3}, 3}, {[]float64{4, 1, 2}, 2}, {[]float64{4, 1, 2, 3}, 2.5}} {
		if got := median(tt.values); got != tt.want {
			t.Errorf("median(%v) = %v", tt.values, got)
		}
	}
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{{}, {"a", "b"}, {"-n", "0", "kernel"}} {
		if err := run(args, &bytes.Buffer{}, &bytes.Buffer{}); err == nil {
			t.Errorf("%q: no error", args)
		}
	}
}

// TestTime: a tool that fails has no time, and what it said is told.
func TestTime(t *testing.T) {
	if _, err := (contestant{argv: []string{"sh", "-c", "echo why >&2; exit 3"}}).time(); err == nil || !strings.Contains(err.Error(), "why") {
		t.Errorf("got %v", err)
	}
	if took, err := (contestant{argv: []string{"cat"}, stdin: "x"}).time(); took <= 0 || err != nil {
		t.Errorf("got %v, %v", took, err)
	}
}
