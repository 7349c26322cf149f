package blocklist

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func suggest(t *testing.T, results ...Result) string {
	t.Helper()
	out, err := Suggest(results)
	if err != nil {
		t.Fatal(err)
	}
	if _, errs := parseYAML("suggested", out); errs != nil {
		t.Fatalf("suggestion does not parse: %v\n%s", errs, out)
	}
	return string(out)
}

func TestSuggest(t *testing.T) {
	old, mid, recent := debian("5.10.251", "amd64"), debian("6.1.140", "amd64"), debian("6.12.43", "amd64")
	got := suggest(t,
		result(old, "TestCtx", Failed, "=== RUN   TestCtx", "    xdp_test.go:41: run: kernel 5.10 has no ctx_in", "--- FAIL: TestCtx (0.00s)"),
		result(old, "TestParent", Failed, "    xdp_test.go:9: cleanup"),
		result(old, "TestParent/a*[x] y", Failed, "        xdp_test.go:12: got 1, want 2"),
		result(old, "TestFine", Passed),
		result(mid, "TestCtx", Failed, "    xdp_test.go:41: run: other"),
		result(mid, "TestParent", Passed),
		result(recent, "TestCtx", Passed),
		result(recent, "TestParent", Passed),
	)
	want := `# failed on debian:5.10 (5.10.251), debian:6.1 (6.1.140); passed on debian:6.12 (6.12.43)
- kernel: <=6.1
  package: example.org/m/xdp
  test: TestCtx
  reason: 'xdp_test.go:41: run: kernel 5.10 has no ctx_in'
# failed on debian:5.10 (5.10.251)
- kernel: "5.10"
  package: example.org/m/xdp
  test: TestParent/a\*\[x]_y
  reason: 'xdp_test.go:12: got 1, want 2'
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := suggest(t, result(old, "TestFine", Passed), result(old, "", Failed)); got != "" {
		t.Errorf("without a failed test: %s", got)
	}
}

func TestSuggestKernels(t *testing.T) {
	arm := debian("6.1.140", "arm64")
	own := Kernel{Name: "oci:out:6.1", Version: debian("6.1.140", "").Version, Arch: "amd64"}
	unknown := Kernel{Name: "./bzImage", Arch: "amd64"}
	k := func(s string) Kernel { return debian(s, "amd64") }
	for _, c := range []struct {
		name           string
		failed, passed []Kernel
		want           string
	}{
		{"one kernel", []Kernel{k("5.10.1")}, nil, "kernel: \"5.10\"\n"},
		{"all of two", []Kernel{k("5.10.1"), k("6.1.1")}, nil, "kernel: [\"5.10\", \"6.1\"]\n"},
		{"the older", []Kernel{k("5.10.1"), k("6.1.1")}, []Kernel{k("6.12")}, "kernel: <=6.1\n"},
		{"the newer", []Kernel{k("6.12.1"), k("7.2")}, []Kernel{k("6.1.3")}, "kernel: '>=6.12'\n"},
		{"the middle", []Kernel{k("6.1"), k("6.6")}, []Kernel{k("5.10"), k("6.12")}, "kernel: 6.1..6.6\n"},
		{"no pattern", []Kernel{k("5.10"), k("6.6")}, []Kernel{k("6.1")}, "kernel: [\"5.10\", \"6.6\"]\n"},
		{"one of two", []Kernel{k("5.10.1")}, []Kernel{k("6.1.1")}, "kernel: \"5.10\"\n"},
		{"patch level", []Kernel{k("6.12.3")}, []Kernel{k("6.12.43")}, "kernel: 6.12.3\n"},
		{"architecture", []Kernel{arm}, []Kernel{k("6.1.140")}, "kernel: \"6.1\"\n  arch: arm64\n"},
		{"own build", []Kernel{own}, []Kernel{k("6.1.140")}, "kernel: oci:out:6.1\n"},
		{"no version", []Kernel{unknown}, []Kernel{k("6.1.140")}, "kernel: ./bzImage\n"},
		{"flaky", []Kernel{k("6.1.140")}, []Kernel{k("6.1.140"), k("6.12")}, "kernel: \"6.1\"\n  package: example.org/m/xdp\n  test: TestA\n  expect: flaky\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var results []Result
			for _, k := range c.failed {
				results = append(results, result(k, "TestA", Failed))
			}
			for _, k := range c.passed {
				results = append(results, result(k, "TestA", Passed))
			}
			got := suggest(t, results...)
			if !strings.Contains(got, "- "+c.want) {
				t.Errorf("got\n%s\nwant %s", got, c.want)
			}
			l := mustParse(t, got)
			for _, r := range results {
				_, blocked := l.For(r.Kernel).Match(r.Package, r.Test)
				if blocked != (r.Outcome == Failed) && c.name != "flaky" {
					t.Errorf("%v blocked: %v", r.Kernel, blocked)
				}
			}
		})
	}
}

func TestSuggestLongReason(t *testing.T) {
	long := clean("x_test.go:1: " + strings.Repeat("ä", 500))
	if n := len([]rune(long)); n != reasonLimit {
		t.Errorf("long line has %d characters", n)
	}
}
