// Package report renders the result stream of a run for people.
package report

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/bpf-vmtest/bpf-vmtest/internal/result"
)

// A Matrix is the outcome of every test on every kernel, gathered from a
// stream.
type Matrix struct {
	kernels []string
	rows    []*row // in the order in which they were first seen
	index   map[rowKey]*row
	notes   []string // footnotes, each once
}

type rowKey struct{ pkg, test string }

type row struct {
	rowKey
	cells map[string]cell // by kernel
}

type cell struct {
	outcome outcome
	note    int // footnote, from 1; 0 is none
}

type outcome string

const (
	ok       outcome = "ok"
	failed   outcome = "FAIL"
	skipped  outcome = "skip"
	blocked  outcome = "blocked"
	expected outcome = "xfail" // failed as the blocklist said it would
	notRun   outcome = "not run"
	absent   outcome = "-"
)

// Event takes the next event of the stream.
func (m *Matrix) Event(e result.Event) error {
	switch e.Action {
	case result.Header:
		m.kernels = e.Run.Kernels
		m.index = map[rowKey]*row{}
	case result.Pass:
		m.set(e, ok, "")
	case result.Skip:
		m.set(e, skipped, "")
	case result.Fail:
		if e.Block != nil {
			m.set(e, expected, note(e))
		} else {
			m.set(e, failed, "")
		}
	case result.Blocked:
		m.set(e, blocked, note(e))
	case result.NotRun:
		m.set(e, notRun, "")
	}
	return nil
}

func note(e result.Event) string {
	s := e.Block.Reason
	if e.Block.Issue != "" {
		s += " (" + e.Block.Issue + ")"
	}
	if e.Block.Where != "" {
		s += ", at " + e.Block.Where
	}
	return s
}

func (m *Matrix) set(e result.Event, o outcome, note string) {
	if e.Kernel == "" || e.Test == "" {
		return
	}
	key := rowKey{e.Package, e.Test}
	r := m.index[key]
	if r == nil {
		r = &row{rowKey: key, cells: map[string]cell{}}
		m.index[key], m.rows = r, append(m.rows, r)
	}
	c := cell{outcome: o}
	if note != "" {
		i := slices.Index(m.notes, note)
		if i < 0 {
			m.notes = append(m.notes, note)
			i = len(m.notes) - 1
		}
		c.note = i + 1
	}
	if old, seen := r.cells[e.Kernel]; seen && old.outcome == failed {
		return // with -count, one failure decides
	}
	r.cells[e.Kernel] = c
}

// interesting reports whether a row says more than that all is well everywhere,
// and more than its parent's row does.
func (m *Matrix) interesting(r *row) bool {
	top, _, isSub := strings.Cut(r.test, "/")
	var first outcome
	for _, k := range m.kernels {
		o := r.cell(k).outcome
		if parent := m.index[rowKey{r.pkg, top}]; o == absent && isSub && parent != nil && parent.cell(k).outcome != ok {
			continue // it could not run there
		}
		if first == "" {
			first = o
		}
		if o == failed || o == blocked || o == expected || o == notRun || o != first {
			return true
		}
	}
	return false
}

// sorted is the rows by package, then in the order in which tests first
// reported, each followed by its subtests.
func (m *Matrix) sorted() []*row {
	// Subtests report before their parents, so a test stands where the
	// first of its subtests does.
	place := map[rowKey]int{}
	for i, r := range m.rows {
		for _, prefix := range prefixes(r.test) {
			key := rowKey{r.pkg, prefix}
			if _, seen := place[key]; !seen {
				place[key] = i
			}
		}
	}
	position := func(r *row) []int {
		var p []int
		for _, prefix := range prefixes(r.test) {
			p = append(p, place[rowKey{r.pkg, prefix}])
		}
		return p
	}
	rows := slices.Clone(m.rows)
	slices.SortStableFunc(rows, func(a, b *row) int {
		return cmp.Or(strings.Compare(a.pkg, b.pkg), slices.Compare(position(a), position(b)))
	})
	return rows
}

// prefixes of A/b/c are A, A/b and A/b/c.
func prefixes(test string) []string {
	var all []string
	for i, c := range test {
		if c == '/' {
			all = append(all, test[:i])
		}
	}
	return append(all, test)
}

func (r *row) cell(kernel string) cell {
	c, ok := r.cells[kernel]
	if !ok {
		return cell{outcome: absent}
	}
	return c
}

func (c cell) String() string {
	if c.note > 0 {
		return fmt.Sprintf("%s [%d]", c.outcome, c.note)
	}
	return string(c.outcome)
}

// Write writes the tests that differ between kernels or did not pass, a
// column a kernel, then the totals and the reasons.
func (m *Matrix) Write(w io.Writer) error {
	var table strings.Builder
	tw := tabwriter.NewWriter(&table, 0, 8, 2, ' ', 0)
	// A line with fewer cells would end the columns.
	unused := strings.Repeat("\t", len(m.kernels))
	fmt.Fprintf(tw, "\t%s\n", strings.Join(m.kernels, "\t"))
	pkg, same := "", 0
	for _, r := range m.sorted() {
		if !m.interesting(r) {
			if !strings.Contains(r.test, "/") {
				same++
			}
			continue
		}
		if r.pkg != pkg {
			pkg = r.pkg
			fmt.Fprintf(tw, "%s%s\n", pkg, unused)
		}
		fmt.Fprintf(tw, "  %s", r.test)
		for _, k := range m.kernels {
			fmt.Fprintf(tw, "\t%s", r.cell(k))
		}
		fmt.Fprintln(tw)
	}
	if same > 0 {
		fmt.Fprintf(tw, "%s the same on every kernel%s\n", count(same, "test"), unused)
	}
	for _, o := range []outcome{ok, failed, expected, blocked, skipped, notRun} {
		m.total(tw, o)
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	for line := range strings.Lines(table.String()) {
		if _, err := fmt.Fprintln(w, strings.TrimRight(line, " \n")); err != nil {
			return err
		}
	}
	for i, n := range m.notes {
		if _, err := fmt.Fprintf(w, "[%d] %s\n", i+1, n); err != nil {
			return err
		}
	}
	return nil
}

// total writes a line of how many top-level tests ended so, per kernel.
func (m *Matrix) total(w io.Writer, o outcome) {
	line, any := "total "+string(o), false
	for _, k := range m.kernels {
		n := m.Count(k, o)
		any = any || n > 0
		line += fmt.Sprintf("\t%d", n)
	}
	if any {
		fmt.Fprintln(w, line)
	}
}

// Count is how many top-level tests ended so on a kernel.
func (m *Matrix) Count(kernel string, o outcome) int {
	n := 0
	for _, r := range m.rows {
		if !strings.Contains(r.test, "/") && r.cell(kernel).outcome == o {
			n++
		}
	}
	return n
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
