package report

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/bpf-vmtest/bpf-vmtest/internal/failure"
)

// WriteTAP writes the matrix in the Test Anything Protocol, version 14: a
// subtest for each kernel, below it one for each package, below it the tests.
func (m *Matrix) WriteTAP(w io.Writer) error {
	out := bufio.NewWriter(w)
	fmt.Fprintln(out, "TAP version 14")
	root := &tapPoint{}
	for _, p := range m.pkgs() {
		if len(p.build) > 0 {
			root.add(&tapPoint{name: "build of " + p.path, bad: true, why: "it does not build", output: strings.Join(p.build, "\n")})
		}
	}
	for _, k := range m.kernels {
		root.add(m.tapKernel(k))
	}
	root.write(out, "")
	return out.Flush()
}

// A tapPoint is a test point, with those below it.
type tapPoint struct {
	name      string
	bad       bool
	directive string // SKIP or TODO with a reason, or empty
	why       string
	file      string
	line      int
	seconds   float64
	output    string
	below     []*tapPoint
}

// add adds a point, whose failure is that of the ones above it.
func (t *tapPoint) add(p *tapPoint) {
	t.below = append(t.below, p)
	t.bad = t.bad || p.bad && p.directive == ""
}

func (m *Matrix) tapKernel(k *kernel) *tapPoint {
	t := &tapPoint{name: k.name, seconds: k.elapsed}
	if k.lost != nil {
		t.add(&tapPoint{name: "kernel", bad: true, why: k.lost.Reason, output: strings.Join(k.lost.Report(), "\n")})
	}
	for i, e := range k.splats {
		t.add(&tapPoint{name: fmt.Sprintf("fault %d", i+1), bad: e.Code != nil, why: e.Reason, output: strings.Join(e.Report(), "\n")})
	}
	for _, p := range m.pkgs() {
		if tp := m.tapPackage(k, p); tp != nil {
			t.add(tp)
		}
	}
	return t
}

func (m *Matrix) tapPackage(k *kernel, p *pkg) *tapPoint {
	c := p.on(k)
	t := &tapPoint{name: p.path, seconds: c.elapsed}
	for _, row := range p.rows() {
		if c := row.cell(k); c.outcome != absent {
			t.add(m.tapTest(row, k))
		}
	}
	if c.outcome == failed && k.lost == nil && !p.anyFailed("", k) {
		t.add(&tapPoint{name: "package", bad: true, why: cmp.Or(c.reason, "it failed as a whole"), output: c.output.text()})
	}
	if len(t.below) == 0 {
		return nil
	}
	return t
}

func (m *Matrix) tapTest(row *test, k *kernel) *tapPoint {
	c := row.cell(k)
	t := &tapPoint{name: row.name, seconds: c.elapsed}
	switch c.outcome {
	case failed:
		cause := c.cause()
		t.bad, t.why, t.output = true, row.why(k), c.output.text()
		if t.file = m.source(row.pkg, cause.File); t.file != "" {
			t.line = cause.Line
		}
	case notRun:
		t.bad, t.why = true, "did not run: "+c.reason
	case expected:
		t.bad, t.directive, t.output = true, "TODO "+c.note(), c.output.text()
	case blocked:
		t.directive = "SKIP blocked: " + c.note()
	case skipped:
		t.directive = "SKIP " + c.cause().Message
	case flaky:
		t.why, t.output = c.whyFlaky(), c.output.text()
	}
	return t
}

// write writes the points below t, and their plan. Errors stay in w.
func (t *tapPoint) write(w io.Writer, indent string) {
	fmt.Fprintf(w, "%s1..%d\n", indent, len(t.below))
	for i, p := range t.below {
		if p.below != nil {
			fmt.Fprintf(w, "%s# Subtest: %s\n", indent, tapText(p.name))
			p.write(w, indent+"    ")
		}
		status := "ok"
		if p.bad {
			status = "not ok"
		}
		directive := ""
		if p.directive != "" {
			directive = " # " + tapText(p.directive)
		}
		fmt.Fprintf(w, "%s%s %d - %s%s\n", indent, status, i+1, tapText(p.name), directive)
		p.writeDiagnostic(w, indent+"  ")
	}
}

// writeDiagnostic writes the YAML behind a test point, in the small part of YAML
// that readers of TAP know: every string is quoted as in JSON.
func (t *tapPoint) writeDiagnostic(w io.Writer, indent string) {
	var lines []string
	if t.why != "" {
		lines = append(lines, "message: "+quoted(failure.Line(t.why)))
	}
	if t.file != "" {
		lines = append(lines, "at:", "  file: "+quoted(t.file), fmt.Sprintf("  line: %d", t.line))
	}
	if t.seconds > 0 {
		lines = append(lines, fmt.Sprintf("duration_ms: %.0f", 1000*t.seconds))
	}
	if t.output != "" {
		lines = append(lines, "output:")
		for line := range strings.Lines(t.output) {
			// prove takes ": " in an item for a mapping, quoted or not.
			lines = append(lines, "  - "+strings.ReplaceAll(quoted(printable(line)), ": ", `:\x20`))
		}
	}
	if lines == nil {
		return
	}
	for _, line := range append(append([]string{"---"}, lines...), "...") {
		fmt.Fprintf(w, "%s%s\n", indent, line)
	}
}

func quoted(s string) string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s) // a string, into memory
	return strings.TrimSuffix(b.String(), "\n")
}

var tapEscaper = strings.NewReplacer(`\`, `\\`, "#", `\#`)

// tapText is text on a test point's line.
func tapText(s string) string { return tapEscaper.Replace(failure.Line(s)) }
