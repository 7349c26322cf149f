package report

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A htmlPanel is what one sees behind a cell.
type htmlPanel struct {
	ID, Title, Sub string
	Others         []htmlOther // the same test elsewhere
	Facts          []htmlNamed
	Parts          []htmlPart
}

type (
	htmlOther struct {
		htmlCell
		Label string
		Here  bool
	}
	htmlNamed struct{ Name, Text string }
	htmlPart  struct{ Title, Text string }
)

// panel adds a panel and returns its ID.
func (p *htmlPage) panel(h htmlPanel) string {
	p.Panels = append(p.Panels, h)
	return h.ID
}

// anchor is a new ID, of something on a kernel, or on none. It is made of names,
// so that a link leads to the same test in the page of the next run, and has only
// letters that are the same in a link.
func (p *htmlPage) anchor(name string, k *kernel) string {
	label := ""
	if k != nil {
		label = k.label
	}
	id := anchored(name) + "~" + anchored(label)
	p.anchors[id]++
	if n := p.anchors[id]; n > 1 {
		id = fmt.Sprintf("%s~%d", id, n)
	}
	return id
}

// anchored is at most as long as most names.
func anchored(name string) string {
	const most = 100
	safe := strings.Map(func(r rune) rune {
		if r < utf8.RuneSelf && (unicode.IsLetter(r) || unicode.IsDigit(r) || r == '.' || r == '_') {
			return r
		}
		return '-'
	}, name)
	return safe[:min(most, len(safe))]
}

// named is facts in pairs of a name and a text, without those that are empty.
func named(pairs ...string) []htmlNamed {
	var list []htmlNamed
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			list = append(list, htmlNamed{pairs[i], pairs[i+1]})
		}
	}
	return list
}

// kernelPanel is about a kernel as a whole.
func (p *htmlPage) kernelPanel(k *kernel) htmlPanel {
	h := htmlPanel{ID: p.kernelIDs[k], Title: k.label}
	if k.label != k.name {
		h.Sub = k.name
	}
	if k.lost != nil {
		h.Facts = named("Lost", k.lost.Reason, "Hint", k.lost.Hint)
	}
	if m := k.machine; m != nil {
		accel := m.Accel
		if m.Note != "" {
			accel += ": " + m.Note
		}
		h.Facts = append(h.Facts, named(
			"Release", m.Release, "Digest", m.Digest, "Architecture", m.Arch, "Accelerator", accel,
			"Machine", fmt.Sprintf("%d CPUs, %d MiB", m.CPUs, m.MemoryMiB), "Boot", took(m.Boot),
			"Without", strings.Join(m.Without, "; "),
		)...)
	} else {
		h.Facts = append(h.Facts, named("Release", "unknown, it did not boot")...)
	}
	h.Facts = append(h.Facts, named("Console", k.console, "Files", k.files)...)
	if k.lost != nil {
		h.Parts = console("Console", k.lost.Report())
	}
	for _, e := range k.splats {
		h.Parts = append(h.Parts, console(e.Reason, e.Report())...)
	}
	return h
}

func console(title string, lines []string) []htmlPart {
	if len(lines) == 0 {
		return nil
	}
	return []htmlPart{{title, pageText(strings.Join(lines, "\n"))}}
}

// testPanels makes a test's panels, each of which leads to the others, and the
// cells link to them.
func (p *htmlPage) testPanels(t *test, cells []htmlCell) {
	first := len(p.Panels)
	here := map[int]int{} // columns of panels
	for column, k := range p.m.kernels {
		switch c := t.cell(k); {
		case c.outcome == notRun && k.lost != nil:
			cells[column].Link = p.kernelIDs[k]
		case c.outcome == blocked:
			cells[column].Link = p.note(c)
		default:
			if panel := p.testPanel(t, k); panel != nil {
				here[len(p.Panels)] = column
				cells[column].Link = p.panel(*panel)
			}
		}
	}
	for i := first; i < len(p.Panels); i++ {
		own, isTest := here[i]
		for column, k := range p.m.kernels {
			if isTest {
				p.Panels[i].Others = append(p.Panels[i].Others, htmlOther{cells[column], k.label, column == own})
			}
		}
	}
}

// note is the panel of a blocklist's entry, one for all that it blocks.
func (p *htmlPage) note(c *cell) string {
	text := c.note()
	if p.notes[text] == "" {
		p.notes[text] = p.panel(htmlPanel{ID: p.anchor("blocked", nil), Title: "Blocked", Facts: blockFacts(c)})
	}
	return p.notes[text]
}

func blockFacts(c *cell) []htmlNamed {
	if c.block == nil {
		return nil
	}
	return named("Blocklist", c.block.Reason, "Expects", c.block.Expect, "Issue", c.block.Issue, "Entry", c.block.Where)
}

// testPanel is what there is to say about a test on a kernel, or nil.
func (p *htmlPage) testPanel(t *test, k *kernel) *htmlPanel {
	c := t.cell(k)
	parts := p.outputs(c)
	if parts == nil && c.reason == "" && c.block == nil && c.outcome != failed && c.outcome != flaky {
		return nil
	}
	h := &htmlPanel{ID: p.anchor(p.names[t.path]+"."+t.name, k), Title: t.name, Sub: t.path + " on " + k.name, Parts: parts}
	what := looks[c.outcome].Name
	if c.outcome.ran() && c.elapsed >= least {
		what += " in " + took(c.elapsed)
	}
	if c.runs > 1 {
		what += fmt.Sprintf(", failed %d of %d times", c.failures, c.runs)
	}
	h.Facts = named("Outcome", what)
	if c.outcome == failed {
		cause := c.cause()
		h.Facts = append(h.Facts, named("Cause", t.why(k))...)
		if file := p.m.source(t.pkg, cause.File); file != "" {
			h.Facts = append(h.Facts, named("At", fmt.Sprintf("%s:%d", file, cause.Line))...)
		}
	} else {
		h.Facts = append(h.Facts, named("Reason", c.reason)...)
	}
	h.Facts = append(h.Facts, named("Files", strings.Join(c.files, "\n"))...)
	h.Facts = append(h.Facts, blockFacts(c)...)
	if c.reason != "" && k.lost != nil {
		h.Parts = append(h.Parts, console("Console of the kernel", k.lost.Report())...)
	}
	if c.outcome == failed {
		for _, e := range t.pkg.splats(k) {
			h.Parts = append(h.Parts, console("While its package ran, the kernel reported a fault", e.Report())...)
		}
	}
	return h
}

// outputs are what a test printed in all attempts, the last one first.
func (p *htmlPage) outputs(c *cell) []htmlPart {
	if len(c.earlier) == 0 {
		return p.output(c)
	}
	var parts []htmlPart
	tries := slices.Clone(c.earlier)
	if c.outcome != flaky { // whose output is that of the last failure
		tries = append(tries, c.try)
	}
	for i := range slices.Backward(tries) {
		try := cell{try: tries[i]}
		for _, part := range p.output(&try) {
			parts = append(parts, htmlPart{fmt.Sprintf("Attempt %d", try.attempt), part.Text})
		}
	}
	return parts
}

// output is what a test printed, as far as the page has room for it.
func (p *htmlPage) output(c *cell) []htmlPart {
	text := p.budget.cut(c)
	if text == "" {
		return nil
	}
	return []htmlPart{{"", pageText(text)}}
}

// pageText is text as it looks in a terminal, without colours.
func pageText(s string) string {
	var b strings.Builder
	for line := range strings.Lines(s) {
		b.WriteString(printable(line) + "\n")
	}
	return strings.TrimRight(b.String(), "\n")
}

// A htmlBudget shares out the room that a page has for outputs.
type htmlBudget struct {
	failure int // bytes, for each
	passed  int // bytes, for all
	dropped int // outputs of tests that passed
}

func newBudget(failures int) htmlBudget {
	const all, least = 2 << 20, 1 << 10
	return htmlBudget{failure: max(least, all/max(1, failures)), passed: 256 << 10}
}

// cut is as much of what a test printed as there is room for.
func (b *htmlBudget) cut(c *cell) string {
	out := c.output
	if c.outcome.bad() || c.outcome == flaky || c.outcome == expected {
		out.limit(b.failure)
		return out.text()
	}
	size := len(out.head) + len(out.tail)
	if size > b.passed {
		b.dropped++
		return ""
	}
	b.passed -= size
	return out.text()
}

func (b *htmlBudget) left() string {
	if b.dropped == 0 {
		return ""
	}
	return fmt.Sprintf("the output of %s that passed is left out", count(b.dropped, "test"))
}
