package main

import (
	"cmp"
	"crypto/sha256"
	"debug/elf"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// testFiles brings a verifier's log of more than 16 MiB back in three ways, with
// reports that stay readable, and a core dump with what is needed to read it.
// VMTEST_FILES_KERNELS names other kernels.
func (r *realVmtest) testFiles(t *testing.T) {
	dir := r.module(t, "bundle")
	env := r.workspace(t, dir, "../..") // which has cilium/ebpf
	out := filepath.Join(t.TempDir(), "out")
	kernels := cmp.Or(os.Getenv("VMTEST_FILES_KERNELS"), realNew)
	run := r.run(t, dir, env, "test", "-kernel", kernels, "-artifacts", out, "./...")
	run.want(t, 1, "lines, ", "has all of it", "what failed tests and the kernel have left is in "+out)
	if len(run.stdout) > 100_000*len(strings.Split(kernels, ",")) {
		t.Errorf("%d bytes are printed", len(run.stdout))
	}
	for kernel := range strings.SplitSeq(kernels, ",") {
		dir := filepath.Join(out, strings.ReplaceAll(kernel, ":", "_"))
		checkCore(t, filepath.Join(dir, "example.com_bundle_core"))
		for _, name := range []string{"kernel.txt", "console.log", "qemu.sh", "config", "vmlinux.btf"} {
			if len(readFile(t, dir, name)) < 100 {
				t.Errorf("%s: %s is all but empty", kernel, name)
			}
		}
		pkg := filepath.Join(dir, "example.com_bundle")
		printed := readFile(t, pkg, "TestVerifierLog", "output.txt")
		said := regexp.MustCompile(`log: (\d+) bytes, \d+ lines, sha256 ([0-9a-f]{64})\n`).FindStringSubmatch(printed)
		if said == nil {
			t.Errorf("%s: nothing says what the log is", kernel)
			continue
		}
		t.Logf("%s: %s", kernel, strings.TrimSpace(said[0]))
		first, last := strings.Index(printed, "load program: "), strings.Index(printed, "    bundle_test.go:46: ")
		if first < 0 || last < first {
			t.Errorf("%s: no log is printed", kernel)
			continue
		}
		for _, log := range []string{
			readFile(t, pkg, "artifacts", "TestVerifierLog", "verifier.log"),
			readFile(t, pkg, "artifacts", "_artifacts", "TestVerifierLog", "verifier.log"),
			printed[first:last],
		} {
			if len(log) < 16<<20 || fmt.Sprint(len(log)) != said[1] || fmt.Sprintf("%x", sha256.Sum256([]byte(log))) != said[2] {
				t.Errorf("%s: another log of %d bytes", kernel, len(log))
			}
		}
	}
	summary := r.run(t, dir, env, "report", "-format", "summary").stdout
	_, about, _ := strings.Cut(summary, "<details><summary><code>TestVerifierLog")
	about, _, found := strings.Cut(about, "</details>")
	if n := strings.Count(about, "\n"); !found || n > 25 || !strings.Contains(about, "R9 !read_ok") {
		t.Errorf("the summary has %d lines about the log:\n%s", n, summary)
	}
}

// checkCore looks at what a test that crashed has left.
func checkCore(t *testing.T, pkg string) {
	t.Helper()
	if got := readFile(t, pkg, "artifacts", "before.txt"); got != "written before the crash" {
		t.Errorf("artifacts: %q", got)
	}
	cores, err := filepath.Glob(filepath.Join(pkg, "cores", "core.test.[0-9]*"))
	if err != nil || len(cores) != 1 {
		t.Errorf("core dumps: %v, %v", cores, err)
		return
	}
	for path, want := range map[string]elf.Type{cores[0]: elf.ET_CORE, filepath.Join(pkg, "cores", "core.test"): elf.ET_EXEC} {
		f, err := elf.Open(path)
		if err != nil {
			t.Error(err)
			continue
		}
		defer f.Close()
		if f.Type != want {
			t.Errorf("%s is of type %v", path, f.Type)
		}
		if info, err := os.Stat(path); err == nil {
			t.Logf("%s: %d bytes", filepath.Base(path), info.Size())
		}
	}
	if got := readFile(t, pkg, "TestCore", "output.txt"); !strings.Contains(got, "nil pointer dereference") {
		t.Errorf("it printed %q", got)
	}
}

func readFile(t *testing.T, path ...string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Error(err)
	}
	return string(b)
}

// workspace joins modules, so that one finds what another requires, and returns
// the environment for that.
func (r *realVmtest) workspace(t *testing.T, dirs ...string) []string {
	t.Helper()
	env := []string{"GOWORK=" + filepath.Join(t.TempDir(), "go.work")}
	args := []string{"work", "init"}
	for _, dir := range dirs {
		abs, err := filepath.Abs(dir)
		if err != nil {
			t.Fatal(err)
		}
		args = append(args, abs)
	}
	join := exec.Command("go", args...)
	join.Env = append(r.env, env...)
	if out, err := join.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return env
}
