package blocklist

import (
	"regexp"
	"strings"
	"unicode"
)

// reasonLimit is in characters. A verifier's error fits, its log does not.
const reasonLimit = 240

var (
	// What ends a test binary, as the Go runtime and package testing say it.
	fatalLine = regexp.MustCompile(`^\s*(panic: |fatal error: |SIG[A-Z]+: |signal: )`)
	// What testing.T's methods print: the file, the line, the message.
	testLine = regexp.MustCompile(`^\s*([\w.+-]+\.go:\d+): ?(.*)$`)
	// Words of a message that is about a failure rather than a log line.
	failureWord = regexp.MustCompile(`(?i)\b(errors?|fail(s|ed|ure)?|panic|invalid|unexpected|expected|mismatch|want(ed)?|got|cannot|can't|could not|couldn't|denied|not (supported|permitted|found|equal)|unknown|missing|no such|timed? ?out|too (large|many|old)|unreachable)\b`)
	// testify puts its message on lines of their own.
	testifyError = regexp.MustCompile(`^\s*Error:\s*(.+)$`)
	// The count at the end of a verifier log.
	verifierCount = regexp.MustCompile(`^(processed \d+ insns|verification time|stack depth)`)
)

// tellingLine picks the line of a failed test's output that says most about
// the failure, or returns an empty string. In this order: a panic, the last
// testing message that sounds like a failure, the last testing message, the
// last line.
func tellingLine(output []string) string {
	var said, failure, last string
	for i, line := range output {
		if fatalLine.MatchString(line) {
			return clean(line)
		}
		if m := testLine.FindStringSubmatch(line); m != nil {
			msg := m[1] + ": " + message(m[2], output[i+1:])
			said = msg
			if failureWord.MatchString(msg) {
				failure = msg
			}
		}
		if s := clean(line); s != "" && !framing(s) {
			last = s
		}
	}
	for _, s := range []string{failure, said, last} {
		if s = clean(s); s != "" {
			return s
		}
	}
	return ""
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

// clean makes a line printable, one line, and short.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case !unicode.IsPrint(r):
			return -1
		}
		return r
	}, ansi.ReplaceAllString(strings.ToValidUTF8(s, "\ufffd"), ""))
	s = strings.Join(strings.Fields(s), " ")
	if runes := []rune(s); len(runes) > reasonLimit {
		s = string(runes[:reasonLimit-1]) + "…"
	}
	return s
}

// Escape sequences that set a terminal's colours and position.
var ansi = regexp.MustCompile("\x1b\\[[0-9;?]*[A-Za-z]")
