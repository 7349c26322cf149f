package action

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bpf-vmtest/bpf-vmtest/internal/result"
)

// recorded is a directory with what a run on two kernels has left in it.
func recorded(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	f, err := os.Create(filepath.Join(dir, "results.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	sink := result.Encode(f)
	code := 1
	machine := func(digest string) *result.MachineInfo { return &result.MachineInfo{Release: "6.1", Digest: digest} }
	for _, e := range []result.Event{
		{Action: result.Header, Run: &result.RunInfo{Protocol: result.Protocol, Kernels: []string{"a", "b", "c"}, Packages: []string{"m"}}},
		{Action: result.Kernel, Kernel: "a", Machine: machine("sha256:aa")},
		{Action: result.Pass, Kernel: "a", Package: "m", Test: "TestOne"},
		{Action: result.Fail, Kernel: "a", Package: "m", Test: "TestTwo/sub\nforged=yes"},
		{Action: result.Fail, Kernel: "a", Package: "m", Test: "TestTwo"},
		{Action: result.Skip, Kernel: "a", Package: "m", Test: "TestThree"},
		{Action: result.Kernel, Kernel: "b", Machine: machine("sha256:bb")},
		{Action: result.Pass, Kernel: "b", Package: "m", Test: "TestOne"},
		{Action: result.Fail, Kernel: "b", Package: "m", Test: "TestThree"},
		{Action: result.Pass, Kernel: "b", Package: "m", Test: "TestThree", Attempt: 2},
		{Action: result.NotRun, Kernel: "b", Package: "m", Test: "TestTwo", Reason: "lost"},
		{Action: result.Verdict, Code: &code},
	} {
		if err := sink.Event(e); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "coverage.out"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestFiles(t *testing.T) {
	dir := recorded(t)
	got, err := Files{Dir: dir}.Outputs()
	if err != nil {
		t.Fatal(err)
	}
	want := Outputs{
		"artifacts": dir, "results": dir + "/results.jsonl", "junit": dir + "/junit.xml", "html": dir + "/report.html",
		"table": dir + "/table.txt", "coverage": dir + "/coverage.out",
		"code": "1", "passed": "2", "failed": "2", "flaky": "1", "digests": `{"a":"sha256:aa","b":"sha256:bb"}`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if info, err := os.Stat(want["table"]); err != nil || info.Size() == 0 {
		t.Errorf("no table: %v", err)
	}
	if out, err := (Files{Dir: t.TempDir()}).Outputs(); err != nil || out != nil {
		t.Errorf("a run that never began has outputs %v, %v", out, err)
	}
}

func TestSet(t *testing.T) {
	file := filepath.Join(t.TempDir(), "output")
	t.Setenv("GITHUB_OUTPUT", file)
	if err := (Outputs{"a": "b"}).Set(); err == nil {
		t.Error("outputs that nobody reads are no error")
	}
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := (Outputs{"a": "x\n_GitHubActionsFileCommandDelimeter_\nforged=yes"}).Set(); err == nil {
		t.Error("an output may set another")
	}
	if err := (Outputs{"a": "b"}).Set(); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != "a<<_GitHubActionsFileCommandDelimeter_\nb\n_GitHubActionsFileCommandDelimeter_\n" {
		t.Errorf("%q, %v", text, err)
	}
}
