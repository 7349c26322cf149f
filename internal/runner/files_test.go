package runner

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bpf-vmtest/bpf-vmtest/internal/guest"
)

func TestSection(t *testing.T) {
	file := filepath.Join(t.TempDir(), "console.log")
	text := "[ 1.0] one\r\n[ 2.0] two\r\n[ 3.0] three\r\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		from, until int64
		want        string
	}{
		{0, 12, "[ 1.0] one\n"},
		{12, 24, "[ 2.0] two\n"},
		{15, 24, "[ 2.0] two\n"}, // the console was in the middle of a line
		{12, 38, "[ 2.0] two\n[ 3.0] three\n"},
		{12, 1000, "[ 2.0] two\n[ 3.0] three\n"},
		{24, 24, ""},
		{24, 12, ""},
		{1000, 2000, ""},
	} {
		if got, err := section(file, tt.from, tt.until); string(got) != tt.want || err != nil {
			t.Errorf("from %d until %d: %q, %v, want %q", tt.from, tt.until, got, err, tt.want)
		}
	}
}

func TestSaid(t *testing.T) {
	for text, want := range map[string]bool{
		"": false,
		"=== RUN   TestX\n--- FAIL: TestX (0.00s)\n":                       false,
		"=== RUN   TestX/a\n    --- FAIL: TestX/a (0.00s)\n":               false,
		"PASS\ncoverage: 12.5% of statements\n":                            false,
		"=== RUN   TestX\n    x_test.go:7: why\n--- FAIL: TestX (0.00s)\n": true,
		"panic: why\n": true,
	} {
		if got := said(bytes.NewBufferString(text)); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
	if said(nil) {
		t.Error("nothing says something")
	}
}

// TestArtifactDirs is about the directories that testing makes for tests, as the
// guest says, which may say anything.
func TestArtifactDirs(t *testing.T) {
	dir := t.TempDir()
	pr := packageRun{machineRun: &machineRun{kernelRun: &kernelRun{dir: "/out/k"}}, task: task{whole: &whole{parts: 1}}}
	pr.pkg.dir = "m"
	c := guest.Collected{Files: []string{
		"_artifacts/1/log", "_artifacts/2/log", "_artifacts/TestTaken/log", "_artifacts/3/log", "own",
	}}
	for _, name := range c.Files {
		if err := writeFile(filepath.Join(dir, name), nil); err != nil {
			t.Fatal(err)
		}
	}
	for _, said := range []struct{ test, path, want string }{
		{"TestX/a", "/run/vmtest/artifacts/0/_artifacts/1", "/out/k/m/artifacts/_artifacts/TestX_a"},
		{"TestX/a", "/run/vmtest/artifacts/0/_artifacts/2", "/out/k/m/artifacts/_artifacts/TestX_a.2"},
		{"TestTaken", "/run/vmtest/artifacts/0/_artifacts/3", "/out/k/m/artifacts/_artifacts/TestTaken"},
		{"TestEmpty", "/run/vmtest/artifacts/0/_artifacts/4", "/out/k/m/artifacts/_artifacts/TestEmpty"},
		{"TestLiar", "/x/_artifacts/../../etc", "/x/_artifacts/../../etc"},
		{"TestLiar", "/etc", "/etc"},
		{"TestLiar", "", ""},
	} {
		if got := pr.artifactsAt(said.test, said.path); got != said.want {
			t.Errorf("%s is at %q, want %q", said.path, got, said.want)
		}
	}
	if err := pr.rename(dir, &c); err != nil {
		t.Fatal(err)
	}
	want := []string{"_artifacts/TestX_a/log", "_artifacts/TestX_a.2/log", "_artifacts/TestTaken/log", "_artifacts/3/log", "own"}
	if diff := cmp.Diff(want, c.Files); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	for _, name := range c.Files {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
}
