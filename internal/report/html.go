package report

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/bpf-vmtest/bpf-vmtest/internal/result"
)

var (
	//go:embed page/page.tmpl
	pageSource string
	//go:embed page/page.css
	pageStyle string
	//go:embed page/page.js
	pageScript string

	pageTemplate = template.Must(template.New("page").Parse(pageSource))
)

// WriteHTML writes the matrix as a page that needs no other file and no network:
// a map of tests and kernels, and behind each cell what is known about it. All
// but finding and keys works without scripts.
func (m *Matrix) WriteHTML(w io.Writer) error {
	p := newPage(m)
	p.head()
	for _, k := range m.kernels {
		p.kernelIDs[k] = p.anchor("kernel", k)
		p.Kernels = append(p.Kernels, p.kernel(k))
	}
	for _, pkg := range m.pkgs() {
		p.Packages = append(p.Packages, p.pkg(pkg))
	}
	for _, e := range m.merged {
		p.Remarks = append(p.Remarks, htmlRemark{e.Reason, e.Hint})
	}
	for _, e := range m.findings {
		p.Findings = append(p.Findings, htmlRemark{e.Reason, e.Hint})
	}
	p.seal()
	return pageTemplate.Execute(w, p)
}

// A htmlPage is what the template shows.
type htmlPage struct {
	m     *Matrix
	names map[string]string // packages, shortened

	Policy, Version, Command, Title, Prefix string
	Style                                   template.CSS
	Script                                  template.JS
	Verdict, VerdictClass, Reason           string
	Meta                                    []string
	Totals                                  []htmlTotal
	Kernels                                 []htmlKernel
	Wide                                    bool // more kernels than fit
	Remarks, Findings                       []htmlRemark
	Packages                                []htmlPackage
	Panels                                  []htmlPanel
	Tests, Differ, Bad, Notable, Subtests   int // rows; but for the last, as shown without all subtests
	Left                                    string

	broken            bool              // a package failed
	anchors           map[string]int    // uses of each
	widths            map[int]bool      // of bars, used
	notes             map[string]string // panels of the blocklist's entries
	kernelIDs         map[*kernel]string
	budget            htmlBudget
	shortest, longest float64 // seconds
}

type (
	htmlTotal struct {
		look
		N int
	}
	htmlRemark struct{ Text, Hint string }
	htmlKernel struct {
		ID, Name, Label, Release string
		Lost                     bool
		Bar                      []htmlBar
		Facts                    []htmlFact
	}
	htmlBar struct {
		Class string
		Width int // percent
	}
	htmlFact    struct{ Class, Text string }
	htmlPackage struct {
		Name, Path, Says, Link string
		Cells                  []htmlCell
		Rows                   []htmlRow
	}
	htmlRow struct {
		Class, Name, Above, Last string
		Cells                    []htmlCell
	}
	htmlCell struct{ Class, Symbol, Says, Took, Link string }
)

// A look is how an outcome is shown: a class for its colour, and a symbol for
// those who do not see that.
type look struct{ Class, Symbol, Name string }

var looks = map[outcome]look{
	ok: {"ok", "✓", "passed"}, failed: {"fail", "✕", "failed"}, notRun: {"lost", "!", "did not run"},
	flaky: {"flaky", "~", "flaky"}, expected: {"xfail", "≈", "failed as expected"}, skipped: {"skip", "–", "skipped"},
	blocked: {"blocked", "⊘", "blocked"}, measured: {"bench", "µ", "benchmark"}, absent: {"none", "", "not there"},
}

// shown are the outcomes in the order in which they are counted.
var shown = []outcome{ok, failed, notRun, flaky, expected, blocked, skipped}

const (
	// A page's table becomes a window of its own where it has more columns.
	htmlColumns = 10
	// A page with more rows begins with those that are worth a look.
	htmlRows = 40
)

func newPage(m *Matrix) *htmlPage {
	p := &htmlPage{
		m: m, names: m.packageNames(), Version: m.run.Version, Script: template.JS(pageScript),
		Wide: len(m.kernels) > htmlColumns, anchors: map[string]int{}, widths: map[int]bool{}, notes: map[string]string{}, kernelIDs: map[*kernel]string{}, shortest: math.Inf(1),
	}
	failures := 0
	for _, t := range m.rows() {
		for _, k := range m.kernels {
			c := t.cell(k)
			if c.outcome.ran() {
				p.shortest, p.longest = min(p.shortest, max(c.elapsed, least)), max(p.longest, c.elapsed, least)
			}
			if c.outcome.ran() && c.outcome != ok {
				failures++
			}
		}
	}
	p.budget = newBudget(failures)
	return p
}

// head tells what ran, and how it ended.
func (p *htmlPage) head() {
	m := p.m
	p.Prefix = m.prefix()
	p.Title = strings.TrimSuffix(p.Prefix, "/")
	if all := len(m.packages); all > 1 && !strings.Contains(p.Title, "/") { // at most a host
		p.Title = count(all, "package")
	}
	// A package that all others are below of says more.
	if all := m.pkgs(); len(all) > 0 && !slices.ContainsFunc(all, func(pkg *pkg) bool {
		return !strings.HasPrefix(pkg.path+"/", all[0].path+"/")
	}) {
		p.Title = all[0].path
	}
	switch code := m.Code(); {
	case code == 0:
		p.Verdict, p.VerdictClass = "passed", "ok"
	case code == 1:
		p.Verdict, p.VerdictClass = "failed", "fail"
	default:
		p.Verdict, p.VerdictClass = "incomplete", "lost"
	}
	if m.verdict == nil {
		p.Reason = "The run has no end: vmtest was killed."
	} else {
		p.Reason = sentence(m.verdict.Reason)
	}
	if !m.time.IsZero() {
		p.Meta = append(p.Meta, m.time.UTC().Format("2 January 2006, 15:04 UTC"))
	}
	if v := m.verdict; v != nil && v.Elapsed != nil {
		p.Meta = append(p.Meta, "took "+took(*v.Elapsed))
	}
	p.Meta = append(p.Meta, m.run.Go)
	if m.run.QEMU != "" {
		p.Meta = append(p.Meta, "QEMU "+m.run.QEMU)
	}
	if m.coverage != nil {
		p.Meta = append(p.Meta, fmt.Sprintf("coverage %.1f%%", *m.coverage))
	}
	if m.run.Args != nil {
		p.Command = "vmtest test " + strings.Join(m.run.Args, " ")
	}
	for _, o := range shown {
		n := 0
		for _, k := range m.kernels {
			n += m.count(k, o)
		}
		if n > 0 {
			p.Totals = append(p.Totals, htmlTotal{looks[o], n})
		}
	}
}

// sentence makes one of a reason.
func sentence(s string) string {
	if s == "" {
		return ""
	}
	return strings.ToUpper(s[:1]) + s[1:] + "."
}

// kernel is a kernel's card.
func (p *htmlPage) kernel(k *kernel) htmlKernel {
	h := htmlKernel{ID: p.kernelIDs[k], Name: k.name, Label: k.label, Lost: k.lost != nil}
	all := 0
	for _, o := range shown {
		all += p.m.count(k, o)
	}
	for _, o := range shown {
		if n := p.m.count(k, o); n > 0 {
			width := max(1, 100*n/all)
			p.widths[width] = true
			h.Bar = append(h.Bar, htmlBar{looks[o].Class, width})
		}
	}
	if k.lost != nil {
		h.Facts = append(h.Facts, htmlFact{"bad", "lost"})
	}
	if n := len(k.splats); n > 0 {
		h.Facts = append(h.Facts, htmlFact{"bad", count(n, "fault")})
	}
	if m := k.machine; m != nil {
		h.Release = m.Release + ", " + m.Arch
		h.Facts = append(h.Facts, htmlFact{m.Accel, strings.ToUpper(m.Accel)}, htmlFact{"", "boot " + took(m.Boot)})
	}
	if k.elapsed > 0 {
		h.Facts = append(h.Facts, htmlFact{"", "total " + took(k.elapsed)})
	}
	p.Panels = append(p.Panels, p.kernelPanel(k))
	return h
}

// pkg is a package's part of the table.
func (p *htmlPage) pkg(pkg *pkg) htmlPackage {
	h := htmlPackage{Name: p.names[pkg.path], Path: pkg.path}
	if pkg.untested {
		h.Says = "no test files"
	}
	if len(pkg.build) > 0 {
		h.Says = "does not build"
		h.Link = p.panel(htmlPanel{ID: p.anchor(h.Name, nil), Title: pkg.path, Sub: "does not build", Parts: []htmlPart{{"", strings.Join(pkg.build, "\n")}}})
	}
	for _, k := range p.m.kernels {
		h.Cells = append(h.Cells, p.packageCell(pkg, k))
	}
	p.broken = p.broken || h.Link != "" || slices.ContainsFunc(h.Cells, func(c htmlCell) bool { return c.Class == "bad" })
	for _, t := range pkg.rows() {
		h.Rows = append(h.Rows, p.row(t))
	}
	return h
}

func (p *htmlPage) packageCell(pkg *pkg, k *kernel) htmlCell {
	c := pkg.on(k)
	var h htmlCell
	if passed, all := pkg.passed(k); passed < all {
		h.Symbol = fmt.Sprintf("%d/%d", passed, all)
	} else if all > 0 {
		h.Symbol = fmt.Sprint(all)
	}
	if c.elapsed >= least {
		h.Took = took(c.elapsed)
	}
	faults := pkg.splats(k)
	switch {
	case c.outcome.bad() && k.lost != nil, len(faults) > 0:
		h.Class, h.Link = "bad", p.kernelIDs[k]
	case c.outcome.bad():
		h.Class = "bad"
		if c.reason != "" || !c.output.empty() {
			h.Link = p.panel(htmlPanel{
				ID: p.anchor(p.names[pkg.path], k), Title: pkg.path, Sub: "on " + k.name, Facts: named("Failed", c.reason), Parts: p.output(c),
			})
		}
	}
	if h.Link != "" && h.Symbol == "" {
		h.Symbol = "!"
	}
	if len(faults) > 0 {
		h.Symbol += " ⚡"
	}
	return h
}

// splats are the faults that a kernel reported while a package ran.
func (p *pkg) splats(k *kernel) []result.Event {
	return slices.DeleteFunc(slices.Clone(k.splats), func(e result.Event) bool { return e.Package != p.path })
}

func (p *htmlPage) row(t *test) htmlRow {
	above, last := "", t.name
	if i := strings.LastIndexByte(t.name, '/'); i >= 0 {
		above, last = t.name[:i+1], t.name[i+1:]
	}
	h := htmlRow{Class: "t", Name: t.name, Above: above, Last: last}
	if !t.isTop() {
		h.Class += " s"
		p.Subtests++
	}
	differs, bad := p.m.differs(t), p.m.bad(t)
	if differs {
		h.Class += " d"
		p.Differ++
	}
	if bad {
		h.Class += " x"
		p.Bad++
	}
	if differs || bad {
		p.Notable++
	}
	if differs || bad || t.isTop() {
		p.Tests++
	}
	for _, k := range p.m.kernels {
		h.Cells = append(h.Cells, p.cell(t, k))
	}
	p.testPanels(t, h.Cells)
	return h
}

// differs reports whether a test did not end in the same way on all kernels that
// could run it.
func (m *Matrix) differs(t *test) bool {
	seen := map[outcome]bool{}
	for _, k := range m.kernels {
		if !m.couldNotRun(t, k) {
			seen[t.cell(k).outcome] = true
		}
	}
	return len(seen) > 1
}

// bad reports whether a test failed the run by itself.
func (m *Matrix) bad(t *test) bool {
	return slices.ContainsFunc(m.kernels, func(k *kernel) bool {
		o := t.cell(k).outcome
		return o == failed || o == notRun && k.lost == nil
	})
}

// least is the shortest time that is told from none, in seconds.
const least = 0.0005

// cell is a test's on a kernel, without what is behind it.
func (p *htmlPage) cell(t *test, k *kernel) htmlCell {
	c := t.cell(k)
	h := htmlCell{Class: looks[c.outcome].Class, Symbol: looks[c.outcome].Symbol}
	if c.outcome == absent {
		return h
	}
	h.Says = looks[c.outcome].Name
	if c.outcome == ok && c.block != nil {
		h.Says += ", though a failure was expected"
	}
	if c.runs > 1 && c.failures > 0 {
		h.Says += fmt.Sprintf(", %d of %d times", c.failures, c.runs)
	}
	if c.outcome.ran() {
		h.Class += fmt.Sprintf(" h%d", p.heat(max(c.elapsed, least)))
	}
	if c.outcome.ran() && c.elapsed >= least {
		h.Took = took(c.elapsed)
	}
	return h
}

// heat is a time's place between the shortest and the longest, from 0 to 9.
func (p *htmlPage) heat(s float64) int {
	if p.longest <= p.shortest {
		return 0
	}
	share := math.Log(s/p.shortest) / math.Log(p.longest/p.shortest)
	return min(9, max(0, int(10*share)))
}

// Several reports whether tests can differ.
func (p *htmlPage) Several() bool { return len(p.m.kernels) > 1 }

// Same is how many tests are the same on every kernel, and did not fail.
func (p *htmlPage) Same() int { return p.Tests - p.Notable }

// First is what the page shows first: of many tests those that are worth a look.
func (p *htmlPage) First() string {
	switch {
	case p.Tests <= htmlRows || p.Notable == 0 && !p.broken:
		return "all"
	case p.Several():
		return "notable"
	}
	return "bad"
}

// Shortest and Longest label the scale.
func (p *htmlPage) Shortest() string {
	if p.shortest <= least {
		return "< 1ms"
	}
	return took(min(p.shortest, p.longest))
}

func (p *htmlPage) Longest() string { return took(p.longest) }

// seal forbids the page everything but its own style and script.
func (p *htmlPage) seal() {
	style := pageStyle + fmt.Sprintf("html { --columns: %d; }\n", max(1, len(p.m.kernels)))
	for _, w := range slices.Sorted(maps.Keys(p.widths)) {
		style += fmt.Sprintf(".w%d { flex: %d; }\n", w, w)
	}
	p.Style = template.CSS(style)
	p.Policy = fmt.Sprintf("default-src 'none'; style-src '%s'; script-src '%s'; img-src data:; base-uri 'none'; form-action 'none'",
		digest(style), digest(pageScript))
	p.Left = p.budget.left()
}

func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}
