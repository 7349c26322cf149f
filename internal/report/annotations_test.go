package report

import (
	"strings"
	"testing"

	"github.com/bpf-vmtest/bpf-vmtest/internal/result"
)

func annotations(t *testing.T, m *Matrix) string {
	t.Helper()
	var b strings.Builder
	if err := m.WriteAnnotations(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestAnnotations(t *testing.T) {
	eachChosen(t, func(t *testing.T, name string, m *Matrix) {
		checkGolden(t, name+".annotations", annotations(t, m))
	})
}

// TestAnnotationPlaces is about the file that is annotated.
func TestAnnotationPlaces(t *testing.T) {
	run := &result.RunInfo{Kernels: []string{"a", "b"}, Root: "/w/fw", Dir: "sub", Dirs: map[string]string{"m": "sub/m", "m/root": "."}}
	fail := func(kernel, pkg, output string) []result.Event {
		return []result.Event{
			{Action: result.Output, Kernel: kernel, Package: pkg, Test: "T", Output: output},
			{Action: result.Fail, Kernel: kernel, Package: pkg, Test: "T"},
		}
	}
	for _, tt := range []struct {
		name   string
		events []result.Event
		want   string
	}{
		{"a base name", fail("a", "m", "    x_test.go:3: wrong\n"), "::error file=sub/m/x_test.go,line=3,title=T failed on a::wrong\n"},
		{"at the root", fail("a", "m/root", "    x_test.go:3: wrong\n"), "::error file=x_test.go,line=3,title=T failed on a::wrong\n"},
		{"a full path", fail("a", "m", "    /w/fw/sub/m/x_test.go:3: wrong\n"), "::error file=sub/m/x_test.go,line=3,title=T failed on a::wrong\n"},
		{"elsewhere", fail("a", "m", "    /usr/x_test.go:3: wrong\n"), "::error title=T failed on a::wrong\n"},
		{"an unknown package", fail("a", "n", "    x_test.go:3: wrong\n"), "::error title=T failed on a::wrong\n"},
		{"nowhere", fail("a", "m", ""), "::error title=T failed on a::it printed nothing\n"},
		{"two kernels", append(fail("a", "m", "    x_test.go:3: one\n"), fail("b", "m", "    x_test.go:3: two\n")...),
			"::error file=sub/m/x_test.go,line=3,title=T failed on a%2C b::one\n"},
		{"two places", append(fail("a", "m", "    x_test.go:3: one\n"), fail("b", "m", "    x_test.go:4: two\n")...),
			"::error file=sub/m/x_test.go,line=3,title=T failed on a::one\n::error file=sub/m/x_test.go,line=4,title=T failed on b::two\n"},
		{"a finding", []result.Event{{Action: result.Finding, Reason: ".vmtest/blocklist.yaml:3:1: old", Hint: "remove it"}},
			"::warning file=sub/.vmtest/blocklist.yaml,line=3,title=blocklist::.vmtest/blocklist.yaml:3:1: old%0Aremove it\n"},
		{"a finding that counts", []result.Event{{Action: result.Finding, Reason: "/w/fw/b.yaml:3:1: old", Code: new(1)}},
			"::error file=b.yaml,line=3,title=blocklist::/w/fw/b.yaml:3:1: old\n"},
		{"a build", []result.Event{
			{Action: result.BuildOutput, ImportPath: "m", Output: "# m\n"},
			{Action: result.BuildOutput, ImportPath: "m", Output: "m/x_test.go:5:32: undefined: nothing\n"},
		}, "::error file=sub/m/x_test.go,line=5,title=m does not build::m/x_test.go:5:32: undefined: nothing\n"},
		{"a build without a place", []result.Event{{Action: result.BuildOutput, ImportPath: "m", Output: "no Go files\n"}},
			"::error title=m does not build::no Go files\n"},
		{"what looks like a command", fail("a", "m", "    x_test.go:3: %0A::error::x\r\x1b[1m ##[error]\n"),
			"::error file=sub/m/x_test.go,line=3,title=T failed on a::%250A::error::x ##[error]\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var m Matrix
			for _, e := range append([]result.Event{{Action: result.Header, Run: run}}, tt.events...) {
				_ = m.Event(e)
			}
			if got := annotations(t, &m); got != tt.want {
				t.Errorf("got\n%swant\n%s", got, tt.want)
			}
		})
	}
}

func TestAnnotationLimit(t *testing.T) {
	got := annotations(t, failing(25, 1))
	if n := strings.Count(got, "\n"); n != annotationLimit {
		t.Errorf("%d annotations", n)
	}
	if !strings.HasSuffix(got, "%0A%0A… and 15 more, in the job's summary\n") {
		t.Errorf("the rest is not counted:\n%s", got)
	}
	if err := failing(1, 1).WriteAnnotations(full{}); err == nil {
		t.Error("annotations that nobody gets are no error")
	}
}
