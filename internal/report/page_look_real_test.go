package report

import (
	"fmt"
	"strings"
	"testing"

	"github.com/bpf-vmtest/bpf-vmtest/internal/result"
)

// testFits looks for what is wider than the screen, which would have it scroll,
// and for text that is hard to tell from what is behind it.
func testFits(t *testing.T, c *chromium, page string) {
	pages := map[string]string{
		"many": page, "wide": htmlOf(t, wide(t)), "long": htmlOf(t, filled(t, strings.Repeat("Long", 100))), "empty": htmlOf(t, &Matrix{}),
	}
	for name, page := range pages {
		for _, dark := range []bool{false, true} {
			b := c.open(t, page, "", screen{1440, dark})
			widths := []int{320, 400, 600, 768, 1024, 1440}
			if dark { // it is as wide
				widths = nil
			}
			for _, mode := range []string{"time", "outcome"} {
				eval[any](b, "document.getElementById('mode-%s').click()", mode)
				for _, faint := range eval[[]string](b, contrast) {
					t.Errorf("page %s, dark %v, showing %s: %s", name, dark, mode, faint)
				}
				for _, width := range widths {
					b.resize(width)
					for _, over := range eval[[]string](b, overflow) {
						t.Errorf("page %s, %d pixels wide, showing %s: %s", name, width, mode, over)
					}
				}
			}
			if light := eval[float64](b, luminance+"("+colour+"(getComputedStyle(document.documentElement).backgroundColor).slice(0, 3))"); (light < 0.2) != dark {
				t.Errorf("page %s has a background of luminance %.2f where dark is preferred: %v", name, light, dark)
			}
		}
	}
}

// testHead scrolls, and looks whether the table's head is still to be seen.
func testHead(t *testing.T, c *chromium, page string) {
	b := c.open(t, page, "", desk)
	b.click("label[for=show-all]")
	b.click("label[for=mode-time]") // which adds a scale to what is above the table
	for _, width := range []int{320, 800, 1000, 1160, 1440} {
		b.resize(width)
		eval[any](b, "document.querySelector('tr.t:nth-child(40)').scrollIntoView({block: 'center'})")
		becomes(b, true, `(() => {
			const r = document.querySelector('thead th:nth-child(2)').getBoundingClientRect();
			return document.elementFromPoint(r.x + r.width/2, r.y + 2)?.closest('thead') != null
				&& document.elementFromPoint(r.x + r.width/2, r.bottom - 2)?.closest('thead') != null;
		})()`)
	}
}

// wide is a run on more kernels than a table has room for.
func wide(t *testing.T) *Matrix {
	m := &Matrix{}
	run := &result.RunInfo{Packages: []string{"m/p"}}
	for i := range 24 {
		run.Kernels = append(run.Kernels, fmt.Sprintf("ghcr.io/some-organization/kernels:6.%d-with-a-flavour", i))
	}
	events := []result.Event{{Action: result.Header, Run: run}}
	for _, k := range run.Kernels {
		e := result.Event{Kernel: k, Package: "m/p", Test: "Test1"}
		e.Action, e.Output = result.Output, strings.Repeat("x", 500)+"\n"
		events = append(events, e)
		e.Action, e.Output = result.Fail, ""
		events = append(events, e)
	}
	for _, e := range events {
		if err := m.Event(e); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

// overflow is what of the page, and of its panels, is wider than there is room.
const overflow = `(() => {
	const root = document.documentElement, over = [];
	if (root.scrollWidth > root.clientWidth) {
		const right = e => e.getBoundingClientRect().right;
		const e = [...document.body.querySelectorAll('*')].filter(e => e.checkVisibility()).sort((a, b) => right(b) - right(a))[0];
		over.push('the page is ' + root.scrollWidth + ' pixels wide, by ' + e.tagName + '.' + e.className.slice(0, 30));
	}
	for (const a of document.querySelectorAll('article')) {
		a.style.display = 'block';
		const p = a.querySelector('.panel');
		if (p.scrollWidth > p.clientWidth) over.push('panel ' + a.id.slice(0, 30) + ' is ' + p.scrollWidth + ' pixels wide in ' + p.clientWidth);
		a.style.display = '';
	}
	return over;
})()`

// luminance and the contrast of two are WCAG's: 4.5 is what it asks of text.
const luminance = `(c => {
	const [r, g, b] = c.map(v => v/255).map(v => v <= 0.04045 ? v/12.92 : ((v + 0.055)/1.055)**2.4);
	return 0.2126*r + 0.7152*g + 0.0722*b;
})`

// colour is a computed one's red, green and blue, and how much of it there is.
const colour = `(c => { const [r, g, b, a = 1] = c.match(/[\d.]+/g).map(Number); return [r, g, b, a]; })`

// contrast is which text has too little of it. Behind text is the first ground
// around it; a pattern is none that this could tell.
const contrast = `(() => {
	const colour = ` + colour + `, luminance = ` + luminance + `, faint = new Set();
	const ground = e => {
		const s = getComputedStyle(e), c = colour(s.backgroundColor);
		return s.backgroundImage !== 'none' ? null : c[3] ? c : ground(e.parentElement);
	};
	const opacity = e => e ? getComputedStyle(e).opacity * opacity(e.parentElement) : 1;
	for (const e of document.body.querySelectorAll('*')) {
		if (![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()) || !e.checkVisibility()) continue;
		const behind = ground(e), share = opacity(e);
		if (!behind) continue;
		const ink = colour(getComputedStyle(e).color).map((v, i) => share*v + (1 - share)*behind[i]);
		const [a, b] = [ink, behind].map(c => luminance(c.slice(0, 3))).sort((a, b) => a - b);
		const ratio = (b + 0.05)/(a + 0.05);
		if (ratio < 4.5) faint.add(ratio.toFixed(1) + ' is the contrast of ' + [e, e.parentElement, e.parentElement.parentElement].map(e => e.tagName + '.' + e.className).join(' in '));
	}
	return [...faint];
})()`
