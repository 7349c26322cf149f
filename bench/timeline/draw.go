package main

import (
	"bytes"
	"fmt"
	"html"
	"time"

	"github.com/bpf-vmtest/bpf-vmtest/internal/timeline"
)

// A panel is one run, with a scale of its own.
type panel struct {
	title string
	run   measured
}

// The picture's measures, in pixels.
const (
	width     = 860
	labels    = 270 // where the bars begin
	bars      = 500 // how long the whole run is
	rowHeight = 22
	margin    = 20
)

// colours tell whose time it is; they differ in lightness as well.
var colours = []struct {
	who    timeline.Who
	colour string
	name   string
}{
	{timeline.Vmtest, "#8a8f98", "vmtest, on the host"},
	{timeline.QEMU, "#e0a030", "QEMU"},
	{timeline.Kernel, "#3f6fb5", "the guest's kernel"},
	{timeline.Guest, "#2f9e73", "the guest's init and the command"},
}

// least is the part of a run below which a span has no row of its own.
const least = 0.01

// rows are the spans of a run that count, in the order of their beginnings, and
// how long all else took.
func (p panel) rows() (rows []timeline.Span, rest time.Duration) {
	rest = p.run.took()
	all := p.run.spans
	if len(all) > 0 {
		all = append([]timeline.Span{{Who: timeline.Vmtest, Name: "vmtest starts", Start: p.run.start, End: all[0].Start}}, all...)
	}
	for _, s := range all {
		if took := s.End.Sub(s.Start); took >= time.Duration(least*float64(p.run.took())) {
			rows = append(rows, s)
			rest -= took
		}
	}
	return rows, rest
}

// A picture is an SVG that grows downwards.
type picture struct {
	bytes.Buffer
	y int // where the next row begins
}

func draw(panels []panel) []byte {
	p := &picture{y: margin}
	p.legend()
	for _, panel := range panels {
		p.panel(panel)
	}
	var all bytes.Buffer
	fmt.Fprintf(&all, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" font-family="system-ui, sans-serif" font-size="13" fill="#24292f">`+"\n", width, p.y+margin, width, p.y+margin)
	all.WriteString("<!-- go run ./bench/timeline draws this -->\n")
	fmt.Fprintf(&all, `<rect width="100%%" height="100%%" rx="6" fill="#ffffff"/>`+"\n")
	all.Write(p.Bytes())
	all.WriteString("</svg>\n")
	return all.Bytes()
}

func (p *picture) legend() {
	x := margin
	for _, c := range colours {
		fmt.Fprintf(p, `<rect x="%d" y="%d" width="12" height="12" rx="2" fill="%s"/>`+"\n", x, p.y, c.colour)
		p.text(x+18, p.y+11, "start", "", c.name)
		x += 50 + 13*len(c.name)/2
	}
	p.y += rowHeight
}

func (p *picture) panel(panel panel) {
	p.y += rowHeight
	p.text(margin, p.y+11, "start", ` font-weight="600"`, fmt.Sprintf("%s: %s", panel.title, duration(panel.run.took())))
	p.y += rowHeight + 4
	rows, rest := panel.rows()
	for i := range 5 { // a line for each quarter
		fmt.Fprintf(p, `<path d="M%d %dv%d" stroke="#d0d7de"/>`+"\n", labels+i*bars/4, p.y, (len(rows)+1)*rowHeight)
	}
	scale := float64(bars) / panel.run.took().Seconds()
	for _, s := range rows {
		start := labels + s.Start.Sub(panel.run.start).Seconds()*scale
		length := s.End.Sub(s.Start).Seconds() * scale
		p.text(labels-10, p.y+14, "end", "", s.Name)
		fmt.Fprintf(p, `<rect x="%.1f" y="%d" width="%.1f" height="%d" rx="2" fill="%s"/>`+"\n", start, p.y+2, max(length, 1), rowHeight-6, colourOf(s.Who))
		p.text(int(start+length)+6, p.y+14, "start", "", duration(s.End.Sub(s.Start)))
		p.y += rowHeight
	}
	p.text(labels-10, p.y+14, "end", ` fill="#6e7781"`, "all else")
	p.text(labels+6, p.y+14, "start", ` fill="#6e7781"`, duration(rest))
	p.y += rowHeight
}

func (p *picture) text(x, y int, anchor, more, text string) {
	fmt.Fprintf(p, `<text x="%d" y="%d" text-anchor="%s"%s>%s</text>`+"\n", x, y, anchor, more, html.EscapeString(text))
}

func colourOf(who timeline.Who) string {
	for _, c := range colours {
		if c.who == who {
			return c.colour
		}
	}
	return "#000000"
}

// duration has as many digits as can be told apart.
func duration(d time.Duration) string {
	if d >= time.Second {
		return fmt.Sprintf("%.2f s", d.Seconds())
	}
	return fmt.Sprintf("%d ms", d.Round(time.Millisecond).Milliseconds())
}
