package blocklist

import (
	"regexp"
	"strings"

	"github.com/bpf-vmtest/bpf-vmtest/internal/configfile"
)

const testRemedy = `write a test as TestX or TestX/subtest; * ? [ ] are a glob, and \ before one of them makes it literal`

// A testPattern matches a test and everything below it. The zero testPattern
// matches all tests.
type testPattern struct {
	text string
	elem []*regexp.Regexp // one per element of the test's name, anchored
}

// parseTestPattern reads a test's name, with its subtests after slashes. A
// name is literal but for the globs in it; it may be written as it stands in
// the call to t.Run or as go test prints it. After the first, an element may be
// empty: t.Run("/sys/fs", …) makes a TestX//sys/fs.
func parseTestPattern(s string) (testPattern, error) {
	if s == "" {
		return testPattern{}, configfile.Problemf("leave the field out to mean every test of the package", "empty test")
	}
	if s[0] == '/' {
		return testPattern{}, configfile.Problemf(testRemedy, "test %q begins with a slash", s)
	}
	p := testPattern{text: s}
	for part := range strings.SplitSeq(s, "/") {
		expr, err := globRegexp(part, quoteTestName)
		if err != nil {
			return testPattern{}, configfile.Problemf(testRemedy, "test %q: %v", s, err)
		}
		re, err := regexp.Compile("^" + expr + "$")
		if err != nil {
			return testPattern{}, configfile.Problemf(testRemedy, "test %q: %v", s, err)
		}
		p.elem = append(p.elem, re)
	}
	return p, nil
}

// match reports whether the pattern names test or a test above it.
func (p testPattern) match(test string) bool {
	names := strings.Split(test, "/")
	return len(names) >= len(p.elem) && p.matchPrefix(names)
}

// above reports whether test is above the tests of the pattern: running those
// means running test.
func (p testPattern) above(test string) bool {
	names := strings.Split(test, "/")
	return len(names) < len(p.elem) && p.matchPrefix(names)
}

// matchPrefix compares as many elements as both have.
func (p testPattern) matchPrefix(names []string) bool {
	for i, re := range p.elem[:min(len(p.elem), len(names))] {
		if !re.MatchString(names[i]) {
			return false
		}
	}
	return true
}

// depth is the number of elements of the names the pattern is about.
func (p testPattern) depth() int { return max(len(p.elem), 1) }

// names reports whether the pattern names test itself; the zero pattern names
// the top-level tests.
func (p testPattern) names(test string) bool {
	return strings.Count(test, "/")+1 == p.depth() && p.match(test)
}

// alternative is the pattern in the syntax of go test's -run and -skip.
func (p testPattern) alternative() goAlternative {
	if len(p.elem) == 0 {
		return goAlternative{"."}
	}
	alt := make(goAlternative, len(p.elem))
	for i, re := range p.elem {
		alt[i] = re.String()
	}
	return alt
}
