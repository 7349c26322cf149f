package kconfig

import (
	"fmt"
	"slices"
	"strings"

	"github.com/bpf-vmtest/bpf-vmtest/internal/kver"
)

// A Selection is what a set of fragments asks of one kernel.
type Selection struct {
	Version  kver.Version
	Arch     string    // GOARCH
	Requests []Request // one per symbol, in the order of the fragments
	all      []Request // also those overridden, and those whose range leaves Version out
}

// A ConflictError is a symbol asked for with two values for one kernel.
type ConflictError struct {
	First, Second Request
}

func (e *ConflictError) Error() string {
	return fmt.Sprintf("merge fragments: CONFIG_%s=%s at %s, but =%s at %s",
		e.Second.Symbol, e.Second.Value, e.Second.Pos, e.First.Value, e.First.Pos)
}

// Hint says how two values can live together.
func (e *ConflictError) Hint() string {
	second, span := e.Second, ""
	second.Override = true
	if second.Ranged {
		span = second.Range.String()
	}
	return fmt.Sprintf("if %s is to win, it has to say so: %s; else remove one of the two lines, or give them ranges of versions that do not overlap",
		second.Pos, second.annotated(span))
}

// ExitCode marks a usage error.
func (e *ConflictError) ExitCode() int { return 2 }

// An OverrideError is a request that says override where no fragment before
// it asks for the symbol: a misunderstanding, or a rest of what once was one.
type OverrideError struct {
	Version kver.Version
	Request Request
}

func (e *OverrideError) Error() string {
	return fmt.Sprintf("merge fragments: CONFIG_%s=%s at %s overrides nothing: no fragment before it asks for this symbol in %s",
		e.Request.Symbol, e.Request.Value, e.Request.Pos, e.Version)
}

// Hint says what to write instead.
func (e *OverrideError) Hint() string {
	return "leave out the word override, or give the line the range of versions in which there is something to override"
}

// ExitCode marks a usage error.
func (e *OverrideError) ExitCode() int { return 2 }

// Select picks the requests meant for a version of the kernel on goarch. The
// same request may be made twice. Two values for one symbol are a
// [ConflictError], unless the later request says that it overrides the
// earlier; one that says so and has nothing to override is an
// [OverrideError].
func Select(v kver.Version, goarch string, frags ...*Fragment) (*Selection, error) {
	if _, ok := architectures[goarch]; !ok {
		return nil, unknownArch(goarch)
	}
	s := &Selection{Version: v, Arch: goarch}
	index := map[string]int{} // in s.Requests, by symbol
	for _, f := range frags {
		for _, r := range f.Requests {
			s.all = append(s.all, r)
			if !r.Range.Contains(v) {
				continue
			}
			i, asked := index[r.Symbol]
			switch {
			case !asked && r.Override:
				return nil, &OverrideError{Version: v, Request: r}
			case !asked:
				index[r.Symbol] = len(s.Requests)
				s.Requests = append(s.Requests, r)
			case r.Override:
				s.Requests[i] = r
			case s.Requests[i].Value != r.Value:
				return nil, &ConflictError{First: s.Requests[i], Second: r}
			}
		}
	}
	return s, nil
}

// AllConfig is the selection as a file for make's KCONFIG_ALLCONFIG: .config
// lines without annotations, sorted, so that equal selections are equal
// bytes.
func (s *Selection) AllConfig() []byte {
	lines := make([]string, 0, len(s.Requests))
	for _, r := range s.Requests {
		lines = append(lines, r.String()+"\n")
	}
	slices.Sort(lines)
	return []byte(strings.Join(lines, ""))
}

// String is the request as a line of a .config.
func (r Request) String() string {
	if r.Value == "n" {
		return "# CONFIG_" + r.Symbol + " is not set"
	}
	return "CONFIG_" + r.Symbol + "=" + r.Value
}

// annotated is the request as a line of a fragment with the range, which may
// be empty.
func (r Request) annotated(span string) string {
	if r.Override {
		span = strings.TrimSpace(span + " " + overrideWord)
	}
	return r.String() + "  # " + span
}
