package blocklist

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/rogpeppe/go-internal/txtar"
)

// write unpacks a txtar archive into a new directory.
func write(t *testing.T, archive string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for _, f := range txtar.Parse([]byte(archive)).Files {
		name := filepath.Join(dir, filepath.FromSlash(f.Name))
		if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, f.Data, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestYAML(t *testing.T) {
	got := mustParse(t, `# comment
- kernel: 5.10        # not the number 5.1
  test: TestA
  reason: no ctx_in
- test:
    - TestB/sub name
    - "TestC/x: y"
  package: example.org/m
  arch: [amd64, aarch64]
  kernel: ["<5.15", "debian:*"]
  issue: https://example.org/1
  expires: 2027-03-31
  expect: fail
  reason: >-
    two
    lines
`).Entries
	want := []Entry{
		{Pos: Pos{File: "blocklist.yaml", Line: 2, Column: 3}, Reason: "no ctx_in", Expect: Skip},
		{Pos: Pos{File: "blocklist.yaml", Line: 6, Column: 7}, Reason: "two lines", Expect: Fail, Issue: "https://example.org/1", Expires: time.Date(2027, 3, 31, 0, 0, 0, 0, time.UTC)},
		{Pos: Pos{File: "blocklist.yaml", Line: 7, Column: 7}, Reason: "two lines", Expect: Fail, Issue: "https://example.org/1", Expires: time.Date(2027, 3, 31, 0, 0, 0, 0, time.UTC)},
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(Entry{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	var tests []string
	for _, e := range got {
		tests = append(tests, e.Test())
	}
	if diff := cmp.Diff([]string{"TestA", "TestB/sub name", "TestC/x: y"}, tests); diff != "" {
		t.Errorf("tests (-want +got):\n%s", diff)
	}
}

func TestYAMLAcceptsWindowsFiles(t *testing.T) {
	for name, text := range map[string]string{
		"CRLF":     "- test: TestA\r\n  reason: why\r\n",
		"BOM":      "\ufeff- test: TestA\n  reason: why\n",
		"both":     "\ufeff- test: TestA\r\n  reason: |\r\n    why\r\n",
		"no end":   "- test: TestA\n  reason: why",
		"document": "---\n- test: TestA\n  reason: why\n",
	} {
		entries := mustParse(t, text).Entries
		if len(entries) != 1 || entries[0].Test() != "TestA" || entries[0].Reason != "why" {
			t.Errorf("%s: %+v", name, entries)
		}
	}
	for _, text := range []string{"", "\ufeff", "# nothing\n", "[]", "---\n"} {
		if l := mustParse(t, text); len(l.Entries) != 0 {
			t.Errorf("%q: %+v", text, l)
		}
	}
}

func TestYAMLErrors(t *testing.T) {
	for _, c := range []struct{ name, text, want, hint string }{
		{"unknown field", "- test: TestA\n  resaon: x\n  reason: x\n", `f:2:3: unknown field "resaon"`, "fields are kernel"},
		{"no reason", "- test: TestA\n", "f:1:3: entry has no reason", "say why"},
		{"empty reason", "- test: TestA\n  reason: ''\n", "f:2:11: empty reason", "say why"},
		{"blank reason", "- test: TestA\n  reason: ' '\n", "f:2:11: empty reason", "say why"},
		{"null reason", "- test: TestA\n  reason:\n", "f:2:10: empty reason", "say why"},
		{"twice", "- test: TestA\n  test: TestB\n  reason: x\n", `f:2:3: field "test" is given twice`, "YAML list"},
		{"tab", "- test: TestA\n\treason: x\n", "f:2:1: tab in the indentation", "spaces"},
		{"bad range", "- {test: TestA, kernel: 5.x, reason: x}\n", `f:1:25: parse kernel range "5.x"`, "<5.15"},
		{"unquoted range", "- test: TestA\n  kernel: >=6.1\n  reason: x\n", "f:2:", "double quotes"},
		{"negated range", "- test: TestA\n  kernel: !=6.1\n  reason: x\n", "f:2:11: ", "double quotes"},
		{"two ranges", "- test: TestA\n  kernel: \">=6.1, <6.6\"\n  reason: x\n", "f:2:11: parse kernel range", "6.1..6.6"},
		{"unknown name", "- test: TestA\n  kernel: v6.1\n  reason: x\n", "f:2:11: parse kernel range", "6.1..6.6"},
		{"arch", "- test: TestA\n  arch: x86-64\n  reason: x\n", `f:2:9: unknown architecture "x86-64"`, "amd64"},
		{"bad glob", "- test: TestA/[]int\n  reason: x\n", `f:1:9: test "TestA/[]int": bad glob`, `\`},
		{"second bad", "- test: [TestA, 'Test[']\n  reason: x\n", `f:1:17: test "Test["`, `\`},
		{"backwards class", "- test: Test[z-a]\n  reason: x\n", `f:1:9: test`, `\`},
		{"relative package", "- package: ./xdp\n  reason: x\n", `f:1:12: package "./xdp" is a path`, "import path"},
		{"no subject", "- kernel: 6.1\n  reason: x\n", "f:1:3: entry names neither", "..."},
		{"expect", "- test: TestA\n  expect: xfail\n  reason: x\n", `f:2:11: unknown expectation "xfail"`, "flaky"},
		{"date", "- test: TestA\n  expires: 2027-02-30\n  reason: x\n", `f:2:12: expires "2027-02-30" is not a date`, "YEAR-MONTH-DAY"},
		{"mapping", "test: TestA\nreason: x\n", "f:1:1: not a list", "dash"},
		{"scalar entry", "- TestA\n", "f:1:3: not an entry", "dash"},
		{"nested", "- test: {a: b}\n  reason: x\n", "f:1:9: not a plain value", ""},
		{"list", "- test: TestA\n  reason: [a, b]\n", `f:2:11: field "reason" is a list`, "kernel, arch and test"},
		{"empty list", "- test: []\n  reason: a\n", `f:1:9: field "test" is an empty list`, "leave"},
		{"alias", "- test: &a TestA\n  reason: a\n", "anchors and aliases", "quotes"},
		{"second document", "- {test: TestA, reason: x}\n---\n- {test: TestB, reason: x}\n", "f:2:1: second YAML document", "---"},
		{"not UTF-8", "- test: TestA\n  reason: caf\xe9\n", "f:2:1: not valid UTF-8", "UTF-8"},
		{"unclosed", "- test: \"TestA\n  reason: x\n", "f:", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, errs := parseYAML("f", []byte(c.text))
			if errs == nil {
				t.Fatal("no error")
			}
			if !strings.HasPrefix(errs.Error(), c.want) && !strings.Contains(errs[0].Msg, c.want) {
				t.Errorf("got  %s\nwant %s", errs, c.want)
			}
			if !strings.Contains(errs.Hint(), c.hint) || errs.Hint() == "" {
				t.Errorf("hint %q, want %q", errs.Hint(), c.hint)
			}
			if len(errs) != 1 {
				t.Errorf("%d errors:\n%s", len(errs), errs)
			}
		})
	}
}

func TestAllErrorsAtOnce(t *testing.T) {
	dir := write(t, `
-- a.yaml --
- test: TestA
  resaon: x
  kernel: [5.x, 6.1]
- expect: nothing
  reason: ""
  test: ok
-- DENYLIST --
TestOK # why
Test[ # bad
`)
	a, d, none := filepath.Join(dir, "a.yaml"), filepath.Join(dir, "DENYLIST"), filepath.Join(dir, "none.yaml")
	_, err := Load(a, d, none)
	var errs Errors
	if !errors.As(err, &errs) {
		t.Fatalf("error %v is a %T", err, err)
	}
	want := []string{
		a + `:2:3: unknown field "resaon"`,
		a + `:3:12: parse kernel range "5.x": `,
		a + `:1:3: entry has no reason`,
		a + `:4:11: unknown expectation "nothing"`,
		a + `:5:11: empty reason`,
		d + `:2:1: test "Test[": bad glob`,
		`read "` + none + `": no such file`,
	}
	for _, w := range want {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("no %q in:\n%v", w, err)
		}
	}
	if len(errs) != len(want) || errs.ExitCode() != 2 {
		t.Errorf("%d errors, exit code %d", len(errs), errs.ExitCode())
	}
}

func TestFind(t *testing.T) {
	dir := write(t, `
-- .vmtest/blocklist.yaml --
-- .vmtest/DENYLIST --
-- .vmtest/DENYLIST.arm64 --
-- .vmtest/ALLOWLIST-5.10 --
-- .vmtest/README --
`)
	got, err := Find(dir)
	want := []string{"ALLOWLIST-5.10", "DENYLIST", "blocklist.yaml"}
	for i := range want {
		want[i] = filepath.Join(dir, ".vmtest", want[i])
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if got, err := Find(t.TempDir()); err != nil || got != nil {
		t.Errorf("without a directory: %q, %v", got, err)
	}
	if _, err := Find(write(t, "-- .vmtest/blocklist.yml --\n")); err == nil || !strings.Contains(err.Error(), "blocklist.yml") {
		t.Errorf("blocklist.yml: %v", err)
	}
}

func TestDenylist(t *testing.T) {
	dir := write(t, `
-- DENYLIST --
# TEMPORARY
TestA            # spams the log
TestB/sub#01	# a number is not a comment

  TestC*
-- DENYLIST.aarch64 --
TestARM # no BPF trampoline
-- DENYLIST-5.10 --
Test510 # too old
-- DENYLIST.orig --
TestOrig
-- ALLOWLIST-7.2 --
TestOnly # quick look
`)
	l, err := Load(filepath.Join(dir, "DENYLIST"), filepath.Join(dir, "ALLOWLIST-7.2"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		k    Kernel
		want string
	}{
		{debian("6.1", "amd64"), `^TestA$|^TestC[^/]*$|^TestB$/^sub#01$`},
		{debian("5.10.3", "amd64"), `^Test510$|^TestA$|^TestC[^/]*$|^TestB$/^sub#01$`},
		{debian("6.1", "arm64"), `^TestARM$|^TestA$|^TestC[^/]*$|^TestB$/^sub#01$`},
	} {
		got := strings.Split(l.For(c.k).Skip("p", ""), "|")
		want := strings.Split(c.want, "|")
		if diff := cmp.Diff(want, got, cmpopts.SortSlices(strings.Compare)); diff != "" {
			t.Errorf("%v (-want +got):\n%s", c.k, diff)
		}
		if run, _ := l.For(c.k).Run("p", "X"); run != "X" {
			t.Errorf("%v: -run %s", c.k, run)
		}
	}
	if run, _ := l.For(debian("7.2", "amd64")).Run("p", ""); run != "^TestOnly$" {
		t.Errorf("-run %s on 7.2", run)
	}
	e, _ := l.For(debian("6.1", "amd64")).Match("p", "TestB/sub#01/x")
	if e.Reason != "a number is not a comment" || e.Line != 3 || e.Column != 1 {
		t.Errorf("entry %+v", e)
	}
	if e := l.Entries[2]; e.Reason == "" || e.Line != 5 || e.Column != 3 {
		t.Errorf("entry %+v", e)
	}
	if len(l.Ignored) != 1 || !strings.Contains(l.Ignored[0], "DENYLIST.orig") {
		t.Errorf("ignored %q", l.Ignored)
	}
	for _, bad := range []string{"TestA TestB # two", "/x # slash", "Test\xff # bytes"} {
		if _, errs := parseLines("f", []byte(bad), condition{}); len(errs) != 1 || errs.Hint() == "" {
			t.Errorf("%q: %v", bad, errs)
		}
	}
}
