package kconfig

import (
	"fmt"
	"slices"
	"strings"

	"github.com/bpf-vmtest/bpf-vmtest/internal/kver"
)

// An UnknownSymbolsError lists requests for symbols the kernel does not have.
type UnknownSymbolsError struct {
	Version kver.Version
	Arch    string // GOARCH
	Symbols []UnknownSymbol
}

// An UnknownSymbol is a request nothing can fulfil. It is one of four: a typo,
// a symbol that has left the kernel, one that has not come to it yet, and one
// of other architectures only.
type UnknownSymbol struct {
	Request Request
	In      []kver.Version // series that have the symbol, oldest first; none: a typo
	Nearest []string       // symbols that were perhaps meant, the likeliest first
}

// has reports whether the series of v has the symbol.
func (u UnknownSymbol) has(v kver.Version) bool { return slices.Contains(u.In, v.Series()) }

// before and after are the last series with the symbol before v, and the first
// after it.
func (u UnknownSymbol) before(v kver.Version) (last kver.Version, ok bool) {
	for _, s := range u.In {
		if s.Compare(v.Series()) < 0 {
			last, ok = s, true
		}
	}
	return last, ok
}

func (u UnknownSymbol) after(v kver.Version) (first kver.Version, ok bool) {
	for _, s := range u.In {
		if s.Compare(v.Series()) > 0 {
			return s, true
		}
	}
	return first, false
}

// elsewhere reports whether it is likely that other architectures have the
// symbol in v: the table has not every series.
func (u UnknownSymbol) elsewhere(v kver.Version) bool {
	_, left := u.before(v)
	_, coming := u.after(v)
	return u.has(v) || left && coming
}

// text says what is wrong with the request in Linux v for goarch.
func (u UnknownSymbol) text(v kver.Version, goarch string) string {
	s := fmt.Sprintf("CONFIG_%s at %s: ", u.Request.Symbol, u.Request.Pos)
	last, left := u.before(v)
	first, coming := u.after(v)
	switch {
	case len(u.In) == 0:
		return s + "no supported kernel has this symbol"
	case u.has(v):
		s += fmt.Sprintf("%s has this symbol, but not on %s", v.Series(), goarch)
	case left && coming:
		s += fmt.Sprintf("%s and %s have this symbol, %s has not, or not on %s", last, first, v, goarch)
	case left:
		s += fmt.Sprintf("this symbol has left the kernel: %s had it, %s does not", last, gone(last, v))
	case coming:
		s += fmt.Sprintf("this symbol has not come yet: %s has it, %s does not", first, notYet(first, v))
	}
	if u.Request.Ranged {
		s += fmt.Sprintf(", and its range %q holds %s", u.Request.Range, v)
	}
	return s
}

// gone is the first series after last that lacks the symbol, at the latest v's.
func gone(last, v kver.Version) kver.Version {
	for _, s := range knownSymbols().Known() {
		if s.Compare(last) > 0 && s.Compare(v.Series()) < 0 {
			return s
		}
	}
	return v
}

// notYet is the last series before first that lacks the symbol, at least v's.
func notYet(first, v kver.Version) kver.Version {
	found := v
	for _, s := range knownSymbols().Known() {
		if s.Compare(v.Series()) > 0 && s.Compare(first) < 0 {
			found = s
		}
	}
	return found
}

// hint says what was perhaps meant, or which range to write.
func (u UnknownSymbol) hint(v kver.Version) string {
	r := u.Request
	switch {
	case len(u.Nearest) > 0:
		return fmt.Sprintf("CONFIG_%s: did you mean CONFIG_%s?", r.Symbol, strings.Join(u.Nearest, " or CONFIG_"))
	case len(u.In) == 0:
		return fmt.Sprintf("CONFIG_%s: look the name up in the kernel's Kconfig files", r.Symbol)
	case u.elsewhere(v):
		return fmt.Sprintf("CONFIG_%s: leave it out of kernels for this architecture", r.Symbol)
	}
	return fmt.Sprintf("CONFIG_%s is known in %s: say for which versions it is meant, like %s", r.Symbol, versions(u.In), r.annotated(u.span(v)))
}

// span is a range that holds the series with the symbol on one side of v: all
// before it where there are such, else all after it.
func (u UnknownSymbol) span(v kver.Version) string {
	known := knownSymbols().Known()
	oldest, newest := known[0], known[len(known)-1]
	low, high := u.In[0].String(), u.In[len(u.In)-1].String()
	if last, ok := u.before(v); ok {
		high = last.String()
	}
	switch {
	case low == oldest.String():
		low = ""
	case high == newest.String():
		high = ""
	}
	return low + ".." + high
}

func (e *UnknownSymbolsError) Error() string {
	var list []string
	for _, u := range e.Symbols {
		list = append(list, u.text(e.Version, e.Arch))
	}
	return "check fragments:" + join(list)
}

// Hint says, for each symbol, what was perhaps meant or which range to write.
func (e *UnknownSymbolsError) Hint() string {
	var list []string
	for _, u := range e.Symbols {
		list = append(list, u.hint(e.Version))
	}
	return strings.TrimSpace(join(list))
}

// ExitCode marks a usage error.
func (e *UnknownSymbolsError) ExitCode() int { return 2 }

// join follows a colon: it puts one item on the line and several on lines of their own.
func join(list []string) string {
	if len(list) == 1 {
		return " " + list[0]
	}
	return "\n\t" + strings.Join(list, "\n\t")
}

func versions(list []kver.Version) string {
	var s []string
	for _, v := range list {
		s = append(s, v.String())
	}
	return strings.Join(s, ", ")
}

// Vet checks that every request is for a symbol that exists. One that neither
// the tree nor any known series has is an error even where its range leaves
// the version out; one that only this tree lacks is an error unless its range
// leaves the version out. The error is an [UnknownSymbolsError].
func (s *Selection) Vet(t *Tree) error {
	e := &UnknownSymbolsError{Version: s.Version, Arch: s.Arch}
	for _, r := range s.all {
		if t.Has(r.Symbol) {
			continue
		}
		in := knownSymbols().Series(r.Symbol)
		u := UnknownSymbol{Request: r, In: in}
		if len(in) == 0 {
			u.Nearest = knownSymbols().nearest(r.Symbol, t)
		} else if !r.Range.Contains(s.Version) {
			continue
		}
		e.Symbols = append(e.Symbols, u)
	}
	if len(e.Symbols) == 0 {
		return nil
	}
	return e
}
