package blocklist

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func result(k Kernel, test string, o Outcome, output ...string) Result {
	return Result{Kernel: k, Package: "example.org/m/xdp", Test: test, Outcome: o, Output: output}
}

func TestCheck(t *testing.T) {
	old, mid := debian("5.10.251", "amd64"), debian("6.1.140", "amd64")
	run := Run{
		Now: time.Date(2027, 4, 1, 0, 0, 0, 0, time.UTC),
		Results: []Result{
			result(old, "TestBlocked", NotRun),
			result(old, "TestParent", Passed),
			result(old, "TestParent/seen", Passed),
			result(old, "TestBroken", Failed),
			result(old, "TestBroken/early", Passed),
			result(mid, "TestBlocked", Passed),
			result(mid, "TestParent", Passed),
			result(mid, "TestParent/seen", Failed),
		},
	}
	for _, c := range []struct {
		entry string
		want  []FindingKind
	}{
		{"{test: TestBlocked, package: .../xdp, kernel: <6.1, reason: r}", nil},
		{"{test: TestBlockd, package: .../xdp, reason: r}", []FindingKind{Unmatched}},
		{"{test: TestBlockd, package: .../tc, reason: r}", nil},               // the run had no such package
		{"{test: TestBlockd, package: .../xdp, kernel: 7.2, reason: r}", nil}, // nor such a kernel
		{"{test: TestBlockd, reason: r}", nil},                                // may be another package's
		{"{test: TestParent/hidden, package: .../xdp, reason: r}", nil},       // go test is silent about it
		{"{test: TestGone/hidden, package: .../xdp, reason: r}", []FindingKind{Unmatched}},
		{"{test: TestParent/hidden, package: .../xdp, expect: flaky, reason: r}", []FindingKind{Unmatched}},
		{"{test: TestBroken/late, package: .../xdp, expect: fail, reason: r}", nil}, // did not get that far
		{"{test: TestParent/seen, package: .../xdp, kernel: 6.1, expect: fail, reason: r}", nil},
		{"{test: TestParent/seen, package: .../xdp, expect: fail, reason: r}", []FindingKind{Fixed}},
		{"{test: TestBroken, package: .../xdp, expect: fail, reason: r}", nil}, // one of its subtests may pass
		{"{test: TestParent, package: .../xdp, expect: flaky, reason: r}", nil},
		{"{test: TestParent, package: .../xdp, expires: 2027-03-31, reason: r}", []FindingKind{Expired}},
		{"{test: TestParent, package: .../xdp, expires: 2027-04-01, reason: r}", nil},
		{"{package: .../xdp, reason: r}", nil},
		{"{package: .../xdp, kernel: 5.10, expect: fail, reason: r}", []FindingKind{Fixed}},
	} {
		var got []FindingKind
		for _, f := range mustParse(t, "- "+c.entry).Check(run) {
			got = append(got, f.Kind)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.entry, diff)
		}
	}
	run.WholeModule = true
	for _, e := range []string{"{test: TestBlockd, reason: r}", "{test: TestBlocked, package: .../tc, reason: r}"} {
		if f := mustParse(t, "- "+e).Check(run); len(f) != 1 || f[0].Kind != Unmatched {
			t.Errorf("%s in a run of the whole module: %+v", e, f)
		}
	}
}

func TestFindingMessage(t *testing.T) {
	l := mustParse(t, "\n- test: TestA\n  expect: fail\n  package: ...\n  reason: r\n")
	got := l.Check(Run{Results: []Result{
		result(debian("5.10", "amd64"), "TestA", Passed),
		result(debian("5.10", "amd64"), "TestA/sub", Passed),
		result(debian("6.1", "amd64"), "TestA", Passed),
		result(debian("6.12", "amd64"), "TestA", Failed),
	}})
	const want = `blocklist.yaml:2:3: test "TestA" of package "..." was expected to fail and passed: TestA on debian:5.10, TestA on debian:6.1`
	if len(got) != 1 || got[0].Message != want {
		t.Errorf("got  %+v\nwant %s", got, want)
	}
}

func TestCheckAllowlist(t *testing.T) {
	l := &List{Allowed: []Entry{entryFor(t, "TestA/sub", Skip), entryFor(t, "TestGone", Skip)}}
	got := l.Check(Run{WholeModule: true, Results: []Result{result(debian("6.1", "amd64"), "TestA", Passed)}})
	if len(got) != 1 || got[0].Entry.Test() != "TestGone" {
		t.Errorf("%+v", got)
	}
}
