package configfile

import (
	"errors"
	"fmt"
	"io/fs"
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
		return fmt.Sprintf("read %q: %s", e.File, e.Msg)
	}
	return fmt.Sprintf("%s: %s", e.Pos, e.Msg)
}

// FileError is an error about a file as a whole, whose name is left to
// [Error], which prints it.
func FileError(file string, err error) *Error {
	var p *fs.PathError
	if errors.As(err, &p) {
		err = p.Err
	}
	return &Error{Pos: Pos{File: file}, Msg: err.Error()}
}

// Errors is everything wrong in one or several files, in file order.
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

// A Problem is a value that is wrong in itself, before it is known where it
// was written.
type Problem struct{ Msg, Remedy string }

func (p *Problem) Error() string { return p.Msg }

// Problemf makes a [Problem]; the remedy may be empty.
func Problemf(remedy, format string, args ...any) *Problem {
	return &Problem{Msg: fmt.Sprintf(format, args...), Remedy: remedy}
}
