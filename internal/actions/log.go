// Package actions is about running as a step of GitHub Actions, whose runner
// reads commands out of what a step prints.
package actions

import (
	"bytes"
	"errors"
	"io"
	"os"
	"slices"
	"sync"
	"unicode"
	"unicode/utf8"
)

// Running reports whether the program is a step of GitHub Actions or of
// something that follows its rules, such as act, Gitea and Forgejo.
func Running() bool { return os.Getenv("GITHUB_ACTIONS") == "true" }

// A Log is a step's standard output and standard error. What is written to Out
// and Err can be read as a command by no runner: a line that could be one gets a
// backslash.
//
// The runner takes two forms, in either stream: "::name …::…" at the start of a
// line, and "##[name …]…" anywhere in it (ActionCommand.cs of actions/runner).
// Telling it to stop would not do, since it does not keep the order of the two
// streams.
type Log struct {
	Out, Err *Stream

	mu sync.Mutex
}

// NewLog makes a log. Only whole lines are written to either stream, which may
// end in the same place.
func NewLog(stdout, stderr io.Writer) *Log {
	l := &Log{}
	l.Out, l.Err = &Stream{log: l, w: stdout, first: true}, &Stream{log: l, w: stderr, first: true}
	return l
}

// Close writes what has no end of line yet.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.Err.line) > 0 {
		return errors.Join(l.Out.flushPart(), l.Err.flush())
	}
	return l.Out.flush()
}

// Commands writes workflow commands, which are not harmless.
func (l *Log) Commands() io.Writer { return commands{l} }

type commands struct{ *Log }

func (c commands) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range []*Stream{c.Out, c.Err} { // a command is a line of its own
		if len(s.line) > 0 {
			s.line = append(s.line, '\n')
		}
		if err := s.flush(); err != nil {
			return 0, err
		}
	}
	return c.Err.w.Write(b)
}

// A Stream is one of a log's.
type Stream struct {
	log   *Log
	w     io.Writer
	line  []byte // not written yet
	first bool   // nothing was
}

// lineLimit bounds what is held back of a line without an end, in bytes.
const lineLimit = 64 << 10

// Write takes text for the log.
func (s *Stream) Write(b []byte) (int, error) {
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	for rest := b; len(rest) > 0; {
		i := bytes.IndexAny(rest, "\r\n") // the runner's lines end at either
		if i < 0 {
			s.line = append(s.line, rest...)
			break
		}
		s.line, rest = append(s.line, rest[:i+1]...), rest[i+1:]
		if err := s.flush(); err != nil {
			return 0, err
		}
	}
	if len(s.line) > lineLimit {
		if err := s.flushPart(); err != nil {
			return 0, err
		}
	}
	return len(b), nil
}

func (s *Stream) flush() error {
	if len(s.line) == 0 {
		return nil
	}
	_, err := s.w.Write(harmless(s.line, s.first))
	s.line, s.first = s.line[:0], false
	return err
}

// flushPart writes the beginning of a line, so that whatever comes next, the
// rest of it or a line of the other stream, does not make a command of it.
func (s *Stream) flushPart() error {
	if bytes.HasSuffix(s.line, []byte(":")) || bytes.HasSuffix(s.line, []byte("#")) {
		s.line = append(s.line, '\\')
	}
	return s.flush()
}

// harmless puts backslashes into a line that a runner might take for a command.
// The first line of a stream can also say, by a byte order mark, that what
// follows is no UTF-8, and would be read in another way than here.
func harmless(line []byte, first bool) []byte {
	start := trimInvisible(line)
	switch {
	case first && foreignMark(line):
		line = slices.Insert(slices.Clone(line), 0, '\\')
	case bytes.HasPrefix(start, []byte("::")):
		line = slices.Insert(slices.Clone(line), len(line)-len(start), '\\')
	}
	return bytes.ReplaceAll(line, []byte("##["), []byte(`##\[`))
}

// trimInvisible leaves out what a runner may skip before a command: white space
// and, where it compares as a language would, any character without a shape;
// and parts of characters, whose beginning may have been written before.
func trimInvisible(line []byte) []byte {
	return bytes.TrimLeftFunc(line, func(r rune) bool {
		return unicode.IsSpace(r) || !unicode.IsGraphic(r) || r == utf8.RuneError
	})
}

func foreignMark(line []byte) bool {
	for _, mark := range []string{"\xfe\xff", "\xff\xfe", "\x00\x00\xfe\xff"} {
		if bytes.HasPrefix(line, []byte(mark)) {
			return true
		}
	}
	return false
}

// JSON writes lines of JSON to Out, which stay JSON.
func (l *Log) JSON() io.Writer { return jsonLines{l} }

type jsonLines struct{ *Log }

func (j jsonLines) Write(b []byte) (int, error) {
	// In JSON it can be in a string only.
	if _, err := j.Out.Write(bytes.ReplaceAll(b, []byte("##["), []byte(`##\u005b`))); err != nil {
		return 0, err
	}
	return len(b), nil
}
