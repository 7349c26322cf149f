package report

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/bpf-vmtest/bpf-vmtest/internal/bundle"
	"github.com/bpf-vmtest/bpf-vmtest/internal/result"
)

// An output is what a test printed. Of much of it, such as the log of a
// verifier, the middle is left out: the stream has all of it.
type output struct {
	head, tail []byte
	cut        int // bytes between them
	cutLines   int
	whole      string // the file that has all of it, or empty
}

// What is kept, in bytes.
const (
	headKept = 8 << 10
	tailKept = 24 << 10
	// Of a test that passed.
	passedKept = 1 << 10
)

func (o *output) add(s string) {
	if o.cut == 0 && len(o.tail) == 0 && len(o.head)+len(s) <= headKept {
		o.head = append(o.head, s...)
		return
	}
	o.tail = append(o.tail, s...)
	if len(o.tail) > 2*tailKept { // seldom, for each byte is moved then
		o.drop(len(o.tail) - tailKept)
	}
}

// drop leaves out the first bytes of the tail, and the rest of a line.
func (o *output) drop(n int) {
	if i := bytes.IndexByte(o.tail[n:], '\n'); i >= 0 && i < 512 {
		n += i + 1
	}
	o.cut += n
	o.cutLines += bytes.Count(o.tail[:n], []byte("\n"))
	o.tail = append(o.tail[:0:0], o.tail[n:]...)
}

// shrink leaves out more.
func (o *output) shrink() { o.limit(passedKept) }

func (o *output) limit(n int) {
	if len(o.head)+len(o.tail) <= n {
		return
	}
	if len(o.head) > n/2 {
		o.tail = append(o.head[n/2:], o.tail...)
		o.head = o.head[: n/2 : n/2]
	}
	if len(o.tail) > n/2 {
		o.drop(len(o.tail) - n/2)
	}
}

func (o *output) empty() bool { return len(o.head)+len(o.tail) == 0 }

// text is what is kept, with a line about what is not.
func (o *output) text() string {
	s := string(o.head) + string(o.tail)
	if o.cut > 0 {
		where := ""
		if o.whole != "" {
			where = ": " + o.whole + " has all of it"
		}
		s = fmt.Sprintf("%s\n    … %d lines, %d bytes left out%s …\n%s",
			strings.TrimSuffix(string(o.head), "\n"), o.cutLines, o.cut, where, o.tail)
	}
	return strings.ToValidUTF8(s, "\ufffd") // a cut may be inside of a character
}

func (o *output) lines() []string {
	text := strings.TrimSuffix(o.text(), "\n")
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}

// outputFile is the file with everything that a failed test has printed.
func outputFile(e result.Event) string {
	for _, name := range e.Files {
		if filepath.Base(name) == bundle.Output && !strings.HasPrefix(name, bundle.Artifacts+"/") {
			return filepath.Join(e.Path, name)
		}
	}
	return ""
}
