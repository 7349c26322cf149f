package report

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/bpf-vmtest/bpf-vmtest/internal/result"
)

// Text renders a stream for a terminal. For one kernel it reads like go test's
// output; for several each line names its kernel, and a table of what differs
// comes last.
type Text struct {
	Out     io.Writer // results
	Notes   io.Writer // everything else: which kernel booted, what was found
	Verbose bool
	Matrix  *Matrix // gets every event before Text does

	packages map[[2]string]*packageText
	troubled map[string]bool // kernels whose console is worth reading
	failed   map[string]bool // kernels on which tests failed that left files
	streams  bool            // one kernel: no need to hold back the output of one package
	front    string          // that package, or empty
	noted    bool            // why there is no KVM
	err      error
}

// packageText is what one package printed on one kernel so far.
type packageText struct {
	kernel, name string
	output       []textLine
	failed       map[string]bool
	whole        map[string]string // by test: the file with all of its output
	coverage     string
	notRun       []string // tests
}

// textLine is a line of a test's, or of the package's.
type textLine struct{ test, text string }

// Event takes the next event of the stream.
func (t *Text) Event(e result.Event) error {
	switch e.Action {
	case result.Header:
		t.packages, t.troubled, t.failed = map[[2]string]*packageText{}, map[string]bool{}, map[string]bool{}
		t.streams = t.Verbose && len(e.Run.Kernels) == 1
	case result.Kernel:
		t.booted(e)
	case result.BuildOutput:
		t.printf("%s", ensureNewline(e.Output))
	case result.Output:
		t.output(e)
	case result.Pass, result.Fail, result.Skip:
		if e.Test != "" {
			t.test(e)
		} else {
			t.endPackage(e)
		}
	case result.NotRun:
		t.notRun(e)
	case result.Setup, result.Teardown:
		t.notef("vmtest: %s: %s: %s\n", e.Kernel, e.Action, printable(e.Output))
	case result.Splat:
		t.splat(e)
	case result.Lost:
		t.trouble(e, e.Reason)
	case result.Files:
		t.files(e)
	case result.Ended:
		if e.Console != "" && t.troubled[e.Kernel] {
			t.notef("vmtest: %s: the console is in %s\n", e.Kernel, e.Console)
		}
		if e.Path != "" && t.failed[e.Kernel] {
			t.notef("vmtest: %s: what failed tests and the kernel have left is in %s\n", e.Kernel, e.Path)
		}
	case result.Coverage:
		t.notef("vmtest: coverage of all packages and kernels: %.1f%% of statements\n", e.Percent)
	case result.Finding:
		t.notef("vmtest: blocklist: %s\n", e.Reason)
		if e.Hint != "" {
			t.notef("vmtest: hint: %s\n", e.Hint)
		}
	case result.Merged:
		t.notef("vmtest: %s\n", e.Reason)
		if e.Hint != "" {
			t.notef("vmtest: hint: %s\n", e.Hint)
		}
	case result.Verdict:
		t.verdict(e)
	}
	return t.err
}

// splat prints a fault, one that is allowed in a line.
func (t *Text) splat(e result.Event) {
	if e.Block != nil {
		t.notef("vmtest: %s: the kernel reported a fault that is allowed: %s: %s\n", e.Kernel, e.Fingerprint, note(e.Block))
		return
	}
	what := "the kernel reported a fault"
	if e.Test != "" {
		what += " while " + e.Test + " ran"
	}
	t.trouble(e, what+": "+e.Reason)
	if e.Fingerprint != "" && e.Code != nil && *e.Code == 1 {
		t.notef("vmtest: %s: `splat: %q` in the blocklist would allow it\n", e.Kernel, e.Fingerprint)
	}
}

func (t *Text) printf(format string, args ...any) {
	if _, err := fmt.Fprintf(t.Out, format, args...); err != nil && t.err == nil {
		t.err = err
	}
}

func (t *Text) notef(format string, args ...any) {
	_, _ = fmt.Fprintf(t.Notes, format, args...) // notes may get lost, results may not
}

func (t *Text) booted(e result.Event) {
	m := e.Machine
	warm := ""
	if m.Warm {
		warm = ", warm"
	}
	t.notef("vmtest: %s: Linux %s, %s, %d CPUs, %d MiB, ready in %.1fs%s\n",
		e.Kernel, m.Release, m.Accel, m.CPUs, m.MemoryMiB, m.Boot, warm)
	if m.Note != "" && !t.noted { // the same for every kernel
		t.noted = true
		t.notef("vmtest: %s\n", m.Note)
	}
	for _, w := range m.Without {
		t.notef("vmtest: %s: the guest goes without: %s\n", e.Kernel, w)
	}
}

func (t *Text) several() bool { return len(t.Matrix.kernels) > 1 }

func (t *Text) pkg(e result.Event) *packageText {
	key := [2]string{e.Kernel, e.Package}
	p := t.packages[key]
	if p == nil {
		p = &packageText{kernel: e.Kernel, name: e.Package, failed: map[string]bool{}, whole: map[string]string{}}
		t.packages[key] = p
	}
	return p
}

func (t *Text) output(e result.Event) {
	p := t.pkg(e)
	if e.Test == "" && strings.HasPrefix(e.Output, "coverage: ") {
		p.coverage = strings.TrimSpace(e.Output)
	}
	t.line(p, textLine{e.Test, e.Output})
}

// line prints a line, or holds it back until its package has ended: others may
// run beside it, and only one package at a time is printed as it comes.
func (t *Text) line(p *packageText, line textLine) {
	if t.streams && t.front == "" && len(p.output) == 0 {
		t.front = p.name
	}
	if t.streams && t.front == p.name {
		t.printf("%s", line.text)
		return
	}
	p.output = append(p.output, line)
}

// files takes what was kept of a package, or of a failed test, and what was not.
func (t *Text) files(e result.Event) {
	if e.Test != "" {
		t.failed[e.Kernel] = true
		t.pkg(e).whole[e.Test] = outputFile(e)
	}
	if e.Reason == "" {
		return
	}
	t.notef("vmtest: %s: %s\n", t.name(e), e.Reason)
	for _, line := range e.Lines {
		t.notef("    %s\n", line)
	}
	if e.Hint != "" {
		t.notef("vmtest: hint: %s\n", e.Hint)
	}
}

func (t *Text) test(e result.Event) {
	p := t.pkg(e)
	if e.Action == result.Fail && e.Block == nil {
		p.failed[e.Test] = true
	}
	if e.Reason == "" {
		return
	}
	// The binary could not say it any more.
	line := textLine{e.Test, fmt.Sprintf("--- FAIL: %s: %s\n", e.Test, e.Reason)}
	t.line(p, line)
}

// notRun gathers the tests that did not run; a package that did not run at all
// has no other end.
func (t *Text) notRun(e result.Event) {
	p := t.pkg(e)
	if e.Test != "" {
		p.notRun = append(p.notRun, e.Test)
		return
	}
	delete(t.packages, [2]string{e.Kernel, e.Package})
	p.printNotRun(t)
	t.printf("FAIL\t%s [not run]\n", t.name(e))
}

func (p *packageText) printNotRun(t *Text) {
	if len(p.notRun) > 0 {
		t.printf("not run: %s\n", strings.Join(p.notRun, ", "))
	}
}

// name is what a package is called on its line.
func (t *Text) name(e result.Event) string {
	if t.several() && e.Kernel != "" {
		return e.Kernel + "\t" + e.Package
	}
	return e.Package
}

// endPackage prints a package's line, and what it printed when it failed.
func (t *Text) endPackage(e result.Event) {
	p := t.pkg(e)
	delete(t.packages, [2]string{e.Kernel, e.Package})
	if e.FailedBuild != "" {
		t.printf("FAIL\t%s [build failed]\n", e.Package)
		return
	}
	if t.streams && t.front == p.name {
		t.front = ""
	} else {
		t.held(p, e.Action == result.Fail)
	}
	p.printNotRun(t)
	if e.Reason != "" {
		t.printf("%s: %s\n", e.Package, e.Reason)
	}
	name, again := t.name(e), ""
	if e.Attempt > 1 {
		again = fmt.Sprintf(" [attempt %d]", e.Attempt)
	}
	switch {
	case e.Action == result.Fail:
		t.printf("FAIL\t%s\t%.3fs%s\n", name, seconds(e), again)
	case e.Action == result.Skip:
		if p.noTestFiles() {
			t.printf("?   \t%s\t[no test files]\n", name)
		} else {
			t.printf("ok  \t%s\t%.3fs [no tests to run]\n", name, seconds(e))
		}
	case p.coverage != "":
		t.printf("ok  \t%s\t%.3fs%s\t%s\n", name, seconds(e), again, p.coverage)
	default:
		t.printf("ok  \t%s\t%.3fs%s\n", name, seconds(e), again)
	}
}

func seconds(e result.Event) float64 {
	if e.Elapsed == nil {
		return 0
	}
	return *e.Elapsed
}

func (p *packageText) noTestFiles() bool {
	return len(p.output) > 0 && strings.HasSuffix(p.output[0].text, "[no test files]\n")
}

// held prints output that was held back: all of it with -v, otherwise what
// belongs to failed tests and to the package, and benchmark results.
func (t *Text) held(p *packageText, packageFailed bool) {
	if t.several() && (packageFailed || t.Verbose) {
		t.printf("# %s %s\n", p.kernel, p.name)
	}
	if t.Matrix.run.Command != "" {
		p.command(t, packageFailed)
		return
	}
	for _, e := range p.inOrder(t.Verbose) {
		switch {
		case t.Verbose, packageFailed && e.test == "" && !isSummary(e.text):
			t.printf("%s", e.text)
		case packageFailed && p.failed[e.test] && !strings.HasPrefix(e.text, "=== "):
			t.printf("%s", e.text)
		case strings.HasPrefix(e.test, "Benchmark"), isBenchHeader(e.text):
			if !strings.HasPrefix(e.text, "=== ") && e.text != e.test+"\n" {
				t.printf("%s", e.text)
			}
		}
	}
}

// command prints what a command has printed, which is nobody's framing.
func (p *packageText) command(t *Text, failed bool) {
	for _, e := range p.output {
		if failed || t.Verbose {
			t.printf("%s", e.text)
		}
	}
}

// inOrder is the package's output as go test prints it: without -v a test's
// report comes first, what it logged is indented below it, and its subtests
// follow. The binary, told to print each test's output as it comes, does it the
// other way round. Of much that a test logged, the middle is left out.
func (p *packageText) inOrder(verbose bool) []textLine {
	if verbose {
		return p.output
	}
	byTest := map[string][]textLine{}
	var tops, names []string // in the order of their first output: a parent is before its subtests
	for _, e := range p.output {
		if _, seen := byTest[e.test]; !seen {
			names = append(names, e.test)
			if top, _, _ := strings.Cut(e.test, "/"); !slices.Contains(tops, top) {
				tops = append(tops, top)
			}
		}
		byTest[e.test] = append(byTest[e.test], e)
	}
	var ordered []textLine
	for _, top := range tops {
		for _, name := range names {
			if name == top || top != "" && strings.HasPrefix(name, top+"/") {
				ordered = append(ordered, p.reportFirst(byTest[name])...)
			}
		}
	}
	return ordered
}

func (p *packageText) reportFirst(lines []textLine) []textLine {
	depth := strings.Count(lines[0].test, "/")
	var reports, logs []textLine
	size := 0
	for _, e := range lines {
		if strings.HasPrefix(strings.TrimLeft(e.text, " "), "--- ") {
			e.text = strings.Repeat("    ", depth) + strings.TrimLeft(e.text, " ")
			reports = append(reports, e)
			continue
		}
		if strings.HasPrefix(e.text, "    ") { // logged, not printed
			e.text = strings.Repeat("    ", depth) + e.text
		}
		logs = append(logs, e)
		size += len(e.text)
	}
	if lines[0].test != "" && size > headKept+tailKept {
		logs = p.cut(logs)
	}
	return append(reports, logs...)
}

// cut leaves out of what a test logged what reports leave out of it.
func (p *packageText) cut(lines []textLine) []textLine {
	test := lines[0].test
	out := output{whole: p.whole[test]}
	for _, l := range lines {
		if !strings.HasPrefix(l.text, "=== ") {
			out.add(l.text)
		}
	}
	return []textLine{{test, out.text()}}
}

func isBenchHeader(line string) bool {
	for _, prefix := range []string{"goos: ", "goarch: ", "pkg: ", "cpu: "} {
		if strings.HasPrefix(line, prefix) {
			return true
		}
	}
	return false
}

// isSummary reports whether a line only repeats the package's verdict.
func isSummary(line string) bool {
	return line == "PASS\n" || line == "FAIL\n" || strings.HasPrefix(line, "coverage: ")
}

// trouble prints what a kernel said about itself.
func (t *Text) trouble(e result.Event, what string) {
	t.troubled[e.Kernel] = true
	t.printf("%s: %s\n", e.Kernel, what)
	for _, line := range e.Report() {
		t.printf("    %s\n", line)
	}
	if e.Hint != "" {
		t.notef("vmtest: hint: %s\n", e.Hint)
	}
}

func (t *Text) verdict(e result.Event) {
	if len(t.Matrix.kernels) == 0 {
		return
	}
	switch {
	case t.several():
		t.printf("\n")
		if err := t.Matrix.WriteTable(t.Out); err != nil && t.err == nil {
			t.err = err
		}
	default:
		t.remarkable()
	}
	if *e.Code != 0 {
		t.printf("FAIL\n")
	}
	if e.Reason != "" {
		t.notef("vmtest: %s\n", e.Reason)
	}
	t.notef("vmtest: %s in %.1fs\n", t.Matrix.totals(), seconds(e))
}

// remarkable lists what the blocklist kept from running or excused, and what is
// flaky; with several kernels the table does.
func (t *Text) remarkable() {
	k := t.Matrix.kernels[0]
	for _, row := range t.Matrix.rows() {
		switch c := row.cell(k); {
		case c.outcome == flaky:
			t.notef("vmtest: flaky %s.%s: %s\n", row.path, row.name, c.whyFlaky())
		case c.outcome != ok && c.block != nil:
			t.notef("vmtest: %s %s.%s: %s\n", c.outcome, row.path, row.name, c.note())
		}
	}
}

func ensureNewline(s string) string {
	if strings.HasSuffix(s, "\n") {
		return s
	}
	return s + "\n"
}
