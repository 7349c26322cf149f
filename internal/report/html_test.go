package report

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/bpf-vmtest/bpf-vmtest/internal/result"
)

func htmlOf(t testing.TB, m *Matrix) string {
	t.Helper()
	var b bytes.Buffer
	if err := m.WriteHTML(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestHTML compares pages without their style and script.
func TestHTML(t *testing.T) {
	inner := regexp.MustCompile(`(?s)(<style>|<script>).*?(</)`)
	hashes := regexp.MustCompile(`sha256-.*?&#39;`)
	eachChosen(t, func(t *testing.T, name string, m *Matrix) {
		checkGolden(t, name+".html", hashes.ReplaceAllString(inner.ReplaceAllString(htmlOf(t, m), "$1…$2"), "sha256-…"))
	})
}

// checkPage checks what has to hold of a page whatever tests print: it is made
// of the template's elements, asks for nothing, and its links lead somewhere.
func checkPage(t *testing.T, page string) {
	t.Helper()
	doc, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	ids, links := map[string]int{}, map[string]bool{}
	var policy string
	sources := map[string]string{}
	for n := range doc.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		if !strings.Contains(" html head meta link title style body header div h1 span p ul li b section a i main fieldset legend input label output table thead tr th tbody td footer code article nav dl dt dd h2 h3 pre em script ", " "+n.Data+" ") {
			t.Errorf("element %s", n.Data)
		}
		if n.Data == "style" || n.Data == "script" {
			sources[n.Data] += n.FirstChild.Data
		}
		for _, a := range n.Attr {
			switch {
			case a.Key == "id":
				ids[a.Val]++
			case a.Key == "href" && strings.HasPrefix(a.Val, "#"):
				links[a.Val[1:]] = true
			case a.Key == "href" && a.Val == "data:,":
			case a.Key == "content" && strings.HasPrefix(a.Val, "default-src"):
				policy = a.Val
			case a.Key == "href", a.Key == "src", a.Key == "style", a.Key == "action", strings.HasPrefix(a.Key, "on"):
				t.Errorf("<%s %s=%q>", n.Data, a.Key, a.Val)
			}
		}
	}
	for id, n := range ids {
		if n > 1 {
			t.Errorf("id %s is there %d times", id, n)
		}
	}
	for link := range links {
		if ids[link] == 0 && link != "_" { // which closes a panel
			t.Errorf("a link leads to #%s, which is not there", link)
		}
	}
	for name, source := range sources {
		sum := sha256.Sum256([]byte(source))
		if want := fmt.Sprintf("%s-src 'sha256-%s'", name, base64.StdEncoding.EncodeToString(sum[:])); !strings.Contains(policy, want) {
			t.Errorf("the policy is not that of the %s: %s", name, policy)
		}
	}
	if !strings.HasPrefix(policy, "default-src 'none'; ") {
		t.Errorf("policy %q", policy)
	}
}

func TestHTMLPage(t *testing.T) {
	eachStream(t, func(t *testing.T, name string, m *Matrix) { checkPage(t, htmlOf(t, m)) })
	checkPage(t, htmlOf(t, &Matrix{}))
}

// TestHTMLBig is about the size of a page for many tests, all of which print,
// and some of which fail at length.
func TestHTMLBig(t *testing.T) {
	m := &Matrix{}
	run := &result.RunInfo{Kernels: []string{"a", "b", "c", "d", "e"}, Packages: []string{"m"}}
	_ = m.Event(result.Event{Action: result.Header, Run: run})
	for _, k := range run.Kernels {
		for i := range 1000 {
			e := result.Event{Kernel: k, Package: "m", Test: fmt.Sprintf("Test%d", i), Elapsed: new(float64(i) / 100)}
			e.Action, e.Output = result.Output, "    m_test.go:7: "+strings.Repeat("words ", 500)+"\n"
			_ = m.Event(e)
			e.Action, e.Output = result.Pass, ""
			if i%5 == 0 {
				e.Action = result.Fail
			}
			_ = m.Event(e)
		}
	}
	page := htmlOf(t, m)
	if len(page) > 6<<20 {
		t.Errorf("%d bytes", len(page))
	}
	if !strings.Contains(page, "tests that passed is left out") {
		t.Error("what is left out is not counted")
	}
	for _, k := range m.kernels { // other reports still have it
		if out := m.packages["m"].tests["Test0"].cell(k).output; len(out.text()) < 3000 {
			t.Errorf("the page has taken output away: %d bytes are left", len(out.text()))
		}
	}
}

// pageOf is a page of n tests on kernels a and b, or on a alone, of which some
// failed on a.
func pageOf(t *testing.T, n int, several bool, failed ...string) string {
	t.Helper()
	m := &Matrix{}
	run := &result.RunInfo{Kernels: []string{"a"}, Packages: []string{"m/p"}}
	if several {
		run.Kernels = append(run.Kernels, "b")
	}
	_ = m.Event(result.Event{Action: result.Header, Run: run})
	for _, k := range run.Kernels {
		for i := range n {
			e := result.Event{Action: result.Pass, Kernel: k, Package: "m/p", Test: fmt.Sprintf("Test%d", i)}
			if k == "a" && slices.Contains(failed, e.Test) {
				e.Action = result.Fail
			}
			_ = m.Event(e)
		}
	}
	return htmlOf(t, m)
}

// TestHTMLFirst is about what a page begins with.
func TestHTMLFirst(t *testing.T) {
	for _, tt := range []struct {
		name, page, first string
		others            string
	}{
		{"few", pageOf(t, 40, true, "Test1"), "all", "39 others"},
		{"many", pageOf(t, 41, true, "Test1", "Test2"), "notable", "39 others"},
		{"nothing to see", pageOf(t, 41, true), "all", "41 others"},
		{"one kernel", pageOf(t, 41, false, "Test1"), "bad", ""},
	} {
		if !strings.Contains(tt.page, `id="show-`+tt.first+`" checked>`) || strings.Count(tt.page, " checked>") != 2 {
			t.Errorf("%s: it does not begin with %s", tt.name, tt.first)
		}
		if got := strings.Contains(tt.page, `class="rest"`); got != (tt.others != "") || !strings.Contains(tt.page, tt.others) {
			t.Errorf("%s: want %q", tt.name, tt.others)
		}
	}
}

// TestHTMLAnchors makes sure that links are still right when tests have come or
// gone, and that two tests never have the same.
func TestHTMLAnchors(t *testing.T) {
	for _, page := range []string{pageOf(t, 9, true, "Test7"), pageOf(t, 9, true, "Test3", "Test7")} {
		if !strings.Contains(page, `<a href="#p.Test7~a">`) || !strings.Contains(page, `<article id="p.Test7~a"`) {
			t.Error("Test7 has another address")
		}
	}
	p := newPage(&Matrix{})
	k := &kernel{label: "oci:x y"}
	long := strings.Repeat("é", 200)
	for _, tt := range []struct{ name, want string }{
		{"p.Test/a", "p.Test-a~oci-x-y"},
		{"p.Test-a", "p.Test-a~oci-x-y~2"},
		{`"><script>`, "---script-~oci-x-y"},
		{long, strings.Repeat("-", 100) + "~oci-x-y"},
	} {
		if got := p.anchor(tt.name, k); got != tt.want {
			t.Errorf("%q has the address %q, want %q", tt.name, got, tt.want)
		}
	}
	if got := p.anchor("blocked", nil); got != "blocked~" {
		t.Errorf("%q", got)
	}
}

// FuzzHTML puts anything into the places of a page that others fill.
func FuzzHTML(f *testing.F) {
	for _, s := range []string{"plain", "</pre></script><script>alert(1)</script>", `" onclick="x`, "{{.}}", "javascript:alert(1)", "\x00\x1b[31m\xff", "#_"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) { checkPage(t, htmlOf(t, filled(t, s))) })
}

// filled is a run with the same text wherever others fill in theirs.
func filled(t *testing.T, s string) *Matrix {
	t.Helper()
	m := &Matrix{}
	code := 1
	for _, e := range []result.Event{
		{Action: result.Header, Run: &result.RunInfo{Version: s, Go: s, Args: []string{s}, Kernels: []string{s, "b"}, Dirs: map[string]string{s: s}}},
		{Action: result.Kernel, Kernel: "b", Machine: &result.MachineInfo{Release: s, Digest: s, Accel: s, Note: s, Without: []string{s}}},
		{Action: result.Output, Kernel: s, Package: s, Test: s, Output: s + "\n"},
		{Action: result.Fail, Kernel: s, Package: s, Test: s, Reason: s},
		{Action: result.Blocked, Kernel: "b", Package: s, Test: s, Block: &result.BlockInfo{Reason: s, Issue: s, Where: s}},
		{Action: result.BuildOutput, ImportPath: "n/" + s, Output: s},
		{Action: result.Splat, Kernel: "b", Package: s, Reason: s, Lines: strings.Split(s, "\n")},
		{Action: result.Lost, Kernel: s, Reason: s, Hint: s, Lines: []string{s, s}},
		{Action: result.Ended, Kernel: s, Console: s},
		{Action: result.Finding, Reason: s, Hint: s},
		{Action: result.Merged, Reason: s, Hint: s},
		{Action: result.Verdict, Code: &code, Reason: s},
	} {
		if err := m.Event(e); err != nil {
			t.Fatal(err)
		}
	}
	return m
}
