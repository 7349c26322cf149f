// Package failure reads in a failed test's output why it failed, and where.
package failure

import (
	"fmt"
	"path"
	"regexp"
	"strconv"
	"strings"
	"unicode"
)

// A Cause is what a test's output says about its failure, as far as it does.
type Cause struct {
	File    string // a base name, or a path where go test printed one; or empty
	Line    int
	Message string // one printable line
	Fatal   bool   // it ended the test binary
}

// String is like x_test.go:12: got 1, want 2.
func (c Cause) String() string {
	if c.File == "" {
		return c.Message
	}
	return fmt.Sprintf("%s:%d: %s", path.Base(c.File), c.Line, c.Message)
}

var (
	// What ends a test binary, as the Go runtime and package testing say it.
	fatalLine = regexp.MustCompile(`^\s*(panic: |fatal error: |SIG[A-Z]+: |signal: )`)
	// What testing.T's methods print: the file, the line, the message.
	testLine = regexp.MustCompile(`^\s*((?:/[^:]*/)?[\w.+-]+\.go):(\d+): ?(.*)$`)
	// A line of a stack trace, of the race detector's, or of testify's.
	frameLine = regexp.MustCompile(`^\s+(?:Error Trace:\s+)?(/[^:]*_test\.go):(\d+)\b`)
	// Words of a message that is about a failure rather than a log line.
	failureWord = regexp.MustCompile(`(?i)\b(errors?|fail(s|ed|ure)?|panic|invalid|unexpected|expected|mismatch|want(ed)?|got|cannot|can't|could not|couldn't|denied|not (supported|permitted|found|equal)|unknown|missing|no such|timed? ?out|too (large|many|old)|unreachable)\b`)
	// testify puts its message on lines of their own.
	testifyError = regexp.MustCompile(`^\s*Error:\s*(.+)$`)
	// The count at the end of a verifier log.
	verifierCount = regexp.MustCompile(`^(processed \d+ insns|verification time|stack depth)`)
)

// lineRead is how much of a line is looked at, in bytes.
const lineRead = 2 << 10

// Find picks the line of a failed test's output that says most about the
// failure. In this order: a panic, the last testing message that sounds like a
// failure, the last testing message, the last line.
func Find(output []string) Cause {
	var fatal, failure, said, last, frame Cause
	for i, line := range output {
		line = line[:min(len(line), lineRead)]
		if m := frameLine.FindStringSubmatch(line); m != nil && frame.File == "" {
			frame = cause(m[1], m[2], "")
		}
		if fatalLine.MatchString(line) && fatal.Message == "" {
			fatal.Message, fatal.Fatal = Line(line), true
			frame = Cause{} // its own trace follows
		}
		if m := testLine.FindStringSubmatch(line); m != nil {
			c := cause(m[1], m[2], message(m[3], output[i+1:]))
			said = c
			if failureWord.MatchString(c.String()) {
				failure = c
			}
		}
		if s := Line(line); s != "" && !framing(s) {
			last.Message = s
		}
	}
	for _, c := range []Cause{fatal, failure, said, last} {
		if c == (Cause{}) {
			continue
		}
		if c.File == "" || c.File == "testing.go" { // testing.go reports races
			c.File, c.Line = frame.File, frame.Line
		}
		return c
	}
	return Cause{}
}

func cause(file, line, message string) Cause {
	n, _ := strconv.Atoi(line)
	return Cause{File: file, Line: n, Message: Line(message)}
}

// message completes the first line of a testing message by what its other
// lines say where the first says little by itself.
func message(first string, rest []string) string {
	more := rest[:continued(rest)]
	if strings.TrimSpace(first) != "" {
		return completed(first, more)
	}
	if s := quicktest(more); s != "" {
		return s
	}
	for _, line := range more {
		if m := testifyError.FindStringSubmatch(line); m != nil {
			return m[1]
		}
	}
	return lastOf(more)
}

// continued is how many lines belong to a message: they are indented.
func continued(lines []string) int {
	for i, line := range lines {
		if testLine.MatchString(line) || !strings.HasPrefix(line, " ") && !strings.HasPrefix(line, "\t") {
			return i
		}
	}
	return len(lines)
}

// completed adds what the verifier had to say to the error of a load.
func completed(first string, more []string) string {
	isLoad := strings.HasPrefix(first, "load ") || strings.Contains(first, ": load ") || strings.Contains(first, "load program")
	if last := lastOf(more); isLoad && strings.HasSuffix(first, ":") && last != "" {
		return first + " " + last
	}
	return first
}

// lastOf is the last line that is not the end of every verifier's log.
func lastOf(lines []string) string {
	var last string
	for _, line := range lines {
		if s := strings.TrimSpace(line); s != "" && !verifierCount.MatchString(s) {
			last = s
		}
	}
	return last
}

// quicktest reads a message of quicktest's: labels on lines of their own, each
// with indented lines below.
func quicktest(lines []string) string {
	parts := map[string][]string{}
	label := ""
	for _, line := range lines {
		s := strings.TrimSpace(line)
		if name := strings.TrimSuffix(s, ":"); name != s && quicktestLabel[name] {
			label = name
		} else if s != "" {
			parts[label] = append(parts[label], s)
		}
	}
	if len(parts["error"]) == 0 {
		return ""
	}
	s := strings.Join(parts["error"], " ")
	got, want := parts["got"], parts["want"]
	switch {
	case len(got) == 1 && len(want) == 1:
		return fmt.Sprintf("%s: got %s, want %s", s, got[0], want[0])
	case len(got) > 0:
		return s + ": " + completed(got[0], got[1:])
	}
	return s
}

var quicktestLabel = map[string]bool{"error": true, "comment": true, "got": true, "want": true, "diff (-got +want)": true, "stack": true}

// framing reports whether go test wrote the line, about any test at all.
func framing(s string) bool {
	return strings.HasPrefix(s, "=== ") || strings.HasPrefix(s, "--- ") || s == "FAIL" || s == "PASS"
}

// Line makes text one printable line.
func Line(s string) string { return strings.Join(strings.Fields(Printable(s)), " ") }

// Printable leaves out of text the escape sequences of terminals and whatever
// else has no shape. White space stays.
func Printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || unicode.IsPrint(r) {
			return r
		}
		return -1
	}, escape.ReplaceAllString(strings.ToValidUTF8(s, "\ufffd"), ""))
}

// Sequences that set a terminal's colours, position, title and links.
var escape = regexp.MustCompile("\x1b(\\[[0-?]*[ -/]*[@-~]|\\][^\x07\x1b]*(\x07|\x1b\\\\)?)")
