package patch

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// A ConflictError is a patch that does not fit the source. Nothing of it was
// applied.
type ConflictError struct {
	Patch   Patch
	Rejects []Reject
}

// A Reject is a file that the patch does not fit.
type Reject struct {
	File   string
	Hunk   int    // the first that does not fit, from 1; 0 where the whole file is at fault
	Hunks  int    // that the patch has for the file
	Line   int    // where the hunk says it belongs
	Reason string // git's, where no hunk is named
	There  bool   // the patch's change to this file is in the source already
}

func (r Reject) text() string {
	s := r.File + ": " + r.Reason
	if r.Hunk > 0 {
		s = fmt.Sprintf("%s: hunk %d of %d, at line %d, does not fit", r.File, r.Hunk, r.Hunks, r.Line)
	}
	if r.There {
		s += ": this file has the change already"
	}
	return s
}

func (e *ConflictError) Error() string {
	var list []string
	for _, r := range e.Rejects {
		list = append(list, r.text())
	}
	if len(list) == 1 {
		return fmt.Sprintf("apply patch %s: %s", e.Patch, list[0])
	}
	return fmt.Sprintf("apply patch %s:\n\t%s", e.Patch, strings.Join(list, "\n\t"))
}

// Hint says what to do.
func (e *ConflictError) Hint() string {
	return "the source has other lines there, or other patches changed them: make the patch anew from this version, or leave it out"
}

// ExitCode marks a usage error.
func (e *ConflictError) ExitCode() int { return 2 }

// An AmbiguousError is a patch that fits the source forward and backward.
type AmbiguousError struct{ Patch Patch }

func (e *AmbiguousError) Error() string {
	return fmt.Sprintf("apply patch %s: it can be applied, and is in the source already, each at another place", e.Patch)
}

// Hint says how to make the patch unambiguous.
func (e *AmbiguousError) Hint() string {
	return "give it more lines of context: git diff -U20, git format-patch -U20"
}

// ExitCode marks a usage error.
func (e *AmbiguousError) ExitCode() int { return 2 }

var (
	failedHunk = regexp.MustCompile(`^error: patch failed: (.+):(\d+)$`)
	failedFile = regexp.MustCompile(`^error: (.+): ([^:]+)$`)
)

// conflict makes an error of what git says against applying the patch.
func (s *Staged) conflict(ctx context.Context, p Patch, err error) error {
	var said *gitError
	if !errors.As(err, &said) {
		return fmt.Errorf("apply patch %s: %w", p, err)
	}
	e := &ConflictError{Patch: p}
	for line := range strings.Lines(said.stderr) {
		line = strings.TrimSpace(line)
		if m := failedHunk.FindStringSubmatch(line); m != nil {
			r := Reject{File: m[1]}
			r.Line, _ = strconv.Atoi(m[2]) // digits only, by the pattern
			r.Hunk, r.Hunks = hunkAt(p.diff, r.File, r.Line)
			e.Rejects = append(e.Rejects, r)
		} else if m := failedFile.FindStringSubmatch(line); m != nil && !e.names(m[1]) {
			e.Rejects = append(e.Rejects, Reject{File: m[1], Reason: m[2]})
		}
	}
	if len(e.Rejects) == 0 {
		return fmt.Errorf("apply patch %s: %w", p, err)
	}
	for i, r := range e.Rejects {
		_, err := git(ctx, s.Dir, p.diff, "apply", "--check", "--reverse", "--include="+escapeGlob(r.File), "-")
		e.Rejects[i].There = err == nil
	}
	return e
}

func (e *ConflictError) names(file string) bool {
	for _, r := range e.Rejects {
		if r.File == file {
			return true
		}
	}
	return false
}

var hunkStart = regexp.MustCompile(`^@@ -(\d+)`)

// hunkAt finds the number of the hunk that begins at a line of a file, and how
// many the file has.
func hunkAt(diff []byte, file string, line int) (hunk, hunks int) {
	lines := strings.Split(string(diff), "\n")
	current := ""
	for i, text := range lines {
		switch m := hunkStart.FindStringSubmatch(text); {
		case strings.HasPrefix(text, "+++ ") && i > 0 && strings.HasPrefix(lines[i-1], "--- "):
			if current = headerName(text); current == "" { // a deleted file
				current = headerName(lines[i-1])
			}
		case m != nil && current == file:
			hunks++
			if m[1] == strconv.Itoa(line) {
				hunk = hunks
			}
		}
	}
	return hunk, hunks
}

// headerName is the file in a line like "+++ b/init/main.c", empty for
// /dev/null.
func headerName(line string) string {
	name, _, _ := strings.Cut(line[len("+++ "):], "\t")
	_, name, _ = strings.Cut(name, "/")
	if name == "dev/null" {
		return ""
	}
	return name
}
