package blocklist

import (
	"fmt"
	"slices"
	"strings"
)

// An Error is one thing wrong in a file.
type Error struct {
	Pos
	Msg    string
	Remedy string // what to write instead, or empty
}

// Error prints file:line:column: message.
func (e *Error) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("read blocklist %q: %s", e.File, e.Msg)
	}
	return fmt.Sprintf("%s: %s", e.Pos, e.Msg)
}

// Errors is everything wrong in the files of one [Load], in file order.
type Errors []*Error

// Error prints one line per error.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, err := range e {
		lines[i] = err.Error()
	}
	return strings.Join(lines, "\n")
}

// Hint says what to do, one line per remedy.
func (e Errors) Hint() string {
	var lines []string
	for _, err := range e {
		if err.Remedy != "" && !slices.Contains(lines, err.Remedy) {
			lines = append(lines, err.Remedy)
		}
	}
	return strings.Join(lines, "\n")
}

// ExitCode is that of a usage error.
func (e Errors) ExitCode() int { return 2 }

// Unwrap lets errors.As find the single errors.
func (e Errors) Unwrap() []error {
	errs := make([]error, len(e))
	for i, err := range e {
		errs[i] = err
	}
	return errs
}

// A problem is a value that is wrong in itself, before it is known where it
// was written.
type problem struct{ msg, remedy string }

func (p *problem) Error() string { return p.msg }

func problemf(remedy, format string, args ...any) *problem {
	return &problem{msg: fmt.Sprintf(format, args...), remedy: remedy}
}
