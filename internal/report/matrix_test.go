package report

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bpf-vmtest/bpf-vmtest/internal/result"
)

// TestOutcome is about tests that end more than once: with -count, and when
// they run again after a failure.
func TestOutcome(t *testing.T) {
	flakyBlock, failBlock := &result.BlockInfo{Expect: "flaky"}, &result.BlockInfo{Expect: "fail"}
	for _, tt := range []struct {
		name           string
		events         []result.Event
		want           outcome
		runs, failures int
		output         string
	}{
		{"passes", []result.Event{{Action: result.Pass}}, ok, 1, 0, "1"},
		{"fails", []result.Event{{Action: result.Fail}}, failed, 1, 1, "1"},
		{"fails once", []result.Event{{Action: result.Pass}, {Action: result.Fail}, {Action: result.Pass}}, failed, 3, 1, "2"},
		{"fails twice", []result.Event{{Action: result.Fail}, {Action: result.Fail}}, failed, 2, 2, "1"},
		{"skips, then passes", []result.Event{{Action: result.Skip}, {Action: result.Pass}}, ok, 2, 0, "2"},
		{"as expected", []result.Event{{Action: result.Fail, Block: failBlock}}, expected, 1, 0, "1"},
		{"known to be flaky", []result.Event{{Action: result.Fail, Block: flakyBlock}}, flaky, 1, 0, "1"},
		{"passes the second time", []result.Event{{Action: result.Fail}, {Action: result.Pass, Attempt: 2}}, flaky, 2, 1, "1"},
		{"passes the third time", []result.Event{{Action: result.Fail}, {Action: result.Fail, Attempt: 2}, {Action: result.Pass, Attempt: 3}}, flaky, 3, 2, "2"},
		{"never passes", []result.Event{{Action: result.Fail}, {Action: result.Fail, Attempt: 2}}, failed, 2, 2, "2"},
		{"flaky, then passes with its package", []result.Event{{Action: result.Fail}, {Action: result.Pass, Attempt: 2}, {Action: result.Pass, Attempt: 3}}, flaky, 3, 1, "1"},
		{"passes, then fails with its package", []result.Event{{Action: result.Pass}, {Action: result.Fail, Attempt: 2}}, failed, 2, 1, "2"},
		{"fails, then skips itself", []result.Event{{Action: result.Fail}, {Action: result.Skip, Attempt: 2}}, failed, 2, 1, "1"},
		{"fails, then as expected", []result.Event{{Action: result.Fail}, {Action: result.Fail, Attempt: 2, Block: failBlock}}, flaky, 2, 1, "1"},
		{"did not run, then passes", []result.Event{{Action: result.NotRun}, {Action: result.Pass, Attempt: 2}}, flaky, 2, 0, "1"},
		{"in two streams, one of which lost its kernel", []result.Event{{Action: result.NotRun}, {Action: result.Pass}}, notRun, 2, 0, "1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := &Matrix{}
			_ = m.Event(result.Event{Action: result.Header, Run: &result.RunInfo{Kernels: []string{"k"}}})
			for i, e := range tt.events {
				e.Kernel, e.Package, e.Test = "k", "p", "T"
				_ = m.Event(result.Event{Action: result.Output, Kernel: "k", Package: "p", Test: "T", Output: fmt.Sprint(i + 1)})
				_ = m.Event(e)
			}
			c := m.packages["p"].tests["T"].cell(m.kernels[0])
			if c.outcome != tt.want || c.runs != tt.runs || c.failures != tt.failures || c.output.text() != tt.output {
				t.Errorf("%s, %d of %d failed, printed %q; want %s, %d of %d, %q",
					c.outcome, c.failures, c.runs, c.output.text(), tt.want, tt.failures, tt.runs, tt.output)
			}
		})
	}
}

func TestCompareNames(t *testing.T) {
	want := []string{"A", "A/b", "A/b/c", "A/b#01", "A2", "A10", "A10/01", "A10/1", "A10/2", "B", "TestX", "TestX//sys", "TestX/a"}
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortFunc(got, compareNames)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, a := range want {
		for _, b := range want {
			if compareNames(a, b) != -compareNames(b, a) || (compareNames(a, b) == 0) != (a == b) {
				t.Errorf("%s and %s have no order", a, b)
			}
		}
	}
}

func TestLabels(t *testing.T) {
	m := &Matrix{}
	for _, k := range []string{
		"debian:6.12", "oci:out:6.12", "./linux-6.12", "ghcr.io/org/kernels:6.6@sha256:00", "6.1@sha256:11", "6.1@sha256:22", "/usr/src/linux/bzImage",
	} {
		m.kernel(k)
	}
	var labels []string
	for _, k := range m.kernels {
		labels = append(labels, k.label)
	}
	want := []string{"debian:6.12", "oci:out:6.12", "./linux-6.12", "kernels:6.6", "6.1@sha256:11", "6.1@sha256:22", "bzImage"}
	if diff := cmp.Diff(want, labels); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestOutputCut(t *testing.T) {
	var o output
	lines := 0
	for ; o.cut == 0 || lines < 10_000; lines++ {
		o.add(fmt.Sprintf("line %d of many\n", lines))
	}
	check := func(most int) {
		t.Helper()
		text := o.text()
		if n := len(o.head) + len(o.tail); n > most {
			t.Errorf("%d bytes are kept, want %d at most", n, most)
		}
		if !strings.HasPrefix(text, "line 0 of") || !strings.HasSuffix(text, fmt.Sprintf("line %d of many\n", lines-1)) {
			t.Errorf("not the first and the last line: %.40q…", text)
		}
		kept := strings.Count(text, " of many\n")
		if want := fmt.Sprintf("… %d lines, ", lines-kept); !strings.Contains(text, want) {
			t.Errorf("%d lines of %d are kept, and it does not say %q", kept, lines, want)
		}
	}
	check(headKept + 2*tailKept)
	before := o.text()
	smaller := o
	smaller.limit(2000)
	if o.text() != before {
		t.Error("a copy's limit has changed the original")
	}
	o = smaller
	check(2000)
	o.shrink()
	check(passedKept)

	var long output
	long.add(strings.Repeat("é", 500_000))
	long.add("\nend\n")
	if text := long.text(); len(text) > 3*tailKept || strings.Contains(text, "\xc3\n") || !strings.HasSuffix(text, "\nend\n") {
		t.Errorf("a long line: %d bytes, %.60q", len(text), text)
	}
}

// TestUnknownEvents is about streams of a later vmtest.
func TestUnknownEvents(t *testing.T) {
	m := &Matrix{}
	for _, e := range []result.Event{
		{Action: result.Header, Run: &result.RunInfo{Kernels: []string{"k"}, Packages: []string{"p"}}},
		{Action: "weather", Reason: "rain"},
		{Action: "weather", Kernel: "k", Reason: "rain"},
	} {
		if err := m.Event(e); err != nil {
			t.Fatal(err)
		}
	}
	if len(m.packages) != 1 || len(m.kernels) != 1 {
		t.Errorf("%d packages, %d kernels", len(m.packages), len(m.kernels))
	}
}
