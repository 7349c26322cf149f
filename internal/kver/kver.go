// Package kver is the version of a Linux kernel and ranges of such versions.
package kver

import (
	"cmp"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// A Version is the ordered part of a kernel release such as 6.12.95 or
// 7.3-rc7. What a distribution or a builder appends to it (-51-cloud-amd64,
// +deb13) is not part of the order and is not kept.
type Version struct {
	Major, Minor int
	Patch        int // 0 when not given
	RC           int // release candidate number, 0 for a release
}

// Kernel releases as uname prints them and as Debian (7.3~rc7) writes them.
var pattern = regexp.MustCompile(`^(\d{1,4})\.(\d{1,4})(?:\.(\d{1,6}))?(?:[-~]rc(\d{1,3}))?$`)

// Parse reads a bare version: 6.12, 6.12.95, 7.3-rc7 or 7.3~rc7.
func Parse(s string) (Version, error) {
	m := pattern.FindStringSubmatch(s)
	if m == nil {
		return Version{}, fmt.Errorf("parse kernel version %q: want MAJOR.MINOR[.PATCH][-rcN], like 6.12 or 7.3-rc7", s)
	}
	return fromMatch(m), nil
}

// What may follow the version in a release: a distribution's or LOCALVERSION.
var release = regexp.MustCompile(`^(\d{1,4})\.(\d{1,4})(?:\.(\d{1,6}))?(?:[-~]rc(\d{1,3}))?(?:[-+~_.].*|\+)?$`)

// FromRelease reads the version at the start of a release as uname -r prints
// it: 6.1.0-51-cloud-amd64 is 6.1.0, 7.3-rc7-amd64 is 7.3-rc7.
func FromRelease(s string) (Version, error) {
	m := release.FindStringSubmatch(s)
	if m == nil {
		return Version{}, fmt.Errorf("parse kernel release %q: want a version followed by -suffix, like 6.1.0-51-cloud-amd64", s)
	}
	return fromMatch(m), nil
}

func fromMatch(m []string) Version {
	n := func(s string) int { v, _ := strconv.Atoi(s); return v } // digits only, by the pattern
	return Version{Major: n(m[1]), Minor: n(m[2]), Patch: n(m[3]), RC: n(m[4])}
}

// Series is the version without patch level and release candidate: 6.12.95
// and 6.12-rc3 are both of series 6.12.
func (v Version) Series() Version { return Version{Major: v.Major, Minor: v.Minor} }

// Compare orders versions; a release candidate comes before its release.
func (v Version) Compare(w Version) int {
	rc := func(v Version) int {
		if v.RC == 0 {
			return 1 << 30
		}
		return v.RC
	}
	return cmp.Or(
		cmp.Compare(v.Major, w.Major),
		cmp.Compare(v.Minor, w.Minor),
		cmp.Compare(v.Patch, w.Patch),
		cmp.Compare(rc(v), rc(w)),
	)
}

// String prints 6.12, 6.12.95 or 7.3-rc7.
func (v Version) String() string {
	s := fmt.Sprintf("%d.%d", v.Major, v.Minor)
	if v.Patch != 0 {
		s += "." + strconv.Itoa(v.Patch)
	}
	if v.RC != 0 {
		s += "-rc" + strconv.Itoa(v.RC)
	}
	return s
}

// A Range is a set of versions between two bounds. The zero Range holds every
// version.
//
// A bound without a patch level stands for its whole series, release
// candidates included: 6.1..6.6 holds 6.6.80, <5.15 does not hold 5.15-rc1.
type Range struct {
	text     string
	low, hi  *bound
	negative bool
}

type bound struct {
	v         Version
	series    bool // v names a series, not one version
	inclusive bool
}

// ParseRange reads one of: 6.12 (the series), 6.12.95 (that version), <5.15,
// <=6.6, >6.1, >=6.1, 6.1..6.6 (both ends included), ..5.15, 6.1.. and
// != before a single version.
func ParseRange(s string) (Range, error) {
	fail := func(err error) (Range, error) {
		return Range{}, fmt.Errorf("parse kernel range %q: %w", s, err)
	}
	r := Range{text: s}
	t := strings.TrimSpace(s)
	if low, hi, ok := strings.Cut(t, ".."); ok {
		if low == "" && hi == "" {
			return fail(fmt.Errorf("want a version on at least one side of .."))
		}
		var err error
		if low != "" {
			if r.low, err = parseBound(low, true); err != nil {
				return fail(err)
			}
		}
		if hi != "" {
			if r.hi, err = parseBound(hi, true); err != nil {
				return fail(err)
			}
		}
		if r.low != nil && r.hi != nil && r.low.v.Compare(r.hi.v) > 0 {
			return fail(fmt.Errorf("the first version is later than the second"))
		}
		return r, nil
	}
	var err error
	switch op := t[:len(t)-len(strings.TrimLeft(t, "<>=!"))]; op {
	case "<", "<=":
		r.hi, err = parseBound(t[len(op):], op == "<=")
	case ">", ">=":
		r.low, err = parseBound(t[len(op):], op == ">=")
	case "", "=", "==", "!=":
		r.low, err = parseBound(t[len(op):], true)
		r.hi, r.negative = r.low, op == "!="
	default:
		err = fmt.Errorf("unknown operator %q", op)
	}
	if err != nil {
		return fail(err)
	}
	return r, nil
}

func parseBound(s string, inclusive bool) (*bound, error) {
	v, err := Parse(strings.TrimSpace(s))
	if err != nil {
		return nil, err
	}
	return &bound{v: v, series: v == v.Series(), inclusive: inclusive}, nil
}

// Contains reports whether v is in the range.
func (r Range) Contains(v Version) bool {
	in := r.above(v) && r.below(v)
	return in != r.negative
}

func (r Range) above(v Version) bool {
	if r.low == nil {
		return true
	}
	c := r.low.compare(v)
	return c > 0 || c == 0 && r.low.inclusive
}

func (r Range) below(v Version) bool {
	if r.hi == nil {
		return true
	}
	c := r.hi.compare(v)
	return c < 0 || c == 0 && r.hi.inclusive
}

// compare orders v against the bound, at the bound's own precision.
func (b *bound) compare(v Version) int {
	if b.series {
		v = v.Series()
	}
	return v.Compare(b.v)
}

// String is the range as it was written, or "any" for the zero Range.
func (r Range) String() string {
	if r.text == "" {
		return "any"
	}
	return r.text
}
