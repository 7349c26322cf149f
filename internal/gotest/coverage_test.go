package gotest

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCoverage(t *testing.T) {
	for _, tt := range []struct {
		name     string
		profiles []string
		want     string
		percent  float64
	}{
		{"none", nil, "mode: set\n", 0},
		{"no statements", []string{"mode: set\n"}, "mode: set\n", 0},
		{
			"set",
			[]string{
				"mode: set\nm/b.go:1.1,2.2 1 1\nm/a.go:10.1,11.2 3 0\n",
				"mode: set\nm/a.go:10.1,11.2 3 1\nm/a.go:9.1,9.5 1 0\nm/b.go:1.1,2.2 1 1\n",
			},
			"mode: set\nm/a.go:9.1,9.5 1 0\nm/a.go:10.1,11.2 3 1\nm/b.go:1.1,2.2 1 1\n", 80,
		},
		{
			"count",
			[]string{"mode: count\nm/a.go:1.1,2.2 1 2\n", "mode: count\nm/a.go:1.1,2.2 1 3\n"},
			"mode: count\nm/a.go:1.1,2.2 1 5\n", 100,
		},
		{
			"atomic",
			[]string{"mode: atomic\nm/a.go:1.1,2.2 1 0\nm/a.go:1.1,1.9 2 1\n"},
			"mode: atomic\nm/a.go:1.1,1.9 2 1\nm/a.go:1.1,2.2 1 0\n", 100 * 2.0 / 3,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var c Coverage
			for _, p := range tt.profiles {
				if err := c.Add(strings.NewReader(p)); err != nil {
					t.Fatal(err)
				}
			}
			for range 10 { // in the same order every time
				var got strings.Builder
				n, err := c.WriteTo(&got)
				if diff := cmp.Diff(tt.want, got.String()); diff != "" || err != nil || n != int64(got.Len()) {
					t.Fatalf("WriteTo = %d, %v (-want +got):\n%s", n, err, diff)
				}
			}
			if c.Percent() != tt.percent {
				t.Errorf("Percent = %v, want %v", c.Percent(), tt.percent)
			}
		})
	}
}

func TestCoverageErrors(t *testing.T) {
	var c Coverage
	if err := c.Add(strings.NewReader("mode: set\nm/a.go:1.1,2.2 1 1\n")); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"mode: atomic\nm/a.go:1.1,2.2 1 1\n", "mode: set\nnonsense\n", "nonsense\n"} {
		if err := c.Add(strings.NewReader(bad)); err == nil {
			t.Errorf("%q is added without an error", bad)
		}
	}
}
