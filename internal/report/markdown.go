package report

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/bpf-vmtest/bpf-vmtest/internal/failure"
)

// A page is markdown that keeps to a size; what does not fit is counted.
type page struct {
	text  strings.Builder
	limit int // bytes
	cut   int // parts
}

// reserve is what every page has left for saying what was cut, in bytes.
const reserve = 1 << 10

// add adds a part that has to be whole, if it fits.
func (p *page) add(format string, args ...any) bool {
	part := fmt.Sprintf(format, args...)
	if p.text.Len()+len(part) > p.limit-reserve {
		p.cut++
		return false
	}
	p.text.WriteString(part)
	return true
}

// String is the page, with what was cut.
func (p *page) String() string {
	switch {
	case p.limit < reserve:
		return ""
	case p.cut > 0:
		fmt.Fprintf(&p.text, "\n_%s of this summary did not fit._\n", count(p.cut, "more part"))
	}
	return p.text.String()
}

// nameLimit is for names and messages, in characters.
const nameLimit = 240

// code is text that somebody else wrote, as code in one line of markdown.
func code(s string) string { return "<code>" + inline(s) + "</code>" }

// plain is the same as text, which may begin a line or an item of a list.
func plain(s string) string {
	text := inline(s)
	if text == "" || isWord(text[0]) && !isDigit(text[0]) || text[0] == '&' || text[0] >= utf8.RuneSelf {
		return text
	}
	return fmt.Sprintf("&#%d;%s", text[0], text[1:])
}

// inline leaves no character as it is that means anything to markdown. Behind an
// @, a tag keeps what looks like an address or a name from becoming a link.
func inline(s string) string {
	s = clip(failure.Line(s), nameLimit)
	var b strings.Builder
	for i, r := range s {
		switch {
		case r == '@':
			b.WriteString("&#64;<wbr>")
		case r == '_' && inWord(s, i):
			b.WriteByte('_')
		case strings.ContainsRune(meaning, r),
			r == ':' && strings.HasPrefix(s[i:], "://"), // http://, but not x_test.go:1:
			r == '.' && strings.HasSuffix(strings.ToLower(s[:i]), "www"):
			fmt.Fprintf(&b, "&#%d;", r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// meaning is what begins something in markdown, in HTML, in GitHub's additions
// to them, or in a table, wherever in a line it is. Other marks do so at the
// start of a line only.
const meaning = "&<>\"'`*_~[]!|\\^$#"

// inWord reports whether the byte at i has letters or digits on both sides.
func inWord(s string, i int) bool {
	return i > 0 && i < len(s)-1 && isWord(s[i-1]) && isWord(s[i+1])
}

func isWord(c byte) bool  { return isDigit(c) || c|0x20 >= 'a' && c|0x20 <= 'z' }
func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// clip cuts text down to n characters.
func clip(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}

// pre is lines that somebody else wrote, as a block of HTML. Markdown looks for
// the block's end only.
func pre(lines []string) string {
	var b strings.Builder
	b.WriteString("<pre>\n")
	for _, line := range lines {
		b.WriteString(escapeHTML(clip(printable(line), nameLimit)) + "\n")
	}
	b.WriteString("</pre>")
	return b.String()
}

var htmlEscaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&#34;", "'", "&#39;")

func escapeHTML(s string) string { return htmlEscaper.Replace(s) }

// printable is a line as it looks in a terminal, without colours.
func printable(line string) string {
	return strings.TrimRight(strings.ReplaceAll(failure.Printable(line), "\t", "    "), " \r\n")
}
