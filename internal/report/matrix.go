// Package report renders the result stream of a run.
//
// [Text] is for while the run is under way. Everything else is rendered from a
// [Matrix], in which the stream is gathered.
package report

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/bpf-vmtest/bpf-vmtest/internal/failure"
	"github.com/bpf-vmtest/bpf-vmtest/internal/result"
)

// A Matrix is what a run came to: every test on every kernel. It is a sink.
type Matrix struct {
	time     time.Time // of the run's start
	run      result.RunInfo
	kernels  []*kernel
	packages map[string]*pkg
	findings []result.Event // about the blocklist
	merged   []result.Event // about the joining of streams
	coverage *float64       // percent
	verdict  *result.Event  // nil: the stream has no end
}

// A kernel is a column of the matrix.
type kernel struct {
	name    string
	label   string // short, and no other kernel's
	column  int
	machine *result.MachineInfo // nil: it did not boot
	lost    *result.Event       // why it could not go on
	splats  []result.Event
	elapsed float64 // seconds
	console string  // path of a file
	files   string  // path of the directory of all that was kept
}

// A pkg is one package on all kernels.
type pkg struct {
	path     string
	build    []string // lines; not empty: it does not build
	untested bool     // it has no test files
	cells    []*cell
	tests    map[string]*test
}

// A test is a row of the matrix.
type test struct {
	*pkg
	name  string
	above bool // it has subtests
	cells []*cell
}

// A cell is a test, or a package as a whole, on one kernel.
type cell struct {
	try
	earlier  []try // that failed, each followed by an attempt more
	runs     int   // with -count, or after a failure, several
	failures int
	block    *result.BlockInfo // the blocklist's entry about it
	printing output            // of the run under way
}

// A try is one attempt at a test.
type try struct {
	outcome outcome
	elapsed float64        // seconds
	attempt int            // from 1; 0: nothing was reported
	reason  string         // why, where the test could not say it
	output  output         // of the run that decided
	found   *failure.Cause // in output, once that was looked for
	files   []string       // paths of what was kept of it
}

type outcome string

// How a test ended on a kernel; with -count, the one that comes first here.
const (
	failed   outcome = "FAIL"
	notRun   outcome = "not run" // it was expected and did not report
	flaky    outcome = "flaky"   // failed, and passed when it ran again, or may fail
	expected outcome = "xfail"   // failed as the blocklist said it would
	ok       outcome = "ok"
	skipped  outcome = "skip"
	blocked  outcome = "blocked"
	measured outcome = "bench"
	absent   outcome = "-"
)

var outcomes = []outcome{failed, notRun, flaky, expected, ok, skipped, blocked, measured, absent}

func (o outcome) rank() int { return slices.Index(outcomes, o) }

// bad reports whether an outcome fails a run.
func (o outcome) bad() bool { return o == failed || o == notRun }

// ran reports whether the test did what it is there for.
func (o outcome) ran() bool { return o == failed || o == flaky || o == expected || o == ok }

// nowhere is the cell of a test on a kernel that has nothing to say about it.
var nowhere = &cell{try: try{outcome: absent}}

func (t *test) cell(k *kernel) *cell { return at(t.cells, k) }

// on is the package as a whole.
func (p *pkg) on(k *kernel) *cell { return at(p.cells, k) }

func at(cells []*cell, k *kernel) *cell {
	if k.column >= len(cells) || cells[k.column] == nil {
		return nowhere
	}
	return cells[k.column]
}

// top is the test's top-level test.
func (t *test) top() *test {
	name, _, _ := strings.Cut(t.name, "/")
	return t.tests[name]
}

func (t *test) isTop() bool { return !strings.Contains(t.name, "/") }

// cause is why a test failed, or was skipped, as far as it said so.
func (t *try) cause() failure.Cause {
	if t.found == nil {
		found := failure.Find(t.output.lines())
		if t.reason != "" && !found.Fatal { // a panic says more than how the binary ended
			found.Message = failure.Line(t.reason)
		}
		found.Message = clip(found.Message, causeLimit)
		t.found = &found
	}
	return *t.found
}

// whyFlaky is what makes a test flaky: what the blocklist says, or how often it
// failed.
func (c *cell) whyFlaky() string {
	switch {
	case c.block != nil:
		return c.note()
	case c.failures == 0:
		return "did not report at first"
	}
	return fmt.Sprintf("failed %d of %d times", c.failures, c.runs)
}

// causeLimit is in characters. A verifier's error fits, its log does not.
const causeLimit = 480

// why is the cause of a test's failure in a line that is never empty.
func (t *test) why(k *kernel) string { return t.whyOf(&t.cell(k).try, k) }

func (t *test) whyOf(failure *try, k *kernel) string {
	switch message := failure.cause().Message; {
	case failure.outcome == notRun:
		return "did not run: " + failure.reason
	case message != "":
		return message
	case t.failedBelow(k):
		return "a subtest failed"
	}
	return "it printed nothing"
}

// Code is the exit code of the run: 3 where the stream has no verdict, for vmtest
// was killed then.
func (m *Matrix) Code() int {
	if m.verdict == nil {
		return 3
	}
	return *m.verdict.Code
}

// rows is the tests by package, each followed by its subtests, in an order that
// does not depend on which kernel was first.
func (m *Matrix) rows() []*test {
	var rows []*test
	for _, p := range m.pkgs() {
		rows = append(rows, p.rows()...)
	}
	return rows
}

func (p *pkg) rows() []*test {
	return slices.SortedFunc(maps.Values(p.tests), func(a, b *test) int {
		return compareNames(a.name, b.name)
	})
}

func (m *Matrix) pkgs() []*pkg {
	return slices.SortedFunc(maps.Values(m.packages), func(a, b *pkg) int { return strings.Compare(a.path, b.path) })
}

// compareNames sorts subtests behind their parents, and numbers by value.
func compareNames(a, b string) int {
	return slices.CompareFunc(strings.Split(a, "/"), strings.Split(b, "/"), naturally)
}

func naturally(a, b string) int {
	x, y := a, b
	for x != "" && y != "" {
		n, m := digits(x), digits(y)
		if n == 0 || m == 0 {
			if x[0] != y[0] {
				return cmp.Compare(x[0], y[0])
			}
			x, y = x[1:], y[1:]
			continue
		}
		i, j := strings.TrimLeft(x[:n], "0"), strings.TrimLeft(y[:m], "0")
		if c := cmp.Or(cmp.Compare(len(i), len(j)), strings.Compare(i, j)); c != 0 {
			return c
		}
		x, y = x[n:], y[m:]
	}
	return cmp.Or(cmp.Compare(len(x), len(y)), strings.Compare(a, b))
}

// digits is how many of them s begins with.
func digits(s string) int { return len(s) - len(strings.TrimLeft(s, "0123456789")) }

// count is how many top-level tests ended so on a kernel.
func (m *Matrix) count(k *kernel, o outcome) int {
	n := 0
	for _, p := range m.packages {
		for _, t := range p.tests {
			if t.isTop() && t.cell(k).outcome == o {
				n++
			}
		}
	}
	return n
}

// totals is "34 passed, 1 failed, 2 blocked on 3 kernels".
func (m *Matrix) totals() string {
	var parts []string
	for _, o := range []struct {
		outcome
		name string
	}{
		{ok, "passed"}, {failed, "failed"}, {flaky, "flaky"}, {expected, "failed as expected"},
		{skipped, "skipped"}, {blocked, "blocked"}, {notRun, "not run"},
	} {
		n := 0
		for _, k := range m.kernels {
			n += m.count(k, o.outcome)
		}
		if n > 0 || o.outcome == ok || o.outcome == failed {
			parts = append(parts, fmt.Sprintf("%d %s", n, o.name))
		}
	}
	return strings.Join(parts, ", ") + " on " + count(len(m.kernels), "kernel")
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
