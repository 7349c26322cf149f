package blocklist

import (
	"fmt"
	"path"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// globRegexp translates a glob in [path.Match]'s syntax into an unanchored
// regular expression. What the glob says literally goes through quote.
func globRegexp(glob string, quote func(string) string) (string, error) {
	if !utf8.ValidString(glob) {
		return "", fmt.Errorf("not valid UTF-8")
	}
	if _, err := path.Match(glob, ""); err != nil {
		return "", fmt.Errorf(`bad glob; a literal [ is written \[ and a literal \ is written \\`)
	}
	var b strings.Builder
	for s := glob; s != ""; {
		switch s[0] {
		case '*':
			b.WriteString(`[^/]*`)
			s = s[1:]
		case '?':
			b.WriteString(`[^/]`)
			s = s[1:]
		case '[':
			class, rest := globClass(s[1:])
			b.WriteString(class)
			s = rest
		default:
			lit, rest := globLiteral(s)
			b.WriteString(quote(lit))
			s = rest
		}
	}
	return b.String(), nil
}

// globLiteral takes a run of literal characters off the glob s.
func globLiteral(s string) (lit, rest string) {
	var b strings.Builder
	for s != "" && !strings.ContainsRune("*?[", rune(s[0])) {
		var r rune
		r, s = globRune(s)
		b.WriteRune(r)
	}
	return b.String(), s
}

// globRune takes one character off s, escaped or not.
func globRune(s string) (rune, string) {
	s = strings.TrimPrefix(s, `\`)
	r, n := utf8.DecodeRuneInString(s)
	return r, s[n:]
}

// globClass translates a character class whose [ has been read. The whole
// glob is known to be well formed.
func globClass(s string) (class, rest string) {
	var b strings.Builder
	b.WriteByte('[')
	if t, ok := strings.CutPrefix(s, "^"); ok {
		b.WriteString("^/")
		s = t
	}
	for first := true; first || s[0] != ']'; first = false {
		var lo rune
		lo, s = globRune(s)
		hi := lo
		if t, ok := strings.CutPrefix(s, "-"); ok {
			hi, s = globRune(t)
		}
		// Hexadecimal, so that no character has a meaning of its own in a
		// class, nor for go test, which splits patterns at / and |.
		fmt.Fprintf(&b, `\x{%x}-\x{%x}`, lo, hi)
	}
	b.WriteByte(']')
	return b.String(), s[1:]
}

// testName writes a subtest's name the way testing.T.Run does: white space
// becomes _, and what cannot be printed is escaped as in a Go string.
func testName(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case unicode.IsSpace(r):
			b.WriteByte('_')
		case !strconv.IsPrint(r):
			quoted := strconv.QuoteRune(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// quoteTestName is a regular expression for the name that is written s.
func quoteTestName(s string) string { return regexp.QuoteMeta(testName(s)) }

// escapeGlob writes a name so that globRegexp reads it literally.
func escapeGlob(s string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(s)
}
