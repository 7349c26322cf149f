// Package console keeps what a guest's kernel prints and recognises when it
// reports trouble.
package console

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// A Log is the console of one machine. It is written to as the output arrives
// and may be asked at any time.
type Log struct {
	mu      sync.Mutex
	file    io.Writer
	partial []byte
	tail    []string
	splats  []Splat
	open    int // lines that still belong to the last splat
	err     error
	notify  func(Splat)
	tee     io.Writer
	size    int64
}

const (
	tailLines  = 40
	splatLines = 24 // title, registers and the first symbols of the trace
	// lineLimit is for a guest that prints without ever ending a line.
	lineLimit = 64 << 10
	// splatLimit is for a guest that reports faults without ever ending, which
	// a test can do in the kernel's name. There is room for a panic besides.
	splatLimit = 1000
	// faultLine is how much of a line a fault has, in bytes: the kernel's have
	// about 1000.
	faultLine = 4 << 10
	// fileLimit is for a guest that prints without ever ending. All tasks of a
	// large machine take a few MiB.
	fileLimit = 64 << 20
)

// NewLog keeps a copy of the console in file. When the kernel reports a fault,
// notify is called with its title, before the rest of the report is there.
func NewLog(file io.Writer, notify func(Splat)) *Log {
	return &Log{file: file, notify: notify}
}

// Tee also writes the console to w, errors aside. It is called before the first
// output.
func (l *Log) Tee(w io.Writer) { l.tee = w }

// Restart forgets all that the kernel has printed: another one boots. What is in
// the file stays there.
func (l *Log) Restart() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.partial, l.tail, l.splats, l.open = nil, nil, nil, 0
}

// Write takes the next output. It always takes all of it; an error of the file
// is kept for [Log.Err].
func (l *Log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.keep(b); err != nil && l.err == nil {
		l.err = err
	}
	l.size += int64(len(b))
	if l.tee != nil {
		_, _ = l.tee.Write(b)
	}
	l.partial = append(l.partial, b...)
	for {
		line, rest, ended := bytes.Cut(l.partial, []byte("\n"))
		if !ended && len(line) <= lineLimit {
			return len(b), nil
		}
		l.line(clean(line))
		l.partial = rest
	}
}

// keep writes the file up to its limit, and then that it is over.
func (l *Log) keep(b []byte) error {
	room := fileLimit - l.size
	if room <= 0 {
		return nil
	}
	if int64(len(b)) < room {
		_, err := l.file.Write(b)
		return err
	}
	if _, err := l.file.Write(b[:room]); err != nil {
		return err
	}
	_, err := fmt.Fprintf(l.file, "\r\nvmtest: nothing after the first %d MiB is kept\r\n", fileLimit>>20)
	return err
}

func (l *Log) line(s string) {
	l.tail = append(l.tail, s)
	if len(l.tail) > tailLines {
		l.tail = l.tail[1:]
	}
	s = strings.ToValidUTF8(s[:min(len(s), faultLine)], "")
	splat, found := titled(s)
	found = found && (len(l.splats) < splatLimit || splat.Fatal && len(l.splats) == splatLimit)
	switch {
	case found && (l.open == 0 || !followUp.MatchString(splat.Title)):
		splat.Time = time.Now()
		l.splats = append(l.splats, splat)
		l.open = splatLines - 1
		if l.notify != nil {
			l.notify(splat)
		}
	case strings.Contains(s, "---[ cut here ]---"):
		l.open = 0 // another report begins
	case l.open > 0:
		l.open--
		last := &l.splats[len(l.splats)-1]
		last.Lines = append(last.Lines, s)
		if strings.Contains(s, "---[ end ") {
			l.open = 0
		}
	}
}

// Err is the first error of writing the file.
func (l *Log) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// Size is how many bytes the file has got so far.
func (l *Log) Size() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.size
}

// Tail is the end of the console, at most 40 lines.
func (l *Log) Tail() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	tail := append([]string(nil), l.tail...)
	if len(l.partial) > 0 {
		tail = append(tail, clean(l.partial))
	}
	return tail
}

// Splats are the faults reported so far.
func (l *Log) Splats() []Splat {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]Splat(nil), l.splats...)
}

// Panic is the report of the panic that ended the kernel, if one did.
func (l *Log) Panic() (Splat, bool) {
	for _, s := range l.Splats() {
		if s.Fatal {
			return s, true
		}
	}
	return Splat{}, false
}

// clean removes what a serial line adds and a terminal would obey.
func clean(b []byte) string {
	s := strings.TrimRight(string(b), "\r")
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' || r == 0x7f {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
}
