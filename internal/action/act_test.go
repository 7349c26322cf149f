package action

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// actVersion is that of github.com/nektos/act.
const actVersion = "v0.2.89"

// TestAct runs a workflow with the Action, as GitHub would, but for the virtual
// machine around it.
func TestAct(t *testing.T) {
	if os.Getenv("VMTEST_TESTS") != "act" {
		t.Skip("compiles act and boots kernels, which takes minutes: VMTEST_TESTS=act runs it")
	}
	bin := t.TempDir()
	install := exec.Command("go", "install", "github.com/nektos/act@"+actVersion)
	install.Env = append(os.Environ(), "GOBIN="+bin, "GOFLAGS=", "GOWORK=off")
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	a := act{program: filepath.Join(bin, "act"), kept: t.TempDir()}

	table := ""
	t.Run("Kernels", func(t *testing.T) {
		log, out := a.run(t, "kernels")
		expectOutputs(t, out, map[string]string{"outcome": "failure", "code": "1", "failed": "1", "passed": "21"})
		digests := map[string]string{}
		if err := json.Unmarshal([]byte(out["digests"]), &digests); err != nil || len(digests) != 2 {
			t.Errorf("digests %q, %v", out["digests"], err)
		}
		for _, name := range []string{"results", "junit", "html", "table", "coverage"} {
			if info, err := os.Stat(filepath.Join(a.results, "vmtest-results", filepath.Base(out[name]))); err != nil || info.Size() == 0 {
				t.Errorf("output %s: %q: %v", name, out[name], err)
			}
		}
		table = a.read(t, "vmtest-results/table.txt")
		if _, err := os.Stat(filepath.Join(a.results, "vmtest-results/bundle/debian_5.10/console.log")); err != nil {
			t.Error(err)
		}
		expect(t, log, `❗  ::error file=examples/xdp/xdp_test.go,line=\d+,title=TestMark.* failed on debian%3A5\.10::`, 1)
		expect(t, log, `❗`, 1)
		expect(t, log, `Summary - ## ❌ vmtest: 21 passed, 1 failed on 2 kernels`, 2)
	})
	t.Run("Matrix", func(t *testing.T) {
		_, out := a.run(t, "joined")
		expectOutputs(t, out, map[string]string{"outcome": "failure", "code": "1", "failed": "1", "passed": "21"})
		if legs, _ := filepath.Glob(filepath.Join(a.results, "legs/*/results.jsonl")); len(legs) != 4 {
			t.Errorf("legs %q, want 4", legs)
		}
		if got := a.read(t, "vmtest-results/table.txt"); got != table {
			t.Errorf("four jobs make the table\n%swant that of one\n%s", got, table)
		}
	})
	t.Run("Hostile", func(t *testing.T) {
		log, out := a.run(t, "hostile")
		expectOutputs(t, out, map[string]string{"outcome": "failure", "code": "1", "failed": "3", "passed": "1", "forged": ""})
		// Errors are those of failing assertions, at their lines.
		expect(t, log, `❗  ::error (file=internal/action/testdata/act/hostile/hostile_test.go,line=\d+,)?title=Test`, 3)
		expect(t, log, `❗`, 3)
		for _, command := range []string{`⚙  ::(error|stop-commands|add-mask|add-path::/forged|set-env|set-output )`, `⚙  \*\*\*`, `💾`, `::set-output:: forged`} {
			expect(t, log, command, 0)
		}
		expect(t, log, `\| \\::stop-commands::forged`, 2)
		expect(t, log, `Summary - ## ❌ vmtest: 1 passed, 3 failed on 1 kernel`, 2)
		expect(t, log, `^ +&lt;script&gt;alert`, 2) // act prints a summary twice
	})
	t.Run("Cached", func(t *testing.T) {
		if kept, _ := filepath.Glob(filepath.Join(a.kept, "cache", "*.tar")); len(kept) != 0 {
			t.Errorf("kernels of this machine are kept once more: %q", kept)
		}
	})
}

// expectOutputs checks outputs of the Action, some of them.
func expectOutputs(t *testing.T, out, want map[string]string) {
	t.Helper()
	for name, value := range want {
		if out[name] != value {
			t.Errorf("%s is %q, want %q", name, out[name], value)
		}
	}
}

// expect looks for lines of the log.
func expect(t *testing.T, log, pattern string, times int) {
	t.Helper()
	re := regexp.MustCompile(pattern)
	var found []string
	for line := range strings.Lines(log) {
		if re.MatchString(line) {
			found = append(found, strings.TrimSpace(line))
		}
	}
	if len(found) != times {
		t.Errorf("%d lines are %s, want %d\n%s", len(found), pattern, times, strings.Join(found, "\n"))
	}
}

type act struct {
	program string
	kept    string // directory of what stands for GitHub's cache
	results string // of the last job
}

// run runs a job and returns act's log, and what the job has found out about the
// Action's outputs.
func (a *act) run(t *testing.T, job string) (log string, outputs map[string]string) {
	t.Helper()
	checkout, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	a.results = t.TempDir()
	cmd := exec.Command(a.program, "push", "-j", job,
		"-P", "ubuntu-latest=-self-hosted", // this machine, in a directory of its own
		"-W", "internal/action/testdata/act/action.yml",
		"--local-repository", cacheAction(t)+"="+filepath.Join(checkout, "internal/action/testdata/act/cache"),
		"--env", "RESULTS="+a.results, "--env", "CACHE_DIRECTORY="+filepath.Join(a.kept, "cache"))
	cmd.Dir = checkout
	out, err := cmd.CombinedOutput()
	log = string(out)
	t.Log(log)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(a.results, job+".json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &outputs); err != nil {
		t.Fatal(err)
	}
	return log, outputs
}

// read returns what a job has left in a file.
func (a *act) read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(a.results, name))
	if err != nil {
		t.Error(err)
	}
	return string(text)
}

// cacheAction is actions/cache with the commit that action.yml has.
func cacheAction(t *testing.T) string {
	t.Helper()
	for _, s := range readMetadata(t).Runs.Steps {
		if ref, ok := strings.CutPrefix(s.Uses, "actions/cache/restore@"); ok {
			return "actions/cache@" + ref
		}
	}
	t.Fatal("action.yml does not use actions/cache")
	return ""
}
