package report

import (
	"encoding/xml"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bpf-vmtest/bpf-vmtest/internal/result"
)

// gotestsumVersion is that of gotest.tools/gotestsum.
const gotestsumVersion = "v1.13.0"

// A goTestCount is what a reader of go test -json makes of a package.
type goTestCount struct {
	Tests, Failures, Skipped int
	Whole                    bool // it failed, and none of its tests did
}

// TestRealGotestsum has gotestsum read what is written for it, and compares its
// counts with the matrix.
func TestRealGotestsum(t *testing.T) {
	needReal(t)
	bin := t.TempDir()
	install := exec.Command("go", "install", "gotest.tools/gotestsum@"+gotestsumVersion)
	install.Env = append(os.Environ(), "GOBIN="+bin, "GOFLAGS=", "GOWORK=off")
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	eachStream(t, func(t *testing.T, name string, m *Matrix) {
		events := filepath.Join(t.TempDir(), "events.json")
		in, err := os.ReadFile(name + ".jsonl")
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		if err := result.Decode(strings.NewReader(string(in)), NewGoTest(&b)); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(events, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "junit.xml")
		cmd := exec.Command(filepath.Join(bin, "gotestsum"), "--raw-command", "--junitfile", file, "--", "cat", events)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("gotestsum: %v\n%s", err, out)
		}
		if diff := cmp.Diff(m.goTestCounts(), readGotestsum(t, file)); diff != "" {
			t.Errorf("the matrix has, and gotestsum counts (-want +got):\n%s", diff)
		}
	})
}

// readGotestsum reads gotestsum's counts. A package without a name is where it
// puts the output of compilers.
func readGotestsum(t *testing.T, file string) map[string]goTestCount {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var all struct {
		Suites []struct {
			Name     string `xml:"name,attr"`
			Tests    int    `xml:"tests,attr"`
			Failures int    `xml:"failures,attr"`
			Skipped  int    `xml:"skipped,attr"`
			Cases    []struct {
				Class string `xml:"classname,attr"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	counts := map[string]goTestCount{}
	for _, s := range all.Suites {
		if s.Name != "" {
			whole := len(s.Cases) > 0 && s.Cases[0].Class == ""
			counts[s.Name] = goTestCount{s.Tests, s.Failures, s.Skipped, whole}
		}
	}
	return counts
}

// goTestCounts are those that are right, by package, whose name begins with the
// kernel's where there are several.
func (m *Matrix) goTestCounts() map[string]goTestCount {
	counts := map[string]goTestCount{}
	for _, p := range m.pkgs() {
		if len(p.build) > 0 || p.untested {
			counts[p.path] = goTestCount{Whole: len(p.build) > 0}
		}
	}
	for _, k := range m.kernels {
		if n := len(k.splats); k.lost != nil || n > 0 {
			fails := k.lost != nil
			for _, e := range k.splats {
				fails = fails || e.Code != nil
			}
			counts[k.name] = goTestCount{Whole: fails}
		}
		for _, p := range m.pkgs() {
			if p.on(k).outcome == absent && len(p.tests) == 0 {
				continue
			}
			name := p.path
			if len(m.kernels) > 1 {
				name = k.name + " " + p.path
			}
			n := p.goTestCount(k)
			n.Whole = p.on(k).outcome.bad() && n.Failures == 0
			counts[name] = n
		}
	}
	return counts
}

func (p *pkg) goTestCount(k *kernel) (n goTestCount) {
	for _, t := range p.tests {
		c := t.cell(k)
		if c.outcome == absent {
			continue
		}
		n.Tests += max(1, c.runs) // a benchmark has no end
		n.Failures += c.failures
		for _, try := range append(c.earlier, c.try) {
			switch try.outcome {
			case notRun:
				n.Failures++
			case blocked, skipped:
				n.Skipped++
			}
		}
	}
	return n
}
