package report

import (
	"bytes"
	"encoding/xml"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/joshdk/go-junit"

	"github.com/bpf-vmtest/bpf-vmtest/internal/result"
)

func junitXML(t *testing.T, m *Matrix) string {
	t.Helper()
	var b strings.Builder
	if err := m.WriteJUnit(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestJUnit(t *testing.T) {
	eachChosen(t, func(t *testing.T, name string, m *Matrix) {
		checkGolden(t, name+".xml", junitXML(t, m))
	})
}

// TestJUnitRead has another program read what is written.
func TestJUnitRead(t *testing.T) {
	eachStream(t, func(t *testing.T, name string, m *Matrix) {
		text := junitXML(t, m)
		suites, err := junit.Ingest([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		var all struct {
			Tests    int `xml:"tests,attr"`
			Failures int `xml:"failures,attr"`
			Errors   int `xml:"errors,attr"`
			Suites   []struct {
				Skipped int `xml:"skipped,attr"`
			} `xml:"testsuite"`
		}
		if err := xml.Unmarshal([]byte(text), &all); err != nil {
			t.Fatal(err)
		}
		var sum junit.Totals
		for _, s := range suites {
			sum.Tests += s.Totals.Tests
			sum.Failed += s.Totals.Failed
			sum.Error += s.Totals.Error
			sum.Skipped += s.Totals.Skipped
		}
		want := junit.Totals{Tests: all.Tests, Failed: all.Failures, Error: all.Errors}
		for _, s := range all.Suites {
			want.Skipped += s.Skipped
		}
		if diff := cmp.Diff(want, sum); diff != "" {
			t.Errorf("totals written and read (-want +got):\n%s", diff)
		}
	})
}

// TestJUnitOutcomes reads back how each test ended.
func TestJUnitOutcomes(t *testing.T) {
	suites, err := junit.Ingest([]byte(junitXML(t, gathered(t, "testdata/every.jsonl"))))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]junit.Test{}
	for _, s := range suites {
		for _, test := range s.Tests {
			got[s.Name+" "+test.Name] = test
			if test.Classname != s.Name {
				t.Errorf("%s has class %s in suite %s", test.Name, test.Classname, s.Name)
			}
		}
	}
	const kernels612 = "ghcr.io/bpf-vmtest/kernels:6.12@sha256:2b8a8f4b1d0f2f1c3e6d9a5e7c4b3a291817161514131211100f0e0d0c0b0a09"
	for _, tt := range []struct {
		test    string
		status  junit.Status
		message string
	}{
		{"debian:6.1 example.org/fw/attach TestLoad", "passed", ""},
		{"debian:5.10 example.org/fw/attach TestLoad", "failed", "load program: permission denied: invalid bpf_context access off=76 size=4"},
		{"debian:5.10 example.org/fw/attach TestFuture", "skipped", "needs Linux 99.0"},
		{"debian:5.10 example.org/fw/attach TestKfunc", "skipped", "blocked: kfuncs need 6.2 (https://example.org/fw/issues/7), at .vmtest/blocklist.yaml:3"},
		{"debian:5.10 example.org/fw/parse TestKnown", "passed", ""},       // as expected
		{kernels612 + " example.org/fw/parse TestMended", "passed", ""},    // not as expected
		{"debian:6.1 example.org/fw/attach TestRace", "passed", ""},        // the second time
		{"debian:5.10 example.org/fw/parse TestSometimes", "passed", ""},   // known to be flaky
		{"debian:5.10 example.org/fw/bench BenchmarkLookup", "passed", ""}, // measured
		{kernels612 + " example.org/fw/link TestMany", "failed", "file descriptor 7 is still open"},
		{kernels612 + " example.org/fw/internal/hostile TestPanics", "error", "panic: runtime error: invalid memory address or nil pointer dereference [recovered]"},
		{kernels612 + " fault 1", "failed", "WARNING: CPU: 0 PID: 163 at net/core/dev.c:1234 attach+0x10/0x20"},
		{"debian:6.18 example.org/fw/attach TestCrash", "error", "the kernel panicked while attach.test was running"},
		{"debian:6.18 example.org/fw/parse TestDouble", "error", "did not run: the kernel panicked while attach.test was running, in TestCrash of example.org/fw/attach"},
		{"debian:6.18 kernel", "error", "the kernel panicked while attach.test was running, in TestCrash of example.org/fw/attach"},
		{"./bzImage-next kernel", "error", "the kernel panicked before init said hello"},
		{"debian:5.10 example.org/fw/internal/hostile package", "error", "exit status 3"},
		{"example.org/fw/broken build", "error", "it does not build"},
	} {
		test, seen := got[tt.test]
		if !seen || test.Status != tt.status || test.Message != tt.message {
			t.Errorf("%s: %t, %s, %q; want %s, %q", tt.test, seen, test.Status, test.Message, tt.status, tt.message)
		}
	}
}

// FuzzJUnit puts anything into the places of the XML that others fill.
func FuzzJUnit(f *testing.F) {
	for _, s := range []string{"plain", "]]></failure>", "<!--", "&lt;", "\x00\x1b[31m\xff", "\ufffe", "a\r\nb"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var m Matrix
		for _, e := range []result.Event{
			{Action: result.Header, Run: &result.RunInfo{Kernels: []string{"k"}, Dirs: map[string]string{"p": s}}},
			{Action: result.Kernel, Kernel: "k", Machine: &result.MachineInfo{Release: s}},
			{Action: result.Output, Kernel: "k", Package: "p", Test: "T/" + s, Output: s + "\n"},
			{Action: result.Fail, Kernel: "k", Package: "p", Test: "T/" + s, Reason: s},
			{Action: result.Output, Kernel: "k", Package: "p", Test: "T/" + s, Output: s + "\n"},
			{Action: result.Fail, Kernel: "k", Package: "p", Test: "T/" + s, Attempt: 2},
			{Action: result.Splat, Kernel: "k", Reason: s, Lines: strings.Split(s, "\n")},
			{Action: result.BuildOutput, ImportPath: "p", Output: s},
		} {
			_ = m.Event(e)
		}
		var b bytes.Buffer
		if err := m.WriteJUnit(&b); err != nil {
			t.Fatal(err)
		}
		for dec := xml.NewDecoder(bytes.NewReader(b.Bytes())); ; {
			token, err := dec.Token()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatalf("%v:\n%s", err, b.Bytes())
			}
			if e, ok := token.(xml.StartElement); ok && !strings.Contains(" testsuites testsuite properties property testcase failure error skipped rerunFailure stackTrace system-out ", " "+e.Name.Local+" ") {
				t.Errorf("element %s:\n%s", e.Name.Local, b.Bytes())
			}
		}
	})
}
