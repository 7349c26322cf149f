package kconfig

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/bpf-vmtest/bpf-vmtest/internal/kver"
)

// A Fragment is a parsed fragment file.
type Fragment struct {
	Name     string // the file's name as positions show it, like base.config
	Requests []Request
}

// A Request asks for one value of one symbol.
type Request struct {
	Symbol   string     // without CONFIG_
	Value    string     // y, m, n, a number, or a quoted string, as .config writes it
	Range    kver.Range // kernels the request is meant for
	Ranged   bool       // Range was written down
	Override bool       // it takes the place of what fragments before it ask for
	Pos      Position
}

// A Position is a line of a fragment.
type Position struct {
	File string
	Line int // from 1
}

func (p Position) String() string { return fmt.Sprintf("%s:%d", p.File, p.Line) }

// A SyntaxError is a line that is not in a fragment's language.
type SyntaxError struct {
	Pos  Position
	Msg  string
	hint string
}

func (e *SyntaxError) Error() string { return fmt.Sprintf("parse fragment %s: %s", e.Pos, e.Msg) }

// Hint is how to write the line.
func (e *SyntaxError) Hint() string { return e.hint }

// ExitCode marks a usage error.
func (e *SyntaxError) ExitCode() int { return 2 }

const syntaxHint = "a line is CONFIG_NAME=VALUE or # CONFIG_NAME is not set, and may end in a range of kernel versions, in the word override, or in both: CONFIG_FPROBE=n  # 5.18.. override"

// overrideWord ends a line that is meant to change what another fragment says.
const overrideWord = "override"

var (
	assignment = regexp.MustCompile(`^CONFIG_([A-Za-z0-9_]+)=("(?:[^"\\]|\\.)*"|[^\s"#]+)(.*)$`)
	unset      = regexp.MustCompile(`^# CONFIG_([A-Za-z0-9_]+) is not set(.*)$`)
	// A comment that talks of a symbol being something is a misspelt "is not set".
	nearUnset = regexp.MustCompile(`^#\s*CONFIG_[A-Za-z0-9_]+\s+is\b`)
	value     = regexp.MustCompile(`^(?:[ymn]|-?[0-9]+|0[xX][0-9a-fA-F]+|".*")$`)
)

// Parse reads a fragment. name is what positions in errors call it. Every
// line must be empty, a comment, an assignment or "is not set"; a symbol may
// be asked for twice only with ranges, which [Select] checks against the
// version it picks for.
func Parse(name string, data []byte) (*Fragment, error) {
	f := &Fragment{Name: name}
	for i, line := range strings.Split(string(data), "\n") {
		r, err := parseLine(strings.TrimRight(line, " \t\r"))
		if err != nil {
			err.Pos = Position{name, i + 1}
			return nil, err
		}
		if r != nil {
			r.Pos = Position{name, i + 1}
			f.Requests = append(f.Requests, *r)
		}
	}
	return f, nil
}

// parseLine reads one line; both results are nil for an empty line or a comment.
func parseLine(line string) (*Request, *SyntaxError) {
	var r Request
	var rest string
	if m := unset.FindStringSubmatch(line); m != nil {
		r.Symbol, r.Value, rest = m[1], "n", m[2]
	} else if m := assignment.FindStringSubmatch(line); m != nil {
		r.Symbol, r.Value, rest = m[1], m[2], m[3]
		if !value.MatchString(r.Value) {
			return nil, syntaxError("value %q of CONFIG_%s: want y, m, n, a number, or a string in double quotes", r.Value, r.Symbol)
		}
	} else if line == "" || strings.HasPrefix(line, "#") && !nearUnset.MatchString(line) {
		return nil, nil
	} else {
		return nil, syntaxError("cannot read %q", line)
	}
	if rest == "" {
		return &r, nil
	}
	annotation, ok := strings.CutPrefix(strings.TrimLeft(rest, " \t"), "#")
	if !ok || rest[0] == '#' {
		return nil, syntaxError("unexpected %q after CONFIG_%s", rest, r.Symbol)
	}
	if err := r.annotate(strings.Fields(annotation)); err != nil {
		return nil, syntaxError("comment after CONFIG_%s: %v", r.Symbol, err)
	}
	return &r, nil
}

// annotate reads the words after the #: a range, override, or both.
func (r *Request) annotate(words []string) (err error) {
	if last := len(words) - 1; last >= 0 && words[last] == overrideWord {
		r.Override = true
		if words = words[:last]; last == 0 {
			return nil
		}
	}
	r.Range, err = kver.ParseRange(strings.Join(words, " "))
	r.Ranged = true
	return err
}

func syntaxError(format string, args ...any) *SyntaxError {
	return &SyntaxError{Msg: fmt.Sprintf(format, args...), hint: syntaxHint}
}
