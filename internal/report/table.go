package report

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// interesting reports whether a row says more than that all is well everywhere,
// and more than its parent's row does.
func (m *Matrix) interesting(t *test) bool {
	var first outcome
	for _, k := range m.kernels {
		o := t.cell(k).outcome
		if m.couldNotRun(t, k) {
			continue
		}
		if first == "" {
			first = o
		}
		if o == blocked || o == expected || o == flaky || o.bad() || o != first {
			return true
		}
	}
	return false
}

// couldNotRun reports whether a test has no outcome on a kernel for a reason
// that is said elsewhere: its kernel was lost, or the test above it did not pass.
func (m *Matrix) couldNotRun(t *test, k *kernel) bool {
	o, top := t.cell(k).outcome, t.top()
	return k.lost != nil && (o == notRun || o == absent) ||
		o == absent && !t.isTop() && top != nil && top.cell(k).outcome != ok
}

// A table is what a terminal shows of a matrix: the tests that differ between
// kernels or did not pass, a column a kernel, then the totals and the reasons.
type table struct {
	*Matrix
	notes []string // footnotes, each once
}

// WriteTable writes the matrix for a terminal.
func (m *Matrix) WriteTable(w io.Writer) error {
	t := table{Matrix: m}
	var text strings.Builder
	if err := t.write(&text); err != nil {
		return err
	}
	for line := range strings.Lines(text.String()) {
		if _, err := fmt.Fprintln(w, strings.TrimRight(line, " \n")); err != nil {
			return err
		}
	}
	for i, n := range t.notes {
		if _, err := fmt.Fprintf(w, "[%d] %s\n", i+1, n); err != nil {
			return err
		}
	}
	return nil
}

func (t *table) write(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	// A line with fewer cells would end the columns.
	unused := strings.Repeat("\t", len(t.kernels))
	for _, k := range t.kernels {
		fmt.Fprintf(tw, "\t%s", k.label)
	}
	fmt.Fprintln(tw)
	pkg, same := "", 0
	for _, row := range t.rows() {
		if !t.interesting(row) {
			if row.isTop() {
				same++
			}
			continue
		}
		if row.path != pkg {
			pkg = row.path
			fmt.Fprintf(tw, "%s%s\n", pkg, unused)
		}
		fmt.Fprintf(tw, "  %s", clip(row.name, 80))
		for _, k := range t.kernels {
			fmt.Fprintf(tw, "\t%s", t.cellText(row.cell(k)))
		}
		fmt.Fprintln(tw)
	}
	if same > 0 {
		fmt.Fprintf(tw, "%s the same on every kernel%s%s\n", count(same, "test"), t.unlessLost(), unused)
	}
	for _, o := range []outcome{ok, failed, flaky, expected, blocked, skipped, notRun} {
		t.total(tw, o)
	}
	return tw.Flush()
}

func (t *table) unlessLost() string {
	if slices.ContainsFunc(t.kernels, func(k *kernel) bool { return k.lost != nil }) {
		return " that ran them"
	}
	return ""
}

func (t *table) cellText(c *cell) string {
	note := c.note()
	if note == "" || c.outcome == ok {
		return string(c.outcome)
	}
	i := slices.Index(t.notes, note)
	if i < 0 {
		t.notes = append(t.notes, note)
		i = len(t.notes) - 1
	}
	return fmt.Sprintf("%s [%d]", c.outcome, i+1)
}

// total writes a line of how many top-level tests ended so, per kernel.
func (t *table) total(w io.Writer, o outcome) {
	line, any := "total "+string(o), false
	for _, k := range t.kernels {
		n := t.count(k, o)
		any = any || n > 0
		line += fmt.Sprintf("\t%d", n)
	}
	if any {
		fmt.Fprintln(w, line)
	}
}
