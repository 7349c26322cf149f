package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/bpf-vmtest/bpf-vmtest/internal/timeline"
)

// took is a run of so many milliseconds with these spans in it, one after the
// other from 10 ms on.
func took(ms int, spans ...timeline.Span) measured {
	start := time.UnixMilli(1_700_000_000_000)
	m := measured{start: start, end: start.Add(time.Duration(ms) * time.Millisecond)}
	at := start.Add(10 * time.Millisecond)
	for _, s := range spans {
		s.Start, s.End = at, at.Add(s.End.Sub(s.Start))
		at = s.End
		m.spans = append(m.spans, s)
	}
	return m
}

func span(who timeline.Who, name string, ms int) timeline.Span {
	return timeline.Span{Who: who, Name: name, End: time.Time{}.Add(time.Duration(ms) * time.Millisecond)}
}

func TestDraw(t *testing.T) {
	warm := took(1000, span(timeline.Vmtest, "look", 2), span(timeline.QEMU, "restore", 80), span(timeline.Guest, "run a < b", 400))
	got := draw([]panel{{"warm", warm}, {"booted", took(12340, span(timeline.Kernel, "boot", 9000))}})
	for dec := xml.NewDecoder(bytes.NewReader(got)); ; {
		if _, err := dec.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("%v in\n%s", err, got)
		}
	}
	for _, want := range []string{
		">warm: 1.00 s<", ">booted: 12.34 s<",
		">vmtest starts<", ">10 ms<", // to the first span
		">restore<", ">80 ms<",
		">run a &lt; b<", ">400 ms<",
		">all else<", ">510 ms<", // with the 2 ms of look
		">boot<", ">9.00 s<",
		`<rect x="316.0" `, // the command begins after 92 ms of 1000
	} {
		if !strings.Contains(string(got), want) {
			t.Errorf("nothing is %s in\n%s", want, got)
		}
	}
	if strings.Contains(string(got), ">look<") {
		t.Error("what takes no time has a row")
	}
}

func TestMedian(t *testing.T) {
	if got := median([]measured{took(5), took(1), took(3)}); got.took() != 3*time.Millisecond {
		t.Errorf("got %v", got.took())
	}
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{{}, {"a", "b"}, {"-n", "0", "kernel"}} {
		if err := run(args); err == nil {
			t.Errorf("%q: no error", args)
		}
	}
}

// TestMeasure: a program that fails has no time, and what it said is told.
func TestMeasure(t *testing.T) {
	if _, err := (bench{vmtest: "false"}).measure(); err == nil {
		t.Error("no error")
	}
}
