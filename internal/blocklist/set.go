package blocklist

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// A Set is what a list says about one kernel. A nil Set blocks nothing.
type Set struct {
	entries []Entry
	allowed []Entry
	only    bool // nothing but allowed is run
	splats  []Entry
}

// For returns what the list says about the kernel k.
func (l *List) For(k Kernel) *Set {
	s := &Set{}
	if l == nil {
		return s
	}
	s.entries = applying(l.Entries, k)
	s.allowed = applying(l.Allowed, k)
	s.only = len(s.allowed) > 0
	s.splats = applying(l.Splats, k)
	return s
}

func applying(entries []Entry, k Kernel) []Entry {
	var out []Entry
	for _, e := range entries {
		if e.appliesTo(k) {
			out = append(out, e)
		}
	}
	return out
}

// Match returns the entry about a test, a subtest included: one that skips it
// before any other, then the one that names it most precisely, then the first
// in the files. An empty test asks about the package as a whole.
//
// A test that no ALLOWLIST names is skipped by an entry that has a Reason and
// no Pos.
func (s *Set) Match(pkg, test string) (Entry, bool) {
	if s == nil {
		return Entry{}, false
	}
	var best *Entry
	for i := range s.entries {
		e := &s.entries[i]
		if e.covers(pkg, test) && (best == nil || e.before(best)) {
			best = e
		}
	}
	if best != nil && best.Expect == Skip {
		return *best, true
	}
	if !s.allows(pkg, test) {
		return Entry{Reason: "not in the ALLOWLIST", Expect: Skip}, true
	}
	if best == nil {
		return Entry{}, false
	}
	return *best, true
}

// Allows returns the entry that allows the kernel to report a fault while a
// package runs. The package is empty where several ran.
func (s *Set) Allows(pkg, fingerprint string) (Entry, bool) {
	if s == nil {
		return Entry{}, false
	}
	for _, e := range s.splats {
		if e.splat.match(fingerprint) && (e.packages.text == "" || pkg != "" && e.packages.match(pkg)) {
			return e, true
		}
	}
	return Entry{}, false
}

func (e *Entry) covers(pkg, test string) bool {
	if !e.packages.match(pkg) {
		return false
	}
	if test == "" {
		return len(e.test.elem) == 0
	}
	return e.test.match(test)
}

// before reports whether e has the say over f where both cover a test.
func (e *Entry) before(f *Entry) bool {
	if (e.Expect == Skip) != (f.Expect == Skip) {
		return e.Expect == Skip
	}
	return len(e.test.elem) > len(f.test.elem)
}

func (s *Set) allows(pkg, test string) bool {
	if !s.only || test == "" {
		return true
	}
	return slices.ContainsFunc(s.allowed, func(e Entry) bool {
		return e.packages.match(pkg) && (e.test.match(test) || e.test.above(test))
	})
}

// Skip returns the value of -test.skip for a package: user, the pattern the
// user gave, and the tests the set skips. It is empty where nothing is.
func (s *Set) Skip(pkg, user string) string {
	var alts []goAlternative
	if s != nil {
		for _, e := range s.entries {
			if e.Expect == Skip && e.packages.match(pkg) {
				alts = append(alts, e.test.alternative())
			}
		}
	}
	if len(alts) == 0 {
		return user
	}
	return joinGoPattern(append(splitGoPattern(user), alts...))
}

// Run returns the value of -test.run for a package: user, the pattern the user
// gave, held to what an ALLOWLIST names. It is empty where every test is run.
//
// Errors: -test.run has no word for "both patterns", so a glob in the
// ALLOWLIST and a user's pattern that is not one name do not go together.
func (s *Set) Run(pkg, user string) (string, error) {
	if s == nil || !s.only {
		return user, nil
	}
	var alts []goAlternative
	for _, e := range s.allowed {
		if e.packages.match(pkg) {
			alts = append(alts, e.test.alternative())
		}
	}
	if len(alts) == 0 {
		return nothing, nil
	}
	if user == "" {
		return joinGoPattern(alts), nil
	}
	alts, err := intersect(alts, splitGoPattern(user))
	if err != nil {
		return "", fmt.Errorf("hold -run to the ALLOWLIST: %w", err)
	}
	return joinGoPattern(alts), nil
}

// Unexpected returns the entry that expected a test to fail which has passed.
func (s *Set) Unexpected(pkg, test string) (Entry, bool) {
	e, ok := s.Match(pkg, test)
	return e, ok && e.Expect == Fail && e.test.names(test)
}

// Excused returns those of a package's failed tests whose failure does not
// count, each with the entry that excuses it. A test is excused by an entry
// that expects it to fail or to be flaky, and where it has failed subtests and
// all of them are excused: package testing fails a test with its subtests, and
// does not tell whether the test would have failed without them.
func (s *Set) Excused(pkg string, failed []string) map[string]Entry {
	excused := make(map[string]Entry)
	// Subtests before their parents, which depend on them.
	names := slices.SortedFunc(slices.Values(failed), func(a, b string) int {
		return cmp.Or(cmp.Compare(strings.Count(b, "/"), strings.Count(a, "/")), cmp.Compare(a, b))
	})
	for _, name := range names {
		if e, ok := s.Match(pkg, name); ok && e.Expect != Skip {
			excused[name] = e
		} else if e, ok := excusedBySubtests(name, failed, excused); ok {
			excused[name] = e
		}
	}
	return excused
}

func excusedBySubtests(name string, failed []string, excused map[string]Entry) (entry Entry, ok bool) {
	for _, f := range failed {
		rest, below := strings.CutPrefix(f, name+"/")
		if !below || rest == "" {
			continue
		}
		e, is := excused[f]
		if !is {
			return Entry{}, false
		}
		if !ok || e.Pos.Compare(entry.Pos) < 0 {
			entry, ok = e, true
		}
	}
	return entry, ok
}
