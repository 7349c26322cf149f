package blocklist

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bpf-vmtest/bpf-vmtest/internal/kver"
)

func mustParse(t *testing.T, yaml string) *List {
	t.Helper()
	entries, errs := parseYAML("blocklist.yaml", []byte(yaml))
	if errs != nil {
		t.Fatal(errs)
	}
	return &List{Entries: entries}
}

func entryFor(t *testing.T, test string, expect Expect) Entry {
	t.Helper()
	p, err := parseTestPattern(test)
	if err != nil {
		t.Fatal(err)
	}
	return Entry{test: p, Expect: expect, Reason: "test"}
}

func debian(version, arch string) Kernel {
	v, err := kver.Parse(version)
	if err != nil {
		panic(err)
	}
	return Kernel{Name: "debian:" + v.Series().String(), Version: v, Arch: arch}
}

// ran runs this binary's sample tests for real and returns those that ran.
func ran(t *testing.T, run, skip string) []string {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(exe, "-test.v", "-test.run="+run, "-test.skip="+skip).CombinedOutput()
	if err != nil {
		t.Fatalf("run with -test.run=%q -test.skip=%q: %v\n%s", run, skip, err, out)
	}
	var names []string
	for _, m := range regexp.MustCompile(`(?m)^=== RUN   (.*)$`).FindAllStringSubmatch(string(out), -1) {
		names = append(names, m[1])
	}
	return names
}

func TestSkipInRealBinary(t *testing.T) {
	const sample = "^TestSampl"
	all := ran(t, sample, "")
	if len(all) < 40 {
		t.Fatalf("only %d sample tests ran: %q", len(all), all)
	}
	patterns := []string{
		"TestSample", "TestSampleTwo", "TestSamplé", "TestSampl?", "TestSample[0-9]", "TestSample*", "TestS",
		"TestSample/a", "TestSample/a#01", "TestSample/a/leaf", "TestSample/ab", "TestSample/a.b", "TestSample/a?b",
		"TestSample/sub name", "TestSample/sub_name", "TestSample/x|y", "TestSample/(group)", `TestSample/\[]int`,
		`TestSample/a\*`, "TestSample/a*", "TestSample/dollar$", "TestSample/caret^", `TestSample/back\\slash`,
		"TestSample/tab\there", "TestSample/nul\x00", `TestSample/nul\\x00`, "TestSample/é", "TestSample//sys", "TestSample//sys/fs/bpf",
		"TestSample/", "TestSample/deep/er", "TestSample/deep", "TestSample/#hash", "TestSample/#00", "TestSample/#*",
		"TestSample/x+y", "TestSample/{2}", "TestSample/[|x/]", "TestSample/[^a-z]*", "TestSample/*/leaf",
	}
	check := func(t *testing.T, patterns ...string) {
		t.Helper()
		s := &Set{}
		for _, p := range patterns {
			if e, err := parseTestPattern(p); err == nil {
				s.entries = append(s.entries, Entry{test: e, Expect: Skip})
			}
		}
		var want []string
		for _, name := range all {
			if _, blocked := s.Match("p", name); !blocked {
				want = append(want, name)
			}
		}
		if diff := cmp.Diff(want, ran(t, sample, s.Skip("p", ""))); diff != "" {
			t.Errorf("%q, -test.skip=%s (-want +got):\n%s", patterns, s.Skip("p", ""), diff)
		}
	}
	for _, p := range patterns {
		check(t, p)
	}
	// A deeper pattern before a shorter one must not shadow it.
	check(t, "TestSample/a", "TestSample")
	check(t, "TestSample/a/leaf", "TestSample/a", "TestSample2", "TestSample/deep")
	check(t, slices.DeleteFunc(patterns, func(p string) bool { return p == "TestSample" || p == "TestSample*" || p == "TestSampl?" })...)
}

func TestSkipIsExact(t *testing.T) {
	for pattern, want := range map[string]string{
		"TestA":           `^TestA$`,
		"TestA/sub name":  `^TestA$/^sub_name$`,
		"TestA/a.b|c(d)$": `^TestA$/^a\.b\|c\(d\)\$$`,
		"TestA*/?":        `^TestA[^/]*$/^[^/]$`,
	} {
		s := &Set{entries: []Entry{entryFor(t, pattern, Skip)}}
		if got := s.Skip("p", ""); got != want {
			t.Errorf("Skip for %q = %s, want %s", pattern, got, want)
		}
	}
}

func TestSkipWithUsersPattern(t *testing.T) {
	s := &Set{entries: []Entry{entryFor(t, "TestSample/a", Skip), entryFor(t, "TestSample2", Skip)}}
	for user, want := range map[string]string{
		"":                `^TestSample2$|^TestSample$/^a$`,
		"Two":             `Two|^TestSample2$|^TestSample$/^a$`,
		"Sample/ab|Two":   `Two|^TestSample2$|Sample/ab|^TestSample$/^a$`,
		"(Two|x)/(a|b/c)": `^TestSample2$|(Two|x)/(a|b/c)|^TestSample$/^a$`,
		"[|/]":            `[|/]|^TestSample2$|^TestSample$/^a$`,
	} {
		if got := s.Skip("p", user); got != want {
			t.Errorf("Skip with -skip %q = %s, want %s", user, got, want)
		}
	}
	got := ran(t, "^TestSample", s.Skip("p", "Two|TestSample/^(s|x|[^a-z])"))
	want := []string{
		"TestSample", "TestSample/a#01", "TestSample/a#01/leaf", "TestSample/ab", "TestSample/ab/leaf", "TestSample/a.b", "TestSample/a.b/leaf",
	}
	if len(got) < len(want) || !slices.Equal(got[:len(want)], want) {
		t.Errorf("ran %q, want these first: %q", got, want)
	}
	if (*Set)(nil).Skip("p", "user") != "user" {
		t.Error("a nil set changes the user's pattern")
	}
}

func TestAllowlist(t *testing.T) {
	s := &Set{only: true, allowed: []Entry{entryFor(t, "TestSample/a", Skip), entryFor(t, "TestSampleTwo", Skip)}}
	for user, want := range map[string][]string{
		"":             {"TestSample", "TestSample/a", "TestSample/a/leaf", "TestSampleTwo"},
		"Two|2":        {"TestSampleTwo"},
		"Sample/.":     {"TestSample", "TestSample/a", "TestSample/a/leaf", "TestSampleTwo"},
		"Sample/b":     {"TestSampleTwo"},
		"2$":           nil,
		"Sample$/a/no": {"TestSample", "TestSample/a"},
	} {
		run, err := s.Run("p", user)
		if err != nil {
			t.Errorf("Run with %q: %v", user, err)
			continue
		}
		if diff := cmp.Diff(want, ran(t, run, "")); diff != "" {
			t.Errorf("-run %q became %s (-want +got):\n%s", user, run, diff)
		}
	}
	for test, blocked := range map[string]bool{"TestSample": false, "TestSample/a": false, "TestSample/a/leaf": false, "TestSample/ab": true, "TestSample2": true} {
		if _, got := s.Match("p", test); got != blocked {
			t.Errorf("Match(%q) = %v, want %v", test, got, blocked)
		}
	}
	s.allowed = []Entry{entryFor(t, "Test*Two", Skip)}
	if run, err := s.Run("p", "Sam"); err == nil {
		t.Errorf("a glob and a pattern were combined to %q", run)
	} else if h, ok := err.(interface{ Unwrap() error }); !ok || !strings.Contains(err.Error(), "neither is the name") {
		t.Errorf("error %v (%T)", err, h)
	}
}

func TestAllows(t *testing.T) {
	const file = `
- {splat: "WARNING: at kernel/trace/*.c ftrace_bug; *", kernel: 6.12, reason: one}
- {splat: "BUG: [*] +", package: example.org/m/..., reason: two}
- {test: TestA, reason: three}
`
	path := filepath.Join(t.TempDir(), "blocklist.yaml")
	if err := os.WriteFile(path, []byte(file), 0o644); err != nil {
		t.Fatal(err)
	}
	l, err := Load(path)
	if err != nil || len(l.Entries) != 1 {
		t.Fatal(l, err)
	}
	const bug = "WARNING: at kernel/trace/ftrace.c ftrace_bug; "
	for _, c := range []struct{ kernel, pkg, fingerprint, want string }{
		{"6.12.1", "p", bug + "load_module", "one"},
		{"6.12.1", "", bug, "one"},
		{"6.1.1", "p", bug + "load_module", ""},
		{"6.12.1", "p", "x" + bug, ""},
		{"6.1.1", "example.org/m/xdp", "BUG: [x y] +", "two"},
		{"6.1.1", "example.org/m/xdp", "BUG: x +", ""},
		{"6.1.1", "example.org/n", "BUG: [x y] +", ""},
		{"6.1.1", "", "BUG: [x y] +", ""},
	} {
		if e, ok := l.For(debian(c.kernel, "amd64")).Allows(c.pkg, c.fingerprint); e.Reason != c.want || ok != (c.want != "") {
			t.Errorf("%+v: %q, %v", c, e.Reason, ok)
		}
	}
	if _, ok := (*Set)(nil).Allows("p", bug); ok {
		t.Error("a nil set allows something")
	}
}

func TestForKernel(t *testing.T) {
	l := mustParse(t, `
- {test: TestOld, kernel: <5.15, reason: r}
- {test: TestRange, kernel: [6.1..6.6, 7.2], reason: r}
- {test: TestDebian, kernel: "debian:*", reason: r}
- {test: TestDebian510, kernel: "debian:5.10", reason: r}
- {test: TestDebianNew, kernel: "debian:>=6.6", reason: r}
- {test: TestRegistry, kernel: "ghcr.io/*/kernels:6.12", reason: r}
- {test: TestARM, arch: aarch64, reason: r}
- {test: TestAll, reason: r}
`)
	v := func(s string) kver.Version { x, _ := kver.FromRelease(s); return x }
	for _, c := range []struct {
		k    Kernel
		want string
	}{
		{Kernel{"debian:5.10", v("5.10.251"), "amd64"}, "TestOld TestDebian TestDebian510 TestAll"},
		{Kernel{"debian:bullseye", v("5.10.251"), "amd64"}, "TestOld TestDebian TestDebian510 TestAll"},
		{Kernel{"5.10.3", v("5.10.3"), "arm64"}, "TestOld TestARM TestAll"},
		{Kernel{"6.6", v("6.6.80"), "amd64"}, "TestRange TestAll"},
		{Kernel{"debian:6.12", v("6.12.3"), "amd64"}, "TestDebian TestDebianNew TestAll"},
		{Kernel{"ghcr.io/o/kernels:6.12@sha256:00", v("6.12.3"), "amd64"}, "TestRegistry TestAll"},
		{Kernel{"./bzImage", kver.Version{}, "amd64"}, "TestAll"},
	} {
		var got []string
		for _, e := range l.For(c.k).entries {
			got = append(got, e.Test())
		}
		if diff := cmp.Diff(strings.Fields(c.want), got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.k.Name, diff)
		}
	}
	if e, ok := (*List)(nil).For(Kernel{}).Match("p", "TestX"); ok {
		t.Errorf("a nil list blocks: %v", e)
	}
}

func TestPackages(t *testing.T) {
	for _, c := range []struct{ pattern, in, out string }{
		{"example.org/m/xdp", "example.org/m/xdp", "example.org/m/xdp2"},
		{"example.org/m/...", "example.org/m", "example.org/m2"},
		{"example.org/m/...", "example.org/m/a/b", "example.org"},
		{".../xdp", "example.org/m/xdp", "example.org/m/xdp/a"},
		{"example.org/*/xdp", "example.org/m/xdp", "example.org/m/n/xdp"},
		{"example.org/m.n", "example.org/m.n", "example.org/mxn"},
		{"...", "anything/at.all", ""},
	} {
		p, err := parsePackagePattern(c.pattern)
		if err != nil {
			t.Error(err)
			continue
		}
		if !p.match(c.in) || c.out != "" && p.match(c.out) {
			t.Errorf("%s: %s %v, %s %v", c.pattern, c.in, p.match(c.in), c.out, p.match(c.out))
		}
	}
	s := mustParse(t, "- {package: example.org/m/..., reason: r}").For(Kernel{})
	if got := s.Skip("example.org/m/a", "X/y"); got != ".|X/y" {
		t.Errorf("Skip of a whole package = %s", got)
	}
	if got := s.Skip("example.org/n", ""); got != "" {
		t.Errorf("Skip of another package = %s", got)
	}
}

func TestMatchPrefersTheMostPrecise(t *testing.T) {
	s := mustParse(t, `
- {test: TestX, expect: flaky, reason: flaky}
- {test: TestX/a, expect: fail, reason: fail}
- {test: TestX/a/skip, reason: skip}
- {test: TestX/*/skip, expect: fail, reason: never}
`).For(Kernel{})
	for test, want := range map[string]string{"TestX": "flaky", "TestX/b": "flaky", "TestX/a": "fail", "TestX/a/b": "fail", "TestX/a/skip": "skip", "TestX2": ""} {
		if e, _ := s.Match("p", test); e.Reason != want {
			t.Errorf("Match(%q) = %q, want %q", test, e.Reason, want)
		}
	}
}

func TestExcused(t *testing.T) {
	s := mustParse(t, `
- {test: TestX/known, expect: fail, reason: known}
- {test: TestY, expect: flaky, reason: flaky}
`).For(Kernel{})
	for _, c := range []struct{ failed, excused []string }{
		{[]string{"TestX", "TestX/known"}, []string{"TestX", "TestX/known"}},
		{[]string{"TestX", "TestX/known", "TestX/new"}, []string{"TestX/known"}},
		{[]string{"TestX", "TestX/known", "TestX/known/deep"}, []string{"TestX", "TestX/known", "TestX/known/deep"}},
		{[]string{"TestX"}, nil},
		{[]string{"TestY", "TestY/any", "TestZ"}, []string{"TestY", "TestY/any"}},
	} {
		var got []string
		for name := range s.Excused("p", c.failed) {
			got = append(got, name)
		}
		slices.Sort(got)
		if diff := cmp.Diff(c.excused, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", c.failed, diff)
		}
	}
}
