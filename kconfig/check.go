package kconfig

import (
	"fmt"
	"strings"

	"github.com/bpf-vmtest/bpf-vmtest/internal/kver"
)

// A DroppedError lists requests that the kernel's own tools did not grant.
type DroppedError struct {
	Version kver.Version
	Symbols []Dropped
}

// Dropped is one request that did not survive.
type Dropped struct {
	Request Request
	Got     string   // the value in the resulting .config; n when it is absent
	Reasons []string // why, as far as the Kconfig files tell
}

func (d Dropped) text() string {
	s := fmt.Sprintf("CONFIG_%s=%s at %s became %s", d.Request.Symbol, d.Request.Value, d.Request.Pos, d.Got)
	if len(d.Reasons) == 0 {
		return s + ": no reason found in the Kconfig files"
	}
	return s + ": " + strings.Join(d.Reasons, "; ")
}

func (e *DroppedError) Error() string {
	var list []string
	for _, d := range e.Symbols {
		list = append(list, d.text())
	}
	return fmt.Sprintf("configure linux %s: requested symbols are missing from the .config:%s", e.Version, join(list))
}

// Hint says what to change.
func (e *DroppedError) Hint() string {
	return "add what each symbol needs to the fragment that asks for it, or give it a range of versions where it can be had"
}

// ExitCode marks a usage error.
func (e *DroppedError) ExitCode() int { return 2 }

// Check compares the selection with the .config the kernel's tools made of it.
// The error is a [DroppedError].
func (s *Selection) Check(got Config, t *Tree) error {
	e := &DroppedError{Version: s.Version}
	for _, r := range s.Requests {
		if v := got.Get(r.Symbol); v != r.Value {
			e.Symbols = append(e.Symbols, Dropped{Request: r, Got: v, Reasons: t.explain(r.Symbol, r.Value, got)})
		}
	}
	if len(e.Symbols) == 0 {
		return nil
	}
	return e
}
