package blocklist

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// An Outcome is how a test ended on a kernel.
type Outcome string

const (
	Passed  Outcome = "pass"
	Failed  Outcome = "fail"
	Skipped Outcome = "skip" // by itself, with testing.T.Skip
	NotRun  Outcome = ""     // known from the test binary's list only
)

// A Result is one test on one kernel. A test that ran several times has
// several.
type Result struct {
	Kernel  Kernel
	Package string
	Test    string // with its subtests, as go test prints it
	Outcome Outcome
	Output  []string // the test's own lines, without what go test frames them with
}

// A Run is what happened on all kernels of a run. Every test that is known to
// exist has a Result, the blocked ones included.
type Run struct {
	Results []Result
	// WholeModule says that the run held every package of the module and
	// left out no test but the blocked ones. Without it, an entry that
	// matches nothing is only told from one that the run had no business
	// with where its package was in the run; and the caller must not leave
	// out the tests that -run or -skip deselect.
	WholeModule bool
	// Now is the time expiry is judged by; the zero time is now.
	Now time.Time
}

// A Finding is an entry that is not, or no longer, right.
type Finding struct {
	Entry   Entry
	Kind    FindingKind
	Message string // file:line:column, and what is to be said
	Remedy  string
}

// A FindingKind is what is wrong with an entry.
type FindingKind string

const (
	Unmatched FindingKind = "unmatched" // no test of the run has that name
	Expired   FindingKind = "expired"
	Fixed     FindingKind = "fixed" // an expected failure that passes
)

// Check holds the list against what happened, and returns the findings in the
// order of the entries, those that allow faults first. Whether a fault occurs may
// be a matter of luck, so that such an entry can expire and nothing else.
//
// go test says nothing about a subtest it skips. So an entry that skips a
// subtest is judged by the test above it, which has to exist.
func (l *List) Check(run Run) []Finding {
	if l == nil {
		return nil
	}
	now := run.Now
	if now.IsZero() {
		now = time.Now()
	}
	var findings []Finding
	expiry := func(e Entry) {
		if e.expired(now) {
			findings = append(findings, e.finding(Expired, "expired on "+e.Expires.Format(time.DateOnly),
				"run without the entry, then remove it or move the date"))
		}
	}
	for _, e := range l.Splats {
		expiry(e)
	}
	for _, e := range l.Entries {
		expiry(e)
		if kernels := e.judged(run); kernels != nil && !e.matched(run.Results) {
			findings = append(findings, e.finding(Unmatched, "matches no test on "+strings.Join(kernels, ", "),
				"correct the name as go test -v prints it, or remove the entry"))
		}
		if passed := e.passed(run.Results); passed != nil {
			findings = append(findings, e.finding(Fixed, "was expected to fail and passed: "+strings.Join(passed, ", "),
				"narrow the entry's kernels, or remove it"))
		}
	}
	for _, e := range l.Allowed {
		if kernels := e.judged(run); kernels != nil && !e.matched(run.Results) {
			findings = append(findings, e.finding(Unmatched, "allows no test on "+strings.Join(kernels, ", "),
				"correct the name as go test -v prints it, or remove the line"))
		}
	}
	return findings
}

func (e Entry) finding(kind FindingKind, msg, remedy string) Finding {
	return Finding{
		Entry: e, Kind: kind, Remedy: remedy,
		Message: fmt.Sprintf("%s: %s %s", e.Pos, e.what(), msg),
	}
}

// judged returns the kernels of the run that can tell whether the entry
// matches a test: those it applies to where its packages were run.
func (e Entry) judged(run Run) []string {
	if e.packages.text == "" && !run.WholeModule {
		return nil
	}
	var names []string
	for _, r := range run.Results {
		if e.appliesTo(r.Kernel) && (run.WholeModule || e.packages.match(r.Package)) && !slices.Contains(names, r.Kernel.Name) {
			names = append(names, r.Kernel.Name)
		}
	}
	return names
}

// matched reports whether the entry is about any of the results.
func (e Entry) matched(results []Result) bool {
	return slices.ContainsFunc(results, func(r Result) bool {
		if !e.appliesTo(r.Kernel) || !e.packages.match(r.Package) {
			return false
		}
		if e.test.match(r.Test) {
			return true
		}
		// A test that failed or stopped may have had the subtest still to come.
		return e.test.above(r.Test) && (e.Expect == Skip || r.Outcome != Passed)
	})
}

// passed returns the tests that the entry expects to fail and that passed,
// each with its kernel. Subtests of what the entry names do not count: some
// of them may well pass.
func (e Entry) passed(results []Result) []string {
	if e.Expect != Fail {
		return nil
	}
	var tests []string
	for _, r := range results {
		if r.Outcome == Passed && e.appliesTo(r.Kernel) && e.packages.match(r.Package) && e.test.names(r.Test) {
			tests = append(tests, fmt.Sprintf("%s on %s", r.Test, r.Kernel.Name))
		}
	}
	return tests
}
