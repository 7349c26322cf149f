package gotest

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const selectionTests = `package m

import "testing"

func sub(t *testing.T) { t.Run("a", func(t *testing.T) {}); t.Run("b", func(t *testing.T) {}) }

func Test(t *testing.T)        { sub(t) }
func TestA(t *testing.T)       { sub(t) }
func TestAB(t *testing.T)      { sub(t) }
func TestB_x(t *testing.T)     { sub(t) }
func TestÜmlaut(t *testing.T)  { sub(t) }
func Test1(t *testing.T)       { sub(t) }
`

func TestNarrow(t *testing.T) {
	for _, tt := range []struct{ pattern, want string }{
		{"", "^TestA$|^Test1$"},
		{"TestA", "^TestA$"},
		{"TestA/a|TestB_x", "^TestA$/a"},
		{"/b", "^TestA$/b|^Test1$/b"},
		{"^(TestA|Test1)$/^a$", "^TestA$/^a$|^Test1$/^a$"},
		{"TestB_x", "^$"},
	} {
		got := Narrow(tt.pattern, []string{"TestA", "Test1"})
		if got != tt.want {
			t.Errorf("%q: %q, want %q", tt.pattern, got, tt.want)
		}
		p, err := ParsePattern(got)
		if err != nil || p.MatchTop("TestAB") || p.MatchTop("Test") {
			t.Errorf("%q: %q matches others, or nothing: %v", tt.pattern, got, err)
		}
	}
}

// TestPatternAgrees compares with what real binaries run: a test that is
// expected must report, and none that is not expected may.
func TestPatternAgrees(t *testing.T) {
	binary := buildTests(t, selectionTests)
	names := []string{"Test", "TestA", "TestAB", "TestB_x", "TestÜmlaut", "Test1"}
	patterns := []string{
		"", ".", "TestA", "^TestA$", "^TestA$|^Test1$", "TestA/a", "TestA/a|TestB_x", "/a", "Test/", "//", "|",
		"TestA|", "^(TestA|Test1)$", "^(TestA|Test1)$/^a$", "Test[A/]", "Test[A|1]$", "TestB x", "Ü", "(?i)testa$",
		`Test\d`, `Test\w/b`, "^Test$", "^$", "NoSuch", "TestA/no such", "[[:upper:]]B", "]", "a{1}",
	}
	for _, run := range patterns {
		for _, skip := range []string{"", "TestA", "^TestA$", "TestA/a", "^TestAB$|^Test1$", "/", "TestB_x|TestA/b", "(TestA|Test1)$"} {
			out, err := exec.Command(binary, "-test.v", "-test.run="+run, "-test.skip="+skip).CombinedOutput()
			if err != nil {
				t.Fatalf("-run %q -skip %q: %v\n%s", run, skip, err, out)
			}
			var want []string
			for line := range strings.Lines(string(out)) {
				if name, ok := strings.CutPrefix(line, "=== RUN   "); ok && !strings.Contains(name, "/") {
					want = append(want, strings.TrimSpace(name))
				}
			}
			if diff := cmp.Diff(want, expected(t, names, run, skip)); diff != "" {
				t.Errorf("-run %q -skip %q (-testing +ours):\n%s", run, skip, diff)
			}
		}
	}
}

func expected(t *testing.T, names []string, run, skip string) []string {
	t.Helper()
	parse := func(s string) Pattern {
		if s == "" {
			return nil
		}
		p, err := ParsePattern(s)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	var got []string
	for _, name := range names {
		if Expects(Test{Name: name}, parse(run), parse(skip)) {
			got = append(got, name)
		}
	}
	return got
}

func TestBadPattern(t *testing.T) {
	for _, s := range []string{"(", "[", "a/(", "a|[z-a]", "*", `\`} {
		if _, err := ParsePattern(s); err == nil || !strings.HasPrefix(err.Error(), "parse pattern ") {
			t.Errorf("ParsePattern(%q) = %v", s, err)
		}
	}
}

func TestBinaryArguments(t *testing.T) {
	f := Flags{Count: 1, Bench: ".", Pass: []string{"-test.short=true"}, Args: []string{"-test.v=false"}}
	args := f.Binary("TestA b", "", "/c.out", "/a")
	for _, want := range []string{"-test.v=test2json", "-test.paniconexit0", "-test.timeout=0s", "-test.run=TestA b", "-test.bench=.", "-test.coverprofile=/c.out", "-test.artifacts", "-test.outputdir=/a"} {
		if !slices.Contains(args, want) {
			t.Errorf("no %s in %q", want, args)
		}
	}
	if args[len(args)-1] != "-test.v=false" {
		t.Errorf("the user's arguments are not the last: %q", args)
	}
	if slices.ContainsFunc(args, func(a string) bool { return strings.HasPrefix(a, "-test.skip") }) {
		t.Errorf("-skip without a pattern: %q", args)
	}
}
