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
	all      []Request // also those whose range leaves Version out
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
	return "remove one of the two lines, or give them ranges of versions that do not overlap"
}

// ExitCode marks a usage error.
func (e *ConflictError) ExitCode() int { return 2 }

// Select picks the requests meant for a version of the kernel on goarch. The
// same request may be made twice; two values for one symbol are a
// [ConflictError].
func Select(v kver.Version, goarch string, frags ...*Fragment) (*Selection, error) {
	if _, ok := architectures[goarch]; !ok {
		return nil, unknownArch(goarch)
	}
	s := &Selection{Version: v, Arch: goarch}
	first := map[string]Request{}
	for _, f := range frags {
		for _, r := range f.Requests {
			s.all = append(s.all, r)
			if !r.Range.Contains(v) {
				continue
			}
			if prev, ok := first[r.Symbol]; !ok {
				first[r.Symbol] = r
				s.Requests = append(s.Requests, r)
			} else if prev.Value != r.Value {
				return nil, &ConflictError{First: prev, Second: r}
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
