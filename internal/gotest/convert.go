package gotest

import (
	"bytes"
	"strconv"
	"strings"
	"time"

	"github.com/bpf-vmtest/bpf-vmtest/internal/result"
)

// A Converter turns what a test binary prints with -test.v=test2json into
// events. It does what cmd/internal/test2json does for go test, with one
// difference: a line counts as the testing package's own only if it carries its
// marker, and only if it fits what is running. What a test merely prints stays
// output.
type Converter struct {
	emit  func(result.Event)
	line  []byte
	tests map[string]*running // by full name

	current string          // the test that output belongs to
	reports []pendingReport // a parent's report comes before its subtests'
	ended   bool            // the final PASS or FAIL was seen
	known   func(test string) bool
	muted   bool
}

type running struct {
	done   bool
	failed bool
}

type pendingReport struct {
	event  result.Event
	indent int
}

// marker (^V) begins the lines of the testing package in test2json mode.
const marker = 0x16

// lineLimit bounds a line kept in memory; longer ones become several events.
const lineLimit = 64 << 10

// NewConverter calls emit with each event. Top-level tests that known rejects
// are not the package's own: lines about them are output.
func NewConverter(known func(test string) bool, emit func(result.Event)) *Converter {
	return &Converter{emit: emit, known: known, tests: map[string]*running{}}
}

// Write takes the next output of the binary.
func (c *Converter) Write(b []byte) (int, error) {
	n := len(b)
	for len(b) > 0 {
		i := bytes.IndexAny(b, "\n\x16")
		switch {
		case i < 0:
			c.line = append(c.line, b...)
			b = nil
		case b[i] == '\n':
			c.line = append(c.line, b[:i+1]...)
			b = b[i+1:]
			c.flush()
		default: // a marker also ends a line that the test left unfinished
			c.line = append(c.line, b[:i]...)
			if len(c.line) > 0 {
				c.flush()
			}
			c.line = append(c.line, marker)
			b = b[i+1:]
		}
		if len(c.line) > lineLimit {
			c.flush()
		}
	}
	return n, nil
}

// Mute drops from now on all but the beginnings of tests that have not begun, the
// ends of those that have, and the last word. So what is still emitted is bounded
// by the source of the package, whatever the binary prints.
func (c *Converter) Mute() { c.muted = true }

// Close ends the output: what is unfinished is reported as far as it goes.
func (c *Converter) Close() {
	if len(c.line) > 0 {
		c.flush()
	}
	c.flushReports(0)
}

// Running lists the tests that have started and not reported, in no order.
func (c *Converter) Running() []string {
	var names []string
	for name, t := range c.tests {
		if !t.done && (!isBenchmark(name) || c.isCurrent(name)) {
			names = append(names, name)
		}
	}
	return names
}

// isBenchmark reports whether a name is a benchmark's. A benchmark prints a
// result and reports only when it fails or is skipped.
func isBenchmark(name string) bool { return strings.HasPrefix(name, "Benchmark") }

// isCurrent reports whether output still belongs to a test or its subtests.
func (c *Converter) isCurrent(name string) bool {
	return !c.ended && (c.current == name || strings.HasPrefix(c.current, name+"/"))
}

// Finished reports whether the binary said PASS or FAIL at the end.
func (c *Converter) Finished() bool { return c.ended }

func (c *Converter) flush() {
	line := string(c.line)
	c.line = c.line[:0]
	own, ok := strings.CutPrefix(line, string(rune(marker)))
	if !ok || !c.framing(own) {
		c.output(line)
	}
}

// framing handles a line of the testing package and reports whether it was one.
func (c *Converter) framing(line string) bool {
	text := strings.TrimRight(line, "\r\n")
	switch {
	case text == "PASS" || text == "FAIL":
		c.flushReports(0)
		c.current, c.ended = "", true
		c.output(line)
		return true
	case strings.HasPrefix(text, "=== "):
		return c.update(line, text)
	}
	indent := 0
	for ; strings.HasPrefix(text, "    "); indent++ {
		text = text[4:]
	}
	if strings.HasPrefix(text, "--- ") {
		return c.report(line, text, indent)
	}
	return false
}

// update handles "=== RUN   TestX".
func (c *Converter) update(line, text string) bool {
	verb, rest, _ := strings.Cut(text[len("=== "):], " ")
	name, rest, _ := strings.Cut(strings.TrimLeft(rest, " "), " ")
	e := result.Event{Action: result.Action(strings.ToLower(verb)), Test: name}
	if c.muted && e.Action != result.Run {
		c.flushReports(0)
		return true
	}
	switch e.Action {
	case result.Run:
		if !c.start(name) {
			return false
		}
	case "name":
		c.flushReports(0)
		c.current = name
		return true
	case result.Pause, result.Cont:
	case result.Attr:
		e.Key, e.Value, _ = strings.Cut(rest, " ")
	case result.Artifacts:
		e.Path = rest
	default:
		return false
	}
	if t := c.tests[name]; t == nil {
		return false
	}
	c.flushReports(0)
	c.current = name
	if e.Action != result.Pause {
		c.emit(e)
	}
	c.output(line)
	if e.Action == result.Pause {
		c.emit(e)
	}
	return true
}

// start records that a test runs; with -test.count it may do so again.
func (c *Converter) start(name string) bool {
	top, _, isSub := strings.Cut(name, "/")
	if isSub && c.tests[top] == nil || !isSub && !c.known(name) {
		return false
	}
	if t := c.tests[name]; t != nil && (!t.done || c.muted) || isSub && c.muted {
		return false
	}
	c.tests[name] = &running{}
	return true
}

// report handles "--- PASS: TestX (0.01s)".
func (c *Converter) report(line, text string, indent int) bool {
	verb, rest, _ := strings.Cut(text[len("--- "):], ": ")
	action := result.Action(strings.ToLower(verb))
	switch action {
	case result.Pass, result.Fail, result.Skip:
	case result.Bench:
		c.output(line)
		return true
	default:
		return false
	}
	e := result.Event{Action: action, Test: rest}
	if i := strings.LastIndex(rest, " ("); i >= 0 && strings.HasSuffix(rest, "s)") {
		if s, err := strconv.ParseFloat(rest[i+2:len(rest)-2], 64); err == nil {
			e.Test = rest[:i]
			e.Elapsed = result.Seconds(time.Duration(s * float64(time.Second)))
		}
	}
	t := c.tests[e.Test]
	if t == nil || t.done && (t.failed || action != result.Fail) {
		return false // only a failure is believed after the fact
	}
	t.done, t.failed = true, action == result.Fail
	c.flushReports(indent)
	c.current = e.Test
	c.output(line)
	c.reports = append(c.reports, pendingReport{e, indent})
	return true
}

// flushReports emits held reports of this depth and deeper: the output that
// follows a report in its own lines still belongs to the test.
func (c *Converter) flushReports(indent int) {
	for len(c.reports) > 0 {
		last := c.reports[len(c.reports)-1]
		if last.indent < indent {
			return
		}
		c.reports = c.reports[:len(c.reports)-1]
		c.current = ""
		c.emit(last.event)
	}
}

func (c *Converter) output(line string) {
	if c.muted {
		return
	}
	line = strings.TrimPrefix(line, string(rune(marker)))
	c.emit(result.Event{Action: result.Output, Test: c.current, Output: strings.ToValidUTF8(line, "\uFFFD")})
}
