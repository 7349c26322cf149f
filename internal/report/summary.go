package report

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/bpf-vmtest/bpf-vmtest/internal/result"
)

// How much of each kind a summary shows; more is counted.
const (
	summaryRows     = 100 // of a table
	summaryExcerpts = 10  // of tests' output
	excerptLines    = 10
	someNames       = 8
)

// Summary is the matrix as a section of markdown, made for GitHub's job
// summaries, of at most limit bytes. What tests and kernels have printed comes
// out as text and nothing else.
func (m *Matrix) Summary(limit int) string {
	s := summary{Matrix: m, page: page{limit: limit}, names: m.packageNames()}
	s.title()
	s.failures()
	s.unreported()
	s.trouble()
	s.blocked()
	s.ranNowhere()
	s.blocklist()
	s.flaky()
	s.passed()
	s.machines()
	return s.String()
}

type summary struct {
	*Matrix
	page
	names map[string]string // packages, shortened
}

var symbols = map[outcome]string{
	failed: "❌", notRun: "💥", flaky: "⚠️", expected: "☑️", ok: "✅", skipped: "⏭️", blocked: "🚫", measured: "⏱️", absent: "",
}

func (s *summary) title() {
	symbol := symbols[ok]
	if s.verdict == nil || s.Code() != 0 {
		symbol = symbols[failed]
	}
	line := fmt.Sprintf("## %s vmtest: %s", symbol, s.totals())
	if v := s.verdict; v != nil && v.Elapsed != nil {
		line += " in " + took(*v.Elapsed)
	}
	s.add("%s\n", line)
	var said []string
	switch {
	case s.verdict == nil:
		said = append(said, "The run has no end: vmtest was killed.")
	case s.verdict.Reason != "":
		said = append(said, plain(s.verdict.Reason)+".")
	}
	for _, k := range s.kernels {
		if k.lost != nil {
			said = append(said, fmt.Sprintf("%s was lost, %s not run.", code(k.label), count(s.count(k, notRun), "test")))
		}
	}
	if s.coverage != nil {
		said = append(said, fmt.Sprintf("Coverage of all packages and kernels: %.1f%% of statements.", *s.coverage))
	}
	if said != nil {
		s.add("\n%s\n", strings.Join(said, " "))
	}
}

// section adds a heading, the head of a table or what else comes first, and
// items, as far as it has any.
func (s *summary) section(heading, head string, items []string) {
	if len(items) == 0 {
		return
	}
	if !s.add("\n### %s\n\n%s", heading, head) {
		s.cut += len(items) - 1
		return
	}
	for i, item := range items {
		if i == summaryRows {
			s.add("\n… and %d more\n", len(items)-i)
			return
		}
		s.add("%s", item)
	}
}

// failures shows the tests that failed: first those that passed elsewhere.
func (s *summary) failures() {
	here, everywhere := s.failing()
	s.failureTable("Fails on some kernels only", here)
	if len(s.kernels) == 1 {
		s.failureTable("Fails", everywhere)
	} else {
		s.failureTable("Fails on every kernel it ran on", everywhere)
	}
}

func (s *summary) failureTable(heading string, tests []*test) {
	var rows []string
	for _, t := range tests {
		rows = append(rows, s.row(t))
	}
	s.section(heading, s.head("test"), rows)
	for i, t := range tests {
		if i == summaryExcerpts {
			s.add("\nThe output of %s is in the other reports.\n", count(len(tests)-i, "more test"))
			break
		}
		k := s.failedOn(t)[0]
		c := t.cell(k)
		s.add("\n%s", folded(fmt.Sprintf("%s on %s: %s", code(t.name), code(k.label), says(c)), c.output.lines(), c.output.cutLines, s.kept(c)...))
	}
}

// says is why a test failed.
func says(c *cell) string {
	if cause := c.cause().String(); cause != "" {
		return code(cause)
	}
	return "it printed nothing"
}

// folded is the end of what was printed, below its title, and above the files
// that there are about it. Of the lines, cut were left out already.
func folded(title string, lines []string, cut int, files ...string) string {
	if n := len(lines) - excerptLines; n > 0 {
		lines = append([]string{fmt.Sprintf("… %s before", count(n+cut, "line"))}, lines[n:]...)
	}
	body := pre(lines)
	if len(files) > 0 {
		body += "\n\n" + strings.Join(files, ", ")
	}
	return fmt.Sprintf("<details><summary>%s</summary>\n\n%s\n\n</details>\n", title, body)
}

// kept names the files that there are about a test, relative to the directory of
// all that was kept, which CI keeps elsewhere.
func (s *summary) kept(c *cell) []string {
	var names []string
	for i, file := range c.files {
		if i == someNames {
			return append(names, fmt.Sprintf("and %d more files", len(c.files)-i))
		}
		if rel, err := filepath.Rel(s.run.Bundle, file); err == nil && filepath.IsLocal(rel) {
			file = rel
		}
		names = append(names, code(file))
	}
	return names
}

// head is that of a table with a column for each kernel.
func (s *summary) head(first string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "| %s |", first)
	for _, k := range s.kernels {
		fmt.Fprintf(&b, " %s |", code(k.label))
	}
	return b.String() + "\n|:--|" + strings.Repeat(":-:|", len(s.kernels)) + "\n"
}

func (s *summary) row(t *test) string {
	row := fmt.Sprintf("| %s |", s.name(t))
	for _, k := range s.kernels {
		c := t.cell(k)
		row += " " + symbols[c.outcome]
		if c.runs > 1 && c.failures > 0 {
			row += fmt.Sprintf(" %d of %d", c.failures, c.runs)
		}
		if c.outcome.ran() {
			row += tookIf(c.elapsed)
		}
		row += " |"
	}
	return row + "\n"
}

func (s *summary) name(t *test) string {
	return code(t.name) + " " + plain(s.names[t.path])
}

// some are the first of a list, the rest counted.
func some(list []string) string {
	if n := len(list) - someNames; n > 1 {
		return strings.Join(list[:someNames], ", ") + fmt.Sprintf(" and %d more", n)
	}
	return strings.Join(list, ", ")
}

// unreported shows the tests that were expected and did not report, on kernels
// that were not lost: those have said why.
func (s *summary) unreported() {
	var all groups
	for _, t := range s.rows() {
		for _, k := range s.kernels {
			if c := t.cell(k); c.outcome == notRun && k.lost == nil {
				all.add(t.path, t, k, c, c.reason)
			}
		}
	}
	s.groupTable("Did not report", all)
}

func (s *summary) groupTable(heading string, all groups) {
	var rows []string
	for _, g := range all {
		rows = append(rows, fmt.Sprintf("| %s %s %s | %s | %s |\n",
			symbols[g.outcome], some(g.tests), plain(s.names[g.path]), some(g.kernels), plain(g.why)))
	}
	s.section(heading, "| test | on | why |\n|:--|:--|:--|\n", rows)
}

// trouble lists the kernels that could not go on or reported faults, the
// packages that failed as a whole, and what did not fit together.
func (s *summary) trouble() {
	var items []string
	add := func(what string, lines []string) {
		item := "- " + what + "\n"
		if len(lines) > 0 {
			item += "\n" + folded("what it said", lines, 0) + "\n"
		}
		items = append(items, item)
	}
	for _, k := range s.kernels {
		if k.lost != nil {
			add(fmt.Sprintf("💥 %s was lost: %s%s", code(k.label), plain(k.lost.Reason), hint(*k.lost)), k.lost.Report())
		}
		for _, e := range k.splats {
			during := ""
			if e.Package != "" {
				during = " during " + code(s.names[e.Package])
			}
			add(fmt.Sprintf("💥 %s reported a fault%s: %s", code(k.label), during, plain(e.Reason)), e.Report())
		}
	}
	for _, p := range s.pkgs() {
		if len(p.build) > 0 {
			add(fmt.Sprintf("❌ %s does not build", code(s.names[p.path])), p.build)
		}
	}
	for _, g := range s.failedWhole() {
		add(fmt.Sprintf("❌ %s on %s: %s", code(s.names[g.path]), some(g.kernels), plain(g.why)), g.first.output.lines())
	}
	for _, e := range s.merged {
		add("⚠️ "+plain(e.Reason)+hint(e), nil)
	}
	s.section("In trouble", "", items)
}

func hint(e result.Event) string {
	if e.Hint == "" {
		return ""
	}
	return " — " + plain(e.Hint)
}

// blocked shows what the blocklist kept from running, or excused.
func (s *summary) blocked() {
	var all groups
	for _, t := range s.rows() {
		for _, k := range s.kernels {
			if c := t.cell(k); c.outcome == blocked || c.outcome == expected {
				all.add(t.path, t, k, c, c.note())
			}
		}
	}
	s.groupTable("Blocked, or failed as expected", all)
}

// ranNowhere shows the tests that no kernel has seen.
func (s *summary) ranNowhere() {
	var rows []string
	for _, t := range s.rows() {
		var why []string
		ran := !t.isTop()
		for _, k := range s.kernels {
			switch c := t.cell(k); {
			case c.outcome.ran():
				ran = true
			case c.outcome == skipped:
				why = appendNew(why, symbols[skipped]+" "+says(c))
			case c.outcome == blocked:
				why = appendNew(why, symbols[blocked]+" "+plain(c.block.Reason))
			}
		}
		if ran || why == nil {
			continue
		}
		rows = append(rows, fmt.Sprintf("| %s | %s |\n", s.name(t), some(why)))
	}
	s.section("Ran on no kernel", "| test | why |\n|:--|:--|\n", rows)
}

func (s *summary) blocklist() {
	var items []string
	for _, e := range s.findings {
		items = append(items, "- "+plain(e.Reason)+hint(e)+"\n")
	}
	s.section("Blocklist", "", items)
}

func (s *summary) flaky() {
	var rows []string
	for _, t := range s.rows() {
		for _, k := range s.kernels {
			c := t.cell(k)
			if c.outcome != flaky {
				continue
			}
			rows = append(rows, fmt.Sprintf("| %s | %s | %s | %s |\n", s.name(t), code(k.label), plain(c.whyFlaky()), says(c)))
		}
	}
	s.section("Flaky", "| test | on | why | what it said |\n|:--|:--|:--|:--|\n", rows)
}

// passed shows how many tests of the packages passed, and what they took.
func (s *summary) passed() {
	var rows []string
	for _, p := range s.pkgs() {
		row, any := "| "+code(s.names[p.path])+" |", false
		for _, k := range s.kernels {
			passed, all := p.passed(k)
			any = any || all > 0
			switch c := p.on(k); {
			case all == 0:
			case c.outcome.bad():
				row += fmt.Sprintf(" %s %d of %d%s", symbols[c.outcome], passed, all, tookIf(c.elapsed))
			default:
				row += fmt.Sprintf(" %s %d%s", symbols[ok], passed, tookIf(c.elapsed))
			}
			row += " |"
		}
		if any {
			rows = append(rows, row+"\n")
		}
	}
	s.section("Packages", s.head("tests that passed"), rows)
}

// passed counts a package's top-level tests on a kernel, of all that should have
// passed.
func (p *pkg) passed(k *kernel) (passed, all int) {
	for _, t := range p.tests {
		o := t.cell(k).outcome
		if !t.isTop() || !o.ran() && o != notRun {
			continue
		}
		all++
		if !o.bad() {
			passed++
		}
	}
	return passed, all
}

func (s *summary) machines() {
	var rows []string
	for _, k := range s.kernels {
		if m := k.machine; m != nil {
			rows = append(rows, fmt.Sprintf("| %s | %s | %s, %s, %d CPUs, %d MiB | %s | %s | %s |\n", code(k.label), inline(m.Release),
				m.Arch, m.Accel, m.CPUs, m.MemoryMiB, took(m.Boot), took(k.elapsed), code(m.Digest)))
		} else {
			rows = append(rows, fmt.Sprintf("| %s | did not boot | | | | |\n", code(k.label)))
		}
	}
	s.section("Kernels", "| kernel | release | machine | boot | in all | digest |\n|:--|:--|:--|:--|:--|:--|\n", rows)
}
