package report

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bpf-vmtest/bpf-vmtest/internal/result"
)

// needReal skips a test that has other people's programs read what is written,
// unless everything is to be tested.
func needReal(t *testing.T) {
	t.Helper()
	if os.Getenv("VMTEST_TESTS") != "all" {
		t.Skip("needs xmllint, prove, gotestsum and Chromium: set VMTEST_TESTS=all")
	}
}

// xpath has libxml2, which refuses what is not well-formed, look something up.
func xpath(t *testing.T, text, path string) string {
	t.Helper()
	cmd := exec.Command("xmllint", "--nonet", "--xpath", path, "-")
	cmd.Stdin = strings.NewReader(text)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("xmllint: %v\n%s", err, out)
	}
	return strings.TrimSuffix(string(out), "\n")
}

// TestRealJUnit has libxml2 count what there is, which has to be what is said.
func TestRealJUnit(t *testing.T) {
	needReal(t)
	eachStream(t, func(t *testing.T, name string, m *Matrix) {
		text := junitXML(t, m)
		said := xpath(t, text, `concat(/*/@tests, " ", /*/@failures, " ", /*/@errors, " ", sum(//testsuite/@skipped))`)
		there := xpath(t, text, `concat(count(//testcase), " ", count(//testcase/failure), " ", count(//testcase/error), " ", count(//testcase/skipped))`)
		if said != there {
			t.Errorf("tests, failures, errors, skipped: %s are said to be there, %s are", said, there)
		}
	})
}

// TestRealJUnitBytes has libxml2 read what XML cannot hold, or has a meaning in it.
func TestRealJUnitBytes(t *testing.T) {
	needReal(t)
	const (
		printed = "\x00\x01nul \x1b[31mred\x1b[0m ]]> </failure><testcase name='x'/> &amp; bad \xff\xc3( \ufffe \U0001f600\tend"
		message = "nul red ]]> </failure><testcase name='x'/> &amp; bad \ufffd( \U0001f600 end"
	)
	m := &Matrix{}
	for _, e := range []result.Event{
		{Action: result.Header, Run: &result.RunInfo{Kernels: []string{"a ]]> <b>"}, Packages: []string{"p"}}},
		{Action: result.Output, Kernel: "a ]]> <b>", Package: "p", Test: "Test/\x1b]]>", Output: "    p_test.go:3: " + printed + "\n"},
		{Action: result.Fail, Kernel: "a ]]> <b>", Package: "p", Test: "Test/\x1b]]>"},
	} {
		if err := m.Event(e); err != nil {
			t.Fatal(err)
		}
	}
	text := junitXML(t, m)
	for path, want := range map[string]string{
		"count(//testcase)":                  "1",
		"string(//property/@value)":          "a ]]> <b>",
		"string(//testcase/@name)":           "Test/\ufffd]]>",
		"string(//testcase/@classname)":      "a ]]> <b> p",
		"string(//failure/@message)":         message,
		"normalize-space(string(//failure))": "p_test.go:3: " + message,
	} {
		if got := xpath(t, text, path); got != want {
			t.Errorf("%s is %q, want %q", path, got, want)
		}
	}
}

// TestRealTAP has prove read TAP: it fails where the run did.
func TestRealTAP(t *testing.T) {
	needReal(t)
	eachStream(t, func(t *testing.T, name string, m *Matrix) {
		text := strings.Replace(tap(t, m), "version 14", "version 13", 1) // the last one it knows
		file := filepath.Join(t.TempDir(), "x.tap")
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command("prove", "--exec", "cat", file).CombinedOutput()
		if strings.Contains(string(out), "Parse errors") || (err != nil) != strings.Contains(text, "\nnot ok ") {
			t.Errorf("prove: %v\n%s", err, out)
		}
	})
}
