package gotest

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What the go command takes for tests, and what only looks like one.
const namesTests = `package m

import (
	"fmt"
	"testing"
	tt "testing"
)

type T = testing.T
type suite struct{}

func Test(t *testing.T)                 {}
func TestX(t *testing.T)                {}
func TestAlias(t *tt.T)                 {}
func TestTypeAlias(t *T)                {}
func TestUnnamed(*testing.T)            {}
func TestBlank(_ *testing.T)            {}
func Test_under(t *testing.T)           {}
func Test1(t *testing.T)                {}
func TestÄ(t *testing.T)                {}
func Testify(t *testing.T)              {}
func Testä(t *testing.T)                {}
func testLower(t *testing.T)            {}
func (suite) TestMethod(t *testing.T)   {}
func TestMain(m *testing.M)             { m.Run() }

func BenchmarkX(b *testing.B)           {}
func Benchmarks(b *testing.B)           {}
func FuzzX(f *testing.F)                {}
func Fuzzy(f *testing.F)                {}

func Example()                          { fmt.Println("x") /* Output: not at the end */; fmt.Println() }
func ExampleOut() {
	fmt.Println("x")
	// Output: x
}
func ExampleOut_second() {
	fmt.Println("x")
	// output: x
}
func ExampleUnordered() {
	fmt.Println("x")
	// Unordered output: x
}
func ExampleEmpty() {
	// Output:
}
func ExampleCompiledOnly() { fmt.Println("x") }
func Examplelower() {
	fmt.Println("x")
	// Output: x
}
func ExampleResult() int {
	return 1
	// Output:
}
`

const externalTests = `package m_test

import . "testing"

func TestExternal(t *T) {}
func TestDot(t *T)      {}
func TestGenericLike[P any](t *T) {}
`

// TestListAgrees compares the tests that are expected with those that real
// binaries list.
func TestListAgrees(t *testing.T) {
	dir := writeModule(t, map[string]string{
		"m.go": "package m\n\nfunc Out() {}\n", "m_test.go": namesTests, "x_test.go": strings.Replace(externalTests, "func TestGenericLike[P any](t *T) {}\n", "", 1),
		"other_linux_test.go":   "package m\n\nimport \"testing\"\n\nfunc TestHere(t *testing.T) {}\n",
		"other_windows_test.go": "package m\n\nimport \"testing\"\n\nfunc TestElsewhere(t *testing.T) {}\n",
		"tagged_test.go":        "//go:build special\n\npackage m\n\nimport \"testing\"\n\nfunc TestTagged(t *testing.T) {}\n",
	})
	for _, flags := range [][]string{nil, {"-tags=special"}} {
		g := Go{Dir: dir, Env: os.Environ(), BuildFlags: flags}
		packages, err := g.List(t.Context(), []string{"./..."})
		if err != nil || len(packages) != 1 {
			t.Fatal(packages, err)
		}
		binary := filepath.Join(dir, "bin", "m.test")
		if out, ok, err := g.Compile(t.Context(), packages[0], binary); err != nil || !ok {
			t.Fatal(out, err)
		}
		out, err := exec.Command(binary, "-test.list=.").Output()
		if err != nil {
			t.Fatal(err)
		}
		want := strings.Fields(string(out))
		var got []string
		for _, test := range packages[0].Tests {
			got = append(got, test.Name)
			if test.Line == 0 || test.File == "" {
				t.Errorf("%s is nowhere: %v", test.Name, test)
			}
		}
		slices.Sort(want)
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%v (-the binary's list +ours):\n%s", flags, diff)
		}
	}
}

func TestListBroken(t *testing.T) {
	dir := writeModule(t, map[string]string{
		"good/g_test.go":    "package good\n\nimport \"testing\"\n\nfunc TestG(t *testing.T) {}\n",
		"syntax/s_test.go":  "package syntax\n\nfunc TestS(t *testing.T {}\n",
		"two/a.go":          "package a\n",
		"two/b.go":          "package b\n",
		"none/n.go":         "package none\n",
		"missing/m_test.go": "package missing\n\nimport _ \"example.com/no/such\"\n",
	})
	g := Go{Dir: dir, Env: append(os.Environ(), "GOPROXY=off", "GOFLAGS=")}
	packages, err := g.List(t.Context(), []string{"./...", "m/nowhere"})
	if err != nil {
		t.Fatal(err)
	}
	broken := map[string]bool{}
	for _, p := range packages {
		_, ok, err := g.Compile(t.Context(), p, filepath.Join(dir, "bin", "x.test"))
		if err != nil {
			t.Errorf("%s: %v", p.ImportPath, err)
		}
		broken[p.ImportPath] = p.Broken != "" || !ok
	}
	want := map[string]bool{"m/good": false, "m/none": false, "m/syntax": true, "m/two": true, "m/missing": true, "m/nowhere": true}
	if diff := cmp.Diff(want, broken); diff != "" {
		t.Errorf("broken packages (-want +got):\n%s", diff)
	}
	if nothing, err := g.List(t.Context(), []string{"./nothing/..."}); err == nil && nothing[0].Broken == "" {
		t.Error("a pattern that matches nothing is no error")
	}
}

func TestNoToolchain(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	g := Go{Dir: t.TempDir(), Env: os.Environ()}
	_, envErr := g.Environment(t.Context())
	_, listErr := g.List(t.Context(), []string{"."})
	for _, err := range []error{envErr, listErr} {
		if hinted, ok := err.(interface{ Hint() string }); !ok || hinted.Hint() == "" {
			t.Errorf("without go: %v", err)
		}
	}
}
