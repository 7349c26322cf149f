package report

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bpf-vmtest/bpf-vmtest/internal/result"
)

// desk is the screen of most tests.
var desk = screen{width: 1280}

// TestRealPage has Chromium show pages, and does with them what people do.
func TestRealPage(t *testing.T) {
	needReal(t)
	c := startChromium(t)
	every := gathered(t, "testdata/every.jsonl")
	many := gathered(t, "testdata/every.jsonl")
	for i := range 60 { // more than what a page begins with
		for _, k := range many.run.Kernels[:3] {
			_ = many.Event(result.Event{Action: result.Pass, Kernel: k, Package: "example.org/fw/more", Test: fmt.Sprintf("TestMore%d", i)})
		}
	}
	t.Run("Panels", func(t *testing.T) { testPanels(t, c, htmlOf(t, every)) })
	t.Run("Views", func(t *testing.T) { testViews(t, c, many) })
	t.Run("Find", func(t *testing.T) { testFind(t, c, htmlOf(t, many)) })
	t.Run("Link", func(t *testing.T) { testLink(t, c, htmlOf(t, many)) })
	t.Run("WithoutScripts", func(t *testing.T) { testWithoutScripts(t, c, htmlOf(t, many)) })
	t.Run("Hostile", func(t *testing.T) { testHostile(t, c, every) })
	t.Run("Printed", func(t *testing.T) { testPrinted(t, c, htmlOf(t, every)) })
	t.Run("Head", func(t *testing.T) { testHead(t, c, htmlOf(t, many)) })
	t.Run("Fits", func(t *testing.T) { testFits(t, c, htmlOf(t, many)) })
}

const (
	// panel is the text of the panel that is to be seen.
	panel = `[...document.querySelectorAll('article')].filter(a => a.checkVisibility()).map(a => a.innerText).join()`
	// rows are the names of the tests that are to be seen.
	rows = `[...document.querySelectorAll('tr.t')].filter(r => r.checkVisibility()).map(r => r.firstChild.title)`
	// focused is where the focus is.
	focused = `document.activeElement.hash || document.activeElement.id || document.activeElement.tagName`
)

// testPanels opens what is behind cells and kernels, and closes it again.
func testPanels(t *testing.T, c *chromium, page string) {
	b := c.open(t, page, "", desk)
	closed := func(how string) {
		t.Helper()
		becomes(b, "", panel)
		if hash := eval[string](b, "location.hash"); hash != "#_" {
			t.Errorf("%s leaves the address at %s", how, hash)
		}
	}
	shows := func(id string, texts ...string) {
		t.Helper()
		becomes(b, "#"+id, "location.hash")
		got := eval[string](b, panel)
		for _, text := range texts {
			if !strings.Contains(got, text) {
				t.Errorf("%s does not show %q:\n%s", id, text, got)
			}
		}
	}
	b.click(`td a[href="#attach.TestLoad~debian-5.10"]`)
	shows("attach.TestLoad~debian-5.10", "example.org/fw/attach on debian:5.10", "failed in 350ms", "attach/attach_test.go:31", "invalid bpf_context access off=76 size=4\n")
	b.press("Escape")
	closed("Escape")
	becomes(b, "#attach.TestLoad~debian-5.10", focused)

	b.click(`td a[href="#attach.TestCrash~debian-6.18"]`)
	shows("attach.TestCrash~debian-6.18", "writing c to sysrq-trigger", "Console of the kernel", "sysrq_handle_crash+0x1a/0x20")
	b.click(`article:target nav a[href="#attach.TestCrash~debian-6.18"]`) // here already
	shows("attach.TestCrash~debian-6.18")
	b.click("article:target .close")
	closed("the cross")

	b.click(`thead a[href="#kernel~kernels-6.12"]`)
	shows("kernel~kernels-6.12", "6.12.48", "WARNING: CPU: 0 PID: 163", "bpf_link_free+0x5a/0xa0")
	b.clickAt(20, 450) // beside the panel
	closed("a click beside it")

	b.click(`.card[href="#kernel~.-bzImage-next"]`)
	shows("kernel~.-bzImage-next", "the kernel has no 9p", "Unable to mount root fs")
	b.press("Escape")
	closed("Escape")

	b.click(`td a[href="#blocked~"]`)
	shows("blocked~", "kfuncs need 6.2", ".vmtest/blocklist.yaml:3")
}

// testViews looks at the choices above the table, each of which says how many
// tests it shows.
func testViews(t *testing.T, c *chromium, m *Matrix) {
	var notable, differ, bad, whole, all []string
	for _, row := range m.rows() {
		d, x := m.differs(row), m.bad(row)
		for _, view := range []struct {
			names *[]string
			in    bool
		}{{&notable, d || x}, {&differ, d}, {&bad, x}, {&whole, d || x || row.isTop()}, {&all, true}} {
			if view.in {
				*view.names = append(*view.names, row.name)
			}
		}
	}
	b := c.open(t, htmlOf(t, m), "", desk)
	is := func(view string, want []string) {
		t.Helper()
		if diff := cmp.Diff(want, eval[[]string](b, rows)); diff != "" {
			t.Errorf("view %s (-want +got):\n%s", view, diff)
		}
	}
	is("at first", notable)
	for _, view := range []struct {
		name  string
		names []string
	}{{"all", whole}, {"differ", differ}, {"bad", bad}, {"notable", notable}} {
		b.click("label[for=show-" + view.name + "]")
		is(view.name, view.names)
		if says := eval[string](b, "document.querySelector('label[for=show-%s] b').textContent", view.name); says != fmt.Sprint(len(view.names)) {
			t.Errorf("view %s says it has %s tests, and has %d", view.name, says, len(view.names))
		}
	}
	b.click(".rest label") // all others
	is("after a click on the others", whole)
	b.click("label[for=subtests]")
	is("with subtests", all)

	const cell = `getComputedStyle(document.querySelector('tr.t td.ok.h9')).backgroundColor`
	const took = `document.querySelector('tr.t td.ok b').checkVisibility()`
	before := eval[string](b, cell)
	if eval[bool](b, took) {
		t.Error("times are there before they are asked for")
	}
	b.click("label[for=mode-time]")
	if !eval[bool](b, took) || eval[string](b, cell) == before {
		t.Error("the view of times is that of outcomes")
	}
}

// testFind finds tests by parts of their names, whatever view is chosen.
func testFind(t *testing.T, c *chromium, page string) {
	b := c.open(t, page, "", desk)
	first := eval[[]string](b, rows)
	all := eval[int](b, "document.querySelectorAll('tr.t').length")
	for _, tt := range []struct {
		words string
		want  []string
	}{
		{"more59", []string{"TestMore59"}}, // not notable
		{"FW/attach modes", []string{"TestModes", "TestModes/9", "TestModes/10", "TestModes/generic", "TestModes/native"}}, // words of package and test, and subtests
		{"  img_src  ", []string{"TestHostile/<img_src=x_onerror=alert(1)>"}},
		{"attach more", []string{}},
	} {
		b.press("/")
		becomes(b, "find", focused)
		b.types(tt.words)
		becomes(b, fmt.Sprintf("%d of %d", len(tt.want), all), "document.querySelector('#found').textContent")
		if diff := cmp.Diff(tt.want, eval[[]string](b, rows)); diff != "" {
			t.Errorf("find %q (-want +got):\n%s", tt.words, diff)
		}
		if none := eval[bool](b, "document.querySelector('p.none').checkVisibility()"); none != (len(tt.want) == 0) {
			t.Errorf("find %q: it says that there is none: %v", tt.words, none)
		}
		b.press("Escape")
		becomes(b, "", "document.querySelector('#find').value + document.querySelector('#found').textContent")
		if diff := cmp.Diff(first, eval[[]string](b, rows)); diff != "" {
			t.Errorf("after finding %q (-want +got):\n%s", tt.words, diff)
		}
	}
}

// testLink opens the address of a test, and goes on with keys.
func testLink(t *testing.T, c *chromium, page string) {
	b := c.open(t, page, "#attach.TestModes-generic~debian-6.1", desk)
	if got := eval[string](b, panel); !strings.Contains(got, "attach in mode generic: got operation not supported, want nil") {
		t.Errorf("the link shows %q", got)
	}
	becomes(b, "attach.TestModes-generic~debian-6.1", focused)
	links := eval[[]string](b, "[...document.querySelectorAll('tr.t a')].filter(a => a.checkVisibility()).map(a => a.hash.slice(1))")
	links = slices.Compact(links) // cells beside each other may share what is behind them
	at := slices.Index(links, "attach.TestModes-generic~debian-6.1")
	if at < 2 || at+2 >= len(links) {
		t.Fatalf("the cell is number %d of %d", at, len(links))
	}
	for _, step := range []struct {
		key string
		to  int
	}{{"ArrowRight", at + 1}, {"ArrowRight", at + 2}, {"ArrowLeft", at + 1}, {"ArrowLeft", at}, {"ArrowLeft", at - 1}} {
		b.press(step.key)
		becomes(b, "#"+links[step.to], "location.hash")
	}
	b.press("Escape")
	becomes(b, "#"+links[at-1], focused)
	becomes(b, "", panel)
	b.press("Enter")
	becomes(b, "#"+links[at-1], "location.hash")

	b = c.open(t, page, "#attach.TestGone~debian-6.1", desk) // which the run did not have
	if got := eval[string](b, panel); got != "" {
		t.Errorf("a link to nothing shows %q", got)
	}
}

// testWithoutScripts makes sure that only finding and keys need them.
func testWithoutScripts(t *testing.T, c *chromium, page string) {
	b := c.tab(t, desk)
	b.withoutScripts()
	b.show(page, "")
	if eval[bool](b, "document.querySelector('#find').checkVisibility()") {
		t.Error("finding is offered, and does nothing")
	}
	notable := len(eval[[]string](b, rows))
	b.click("label[for=show-all]")
	if n := len(eval[[]string](b, rows)); n <= notable {
		t.Errorf("all are %d tests, notable %d", n, notable)
	}
	b.click(`td a[href="#attach.TestLoad~debian-5.10"]`)
	becomes(b, "#attach.TestLoad~debian-5.10", "location.hash")
	if got := eval[string](b, panel); !strings.Contains(got, "load program: permission denied") {
		t.Errorf("it shows %q", got)
	}
	b.click("article:target .close")
	becomes(b, "", panel)
}

// testHostile shows pages of tests and machines that would like to be a page.
// What they run, ask for or are forbidden is a fault of the tab.
func testHostile(t *testing.T, c *chromium, every *Matrix) {
	pages := []string{htmlOf(t, every)}
	for _, s := range []string{
		`</pre></article></style></script><script>alert(1)</script><img src=x onerror=alert(1)>`,
		`" onclick="alert(1)" onfocus="alert(1)" autofocus style="color:red" x="`,
		`javascript:alert(1)`, `<a href="javascript:alert(1)">`, `<base href="https://example.org/">`, `<!--`, `]]>`, `{{.}}`,
		`<meta http-equiv="refresh" content="0;url=https://example.org/">`, `<iframe srcdoc="<script>alert(1)</script>">`,
	} {
		pages = append(pages, htmlOf(t, filled(t, s)))
	}
	for _, page := range pages {
		b := c.open(t, page, "", desk)
		ids := eval[[]string](b, "[...document.querySelectorAll('article')].map(a => a.id)")
		if want := strings.Count(page, "\n<article "); len(ids) != want || want == 0 {
			t.Errorf("%d panels, want %d", len(ids), want)
		}
		for _, id := range ids { // each is one that is shown whole
			eval[string](b, "location.hash = %q", id)
			becomes(b, true, "document.getElementById(%q).checkVisibility()", id)
		}
		if n := eval[int](b, "document.querySelectorAll('article:target h2, article:target .panel').length"); n != 2 {
			t.Errorf("the last panel has %d of its parts", n)
		}
		eval[string](b, "location.hash = '_'")
		b.press("/")
		b.types("<i")
	}
}

// testPrinted looks at the page as it is on paper, where nothing can be clicked.
func testPrinted(t *testing.T, c *chromium, page string) {
	b := c.open(t, page, "#attach.TestLoad~debian-5.10", desk)
	b.do("Emulation.setEmulatedMedia", params{"media": "print"}, nil)
	becomes(b, "", panel)
	if eval[bool](b, "document.querySelector('.tools').checkVisibility()") {
		t.Error("what is to be clicked is printed")
	}
	if n := len(eval[[]string](b, rows)); n == 0 {
		t.Error("no test is printed")
	}
}
