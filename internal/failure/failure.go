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
	var verifier string
	for _, line := range rest {
		if testLine.MatchString(line) || !strings.HasPrefix(line, " ") && !strings.HasPrefix(line, "\t") {
			break
		}
		s := strings.TrimSpace(line)
		if m := testifyError.FindStringSubmatch(line); m != nil && strings.TrimSpace(first) == "" {
			return m[1]
		}
		if s != "" && !verifierCount.MatchString(s) {
			verifier = s
		}
	}
	switch {
	case strings.TrimSpace(first) == "":
		return verifier
	case strings.HasPrefix(first, "load ") || strings.Contains(first, ": load ") || strings.Contains(first, "load program"):
		if strings.HasSuffix(first, ":") && verifier != "" {
			return first + " " + verifier
		}
	}
	return first
}

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
