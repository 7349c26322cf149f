package kconfig

import (
	"fmt"
	"strings"

	"github.com/bpf-vmtest/bpf-vmtest/internal/kver"
)

// An UnknownSymbolsError lists requests for symbols the kernel does not have.
type UnknownSymbolsError struct {
	Version kver.Version
	Symbols []UnknownSymbol
}

// An UnknownSymbol is a request nothing can fulfil.
type UnknownSymbol struct {
	Request Request
	In      []kver.Version // series that have the symbol, oldest first; none: a typo
	Nearest string         // a symbol that was perhaps meant, or ""
}

func (u UnknownSymbol) text(v kver.Version) string {
	r := u.Request
	if len(u.In) == 0 {
		return fmt.Sprintf("CONFIG_%s at %s: no supported kernel has this symbol", r.Symbol, r.Pos)
	}
	if r.Ranged {
		return fmt.Sprintf("CONFIG_%s at %s: its range %q holds %s, which does not have this symbol", r.Symbol, r.Pos, r.Range, v)
	}
	return fmt.Sprintf("CONFIG_%s at %s: %s does not have this symbol", r.Symbol, r.Pos, v)
}

func (e *UnknownSymbolsError) Error() string {
	var list []string
	for _, u := range e.Symbols {
		list = append(list, u.text(e.Version))
	}
	return "check fragments:" + join(list)
}

// Hint says, for each symbol, what was perhaps meant or which range to write.
func (e *UnknownSymbolsError) Hint() string {
	var list []string
	for _, u := range e.Symbols {
		switch {
		case len(u.In) > 0:
			list = append(list, fmt.Sprintf("CONFIG_%s is known in %s: say for which versions it is meant, like CONFIG_%s=%s  # %s..%s",
				u.Request.Symbol, versions(u.In), u.Request.Symbol, u.Request.Value, u.In[0], u.In[len(u.In)-1]))
		case u.Nearest != "":
			list = append(list, fmt.Sprintf("CONFIG_%s: did you mean CONFIG_%s?", u.Request.Symbol, u.Nearest))
		default:
			list = append(list, fmt.Sprintf("CONFIG_%s: look the name up in the kernel's Kconfig files", u.Request.Symbol))
		}
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
	e := &UnknownSymbolsError{Version: s.Version}
	for _, r := range s.all {
		if t.Has(r.Symbol) {
			continue
		}
		in := knownSymbols().Series(r.Symbol)
		u := UnknownSymbol{Request: r, In: in}
		if len(in) == 0 {
			u.Nearest = knownSymbols().nearest(r.Symbol)
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
