package blocklist

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// A goAlternative is one alternative of a pattern as -run and -skip of go
// test take it: a regular expression for each element of a test's name.
type goAlternative []string

func (a goAlternative) String() string { return strings.Join(a, "/") }

// splitGoPattern splits a -run or -skip pattern where package testing does:
// at each | and / outside of brackets and parentheses. An empty pattern has
// no alternatives.
func splitGoPattern(s string) []goAlternative {
	if s == "" {
		return nil
	}
	var (
		alts            []goAlternative
		alt             goAlternative
		start           int
		brackets, paren int
	)
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\':
			i++
		case c == '[':
			brackets++
		case c == ']':
			brackets = max(brackets-1, 0)
		case brackets > 0:
		case c == '(':
			paren++
		case c == ')':
			paren--
		case paren == 0 && (c == '/' || c == '|'):
			alt = append(alt, s[start:i])
			start = i + 1
			if c == '|' {
				alts, alt = append(alts, alt), nil
			}
		}
	}
	return append(alts, append(alt, s[start:]))
}

// joinGoPattern writes alternatives as one pattern, the shorter ones first.
// The order matters to -skip: package testing stops at the first alternative
// that matches the elements a name has so far, so TestA/x before TestA would
// keep TestA from being skipped.
func joinGoPattern(alts []goAlternative) string {
	sorted := slices.Clone(alts)
	slices.SortStableFunc(sorted, func(a, b goAlternative) int { return cmp.Compare(len(a), len(b)) })
	var b strings.Builder
	seen := make(map[string]bool, len(sorted))
	for _, a := range sorted {
		s := a.String()
		if seen[s] {
			continue
		}
		if len(seen) > 0 {
			b.WriteByte('|')
		}
		seen[s] = true
		b.WriteString(s)
	}
	return b.String()
}

// literalOf returns the only string the anchored expression matches.
func literalOf(expr string) (string, bool) {
	inner := strings.TrimSuffix(strings.TrimPrefix(expr, "^"), "$")
	re, err := regexp.Compile(inner)
	if err != nil || len(inner)+2 != len(expr) {
		return "", false
	}
	return re.LiteralPrefix()
}

// nothing is an element that matches no test, since none has an empty name.
const nothing = "^$"

// intersect returns a pattern for the names that both a and b match. The
// elements of one of the two, at each depth, have to be literal or open.
func intersect(a, b []goAlternative) ([]goAlternative, error) {
	var both []goAlternative
	for _, x := range a {
		for _, y := range b {
			alt, ok, err := x.intersect(y)
			if err != nil {
				return nil, err
			}
			if ok {
				both = append(both, alt)
			}
		}
	}
	if len(both) == 0 {
		both = []goAlternative{{nothing}}
	}
	return both, nil
}

func (a goAlternative) intersect(b goAlternative) (alt goAlternative, ok bool, err error) {
	for i := range max(len(a), len(b)) {
		switch {
		case i >= len(a):
			alt = append(alt, b[i])
		case i >= len(b):
			alt = append(alt, a[i])
		default:
			elem, ok, err := intersectElement(a[i], b[i])
			if err != nil || !ok {
				return nil, false, err
			}
			alt = append(alt, elem)
		}
	}
	return alt, true, nil
}

func intersectElement(a, b string) (elem string, ok bool, err error) {
	for _, pair := range [][2]string{{a, b}, {b, a}} {
		one, other := pair[0], pair[1]
		if one == "" || one == "." {
			return other, true, nil
		}
		if lit, ok := literalOf(one); ok {
			re, err := regexp.Compile(other)
			if err != nil {
				return "", false, fmt.Errorf("parse test pattern %q: %w", other, err)
			}
			return one, re.MatchString(lit), nil
		}
	}
	if a == b {
		return a, true, nil
	}
	return "", false, &patternConflict{a, b}
}

// A patternConflict is a pair of patterns no single pattern stands for.
type patternConflict struct{ a, b string }

func (e *patternConflict) Error() string {
	return fmt.Sprintf("combine test patterns %q and %q: neither is the name of one test", e.a, e.b)
}

func (e *patternConflict) Hint() string {
	return "write the allowlist's names without a glob, or give -run whole names: -run '^TestX$'"
}

func (e *patternConflict) ExitCode() int { return 2 }
