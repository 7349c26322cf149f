package report

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/extension"
	goldmarkhtml "github.com/yuin/goldmark/renderer/html"
	"golang.org/x/net/html"

	"github.com/bpf-vmtest/bpf-vmtest/internal/result"
)

func TestSummary(t *testing.T) {
	eachChosen(t, func(t *testing.T, name string, m *Matrix) {
		checkGolden(t, name+".md", m.Summary(1<<20))
	})
}

// rendered is markdown as GitHub would make HTML of it: the elements that are in
// it, and its text.
func rendered(t *testing.T, markdown string) (elements []string, text string) {
	t.Helper()
	var page bytes.Buffer
	gfm := goldmark.New(goldmark.WithExtensions(extension.GFM), goldmark.WithRendererOptions(goldmarkhtml.WithUnsafe()))
	if err := gfm.Convert([]byte(markdown), &page); err != nil {
		t.Fatal(err)
	}
	z := html.NewTokenizer(&page)
	for z.Next() != html.ErrorToken {
		switch token := z.Token(); token.Type {
		case html.StartTagToken, html.SelfClosingTagToken:
			if !slices.Contains(elements, token.Data) {
				elements = append(elements, token.Data)
			}
		case html.TextToken:
			text += token.Data
		}
	}
	slices.Sort(elements)
	return elements, text
}

// TestSummaryIsText renders the summary of tests that print markdown and HTML.
func TestSummaryIsText(t *testing.T) {
	elements, text := rendered(t, gathered(t, "testdata/every.jsonl").Summary(1<<20))
	want := []string{"code", "details", "h2", "h3", "li", "p", "pre", "summary", "table", "tbody", "td", "th", "thead", "tr", "ul", "wbr"}
	if !slices.Equal(elements, want) {
		t.Errorf("elements %v, want %v", elements, want)
	}
	for _, said := range []string{
		"TestHostile/<img_src=x_onerror=alert(1)>", "TestHostile/a|b", "TestHostile/`code`", "hostile_test.go:8: #01_%0A::error::x",
		"# heading [link](javascript:alert(1)) ![i](http://example.com/i.png) @octocat me@example.com www.example.com",
		"hostile_test.go:7: `code` *bold* _it_ <b>html</b> %0A::error::x | y &amp; {{.}} ${{ secrets.X }}",
	} {
		if !strings.Contains(text, said) {
			t.Errorf("the text lacks %s", said)
		}
	}
}

// FuzzSummary puts anything into the places of a summary that others fill.
func FuzzSummary(f *testing.F) {
	for _, s := range []string{"plain", "</pre>\n\n# x", "`a`", "a|b\\|c", "www.example.com http://x.y a@b.c :x: #1", "<!--", "\n\n- a\n\n    b", "[a](b)", "**a**", "$x$", "&lt;", "| a |\n|---|"} {
		f.Add(s)
	}
	allowed := []string{"code", "details", "h2", "h3", "li", "p", "pre", "summary", "table", "tbody", "td", "th", "thead", "tr", "ul", "wbr"}
	f.Fuzz(func(t *testing.T, s string) {
		var m Matrix
		code := 1
		for _, e := range []result.Event{
			{Action: result.Header, Run: &result.RunInfo{Kernels: []string{s, "b"}}},
			{Action: result.Output, Kernel: s, Package: s, Test: s, Output: s + "\n"},
			{Action: result.Fail, Kernel: s, Package: s, Test: s, Reason: s},
			{Action: result.Pass, Kernel: "b", Package: s, Test: s},
			{Action: result.Blocked, Kernel: s, Package: s, Test: "T", Block: &result.BlockInfo{Reason: s}},
			{Action: result.Splat, Kernel: "b", Package: s, Reason: s, Lines: strings.Split(s, "\n")},
			{Action: result.Lost, Kernel: s, Reason: s, Hint: s, Lines: []string{s, s}},
			{Action: result.Finding, Reason: s, Hint: s},
			{Action: result.Verdict, Code: &code, Reason: s},
		} {
			if err := m.Event(e); err != nil {
				t.Fatal(err)
			}
		}
		summary := m.Summary(1 << 20)
		elements, _ := rendered(t, summary)
		for _, e := range elements {
			if !slices.Contains(allowed, e) {
				t.Errorf("%q makes an element %s:\n%s", s, e, summary)
			}
		}
	})
}

// failing is a matrix of many tests that all failed, with much to say.
func failing(tests, lines int) *Matrix {
	m := &Matrix{}
	kernels := []string{"debian:5.10", "debian:6.1", "debian:6.12"}
	_ = m.Event(result.Event{Action: result.Header, Run: &result.RunInfo{Kernels: kernels, Packages: []string{"example.org/fw/attach"}}})
	for _, k := range kernels {
		_ = m.Event(result.Event{Action: result.Kernel, Kernel: k, Machine: &result.MachineInfo{Release: k}})
		for i := range tests {
			e := result.Event{Kernel: k, Package: "example.org/fw/attach", Test: fmt.Sprintf("TestLoad%d", i)}
			e.Action, e.Output = result.Output, "    load_test.go:12: load program: argument list too long:\n"
			_ = m.Event(e)
			for line := range lines {
				e.Output = fmt.Sprintf("        \t%d: (07) r1 += 1   ; R1_w=scalar(id=%d,umin=0,umax=4294967295)\n", line, line)
				_ = m.Event(e)
			}
			e.Action, e.Output, e.Elapsed = result.Fail, "", new(1.5)
			_ = m.Event(e)
		}
		_ = m.Event(result.Event{Action: result.Ended, Kernel: k, Elapsed: new(2.5)})
	}
	_ = m.Event(result.Event{Action: result.Verdict, Code: new(1), Elapsed: new(3.5)})
	return m
}

// TestSummaryShort is about a program that no kernel loads, with the whole log
// of the verifier.
func TestSummaryShort(t *testing.T) {
	summary := failing(1, 100_000).Summary(1 << 20) // 6 MB on each kernel
	if n := strings.Count(summary, "\n"); n >= 50 {
		t.Errorf("%d lines:\n%s", n, summary)
	}
	if !strings.Contains(summary, "99999: (07) r1") || strings.Contains(summary, "99000: (07) r1") {
		t.Errorf("not the end of the log:\n%s", summary)
	}
}

// TestSummaryLimit fills a summary beyond what is taken of it.
func TestSummaryLimit(t *testing.T) {
	m := failing(500, 30)
	for _, limit := range []int{1 << 20, 9_000, 5_000, 1500, 10, -5} {
		summary := m.Summary(limit)
		if len(summary) > max(0, limit) {
			t.Errorf("%d bytes, %d allowed", len(summary), limit)
		}
		cut := "… and 400 more"
		if limit < 100_000 {
			cut = " did not fit._"
		}
		if limit > reserve && !strings.Contains(summary, cut) {
			t.Errorf("limit %d: what was cut is not counted:\n%.2000s", limit, summary)
		}
		if elements, _ := rendered(t, summary); strings.Count(summary, "<pre>") != strings.Count(summary, "</pre>") {
			t.Errorf("limit %d: something is half there: %v", limit, elements)
		}
	}
}
