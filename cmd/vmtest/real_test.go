package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Real kernels in the real QEMU. Boots are dear, so each subtest of TestReal is
// one boot that answers many questions; the modules that run in the guests are
// below testdata/real.
const (
	realOld = "debian:6.1"
	realNew = "debian:6.12"
)

// needReal skips a test unless everything is to be tested.
func needReal(t *testing.T) {
	t.Helper()
	if os.Getenv("VMTEST_TESTS") != "all" {
		t.Skip("boots kernels in QEMU, which takes minutes: VMTEST_TESTS=all runs it")
	}
}

// A vmtestRun is how the program ended, run as a user would.
type vmtestRun struct {
	code           int
	stdout, stderr string
	took           time.Duration
	console        string   // of all kernels of a vmtest test
	left           []string // machines and temporary files that should be gone
}

// realVmtest is the program, built once, with the real QEMU in its PATH.
type realVmtest struct {
	program string
	cache   string // its own, but for what is fetched and built once
	tmp     string // its own TMPDIR
	env     []string
}

// privateCache makes a cache whose runs and temporary files are nobody else's.
func privateCache(t *testing.T) string {
	t.Helper()
	user, err := cacheDir()
	if err != nil {
		t.Fatal(err)
	}
	cache := t.TempDir()
	for _, name := range []string{"accel", "apt", "debs", "init", "kernels", "toolbox"} {
		shared := filepath.Join(user, name)
		if err := errors.Join(os.MkdirAll(shared, 0o755), os.Symlink(shared, filepath.Join(cache, name))); err != nil {
			t.Fatal(err)
		}
	}
	return cache
}

func newReal(t *testing.T) *realVmtest {
	t.Helper()
	program := filepath.Join(t.TempDir(), "vmtest")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	// Without the directory that has the fake QEMU.
	var path []string
	for _, d := range filepath.SplitList(os.Getenv("PATH")) {
		if !strings.Contains(d, "testscript-main") {
			path = append(path, d)
		}
	}
	r := &realVmtest{program: program, env: append(os.Environ(), "PATH="+strings.Join(path, ":"), "GOWORK=off", "GOFLAGS=")}
	return r.apart(t)
}

// apart is the program with a cache and temporary files of its own, so that it
// can be told what a run leaves behind while others run.
func (r *realVmtest) apart(t *testing.T) *realVmtest {
	t.Helper()
	a := &realVmtest{program: r.program, cache: privateCache(t), tmp: t.TempDir()}
	a.env = append(slices.Clone(r.env), "VMTEST_CACHE="+a.cache, "TMPDIR="+a.tmp)
	return a
}

// left lists what a run that is over should not have left behind.
func (r *realVmtest) left() []string {
	left := machinesBelow(r.cache)
	for _, pattern := range []string{filepath.Join(r.cache, "tmp", "*"), filepath.Join(r.tmp, "*")} {
		files, _ := filepath.Glob(pattern)
		left = append(left, files...)
	}
	return left
}

// consoles are what the kernels of the last vmtest test printed.
func (r *realVmtest) consoles() string {
	var all strings.Builder
	files, _ := filepath.Glob(filepath.Join(r.cache, "runs", "*", "*", "*", "console.log"))
	for _, file := range files {
		b, _ := os.ReadFile(file)
		all.Write(b)
	}
	return all.String()
}

// module copies a module out of testdata, as a repository of its own, which must
// not have changed when the test ends. Prepare puts further files into it.
func (r *realVmtest) module(t *testing.T, name string, prepare ...func(dir string) error) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), name)
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("testdata", "real", name))); err != nil {
		t.Fatal(err)
	}
	mod := "module example.com/" + name + "\n\ngo 1.26\n"
	if err := errors.Join(os.WriteFile(filepath.Join(dir, "go.mod"), []byte(mod), 0o644), os.Mkdir(filepath.Join(dir, ".git"), 0o755)); err != nil {
		t.Fatal(err)
	}
	for _, f := range prepare {
		if err := f(dir); err != nil {
			t.Fatal(err)
		}
	}
	before := hashTree(t, dir)
	t.Cleanup(func() {
		if hashTree(t, dir) != before {
			t.Errorf("module %s has changed on the host", name)
		}
	})
	return dir
}

func (r *realVmtest) command(ctx context.Context, dir string, env []string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, r.program, args...)
	cmd.Dir, cmd.Env = dir, append(r.env, env...)
	return cmd
}

// run runs vmtest in dir, and nothing else of r at the same time.
func (r *realVmtest) run(t *testing.T, dir string, env []string, args ...string) vmtestRun {
	t.Helper()
	run := finish(t, r.command(t.Context(), dir, env, args...))
	run.left, run.console = r.left(), r.consoles()
	return run
}

func finish(t *testing.T, cmd *exec.Cmd) vmtestRun {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	start := time.Now()
	err := cmd.Run()
	run := vmtestRun{stdout: stdout.String(), stderr: stderr.String(), took: time.Since(start)}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		run.code = exit.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	t.Logf("%.100q took %v", strings.Join(cmd.Args[1:], " "), run.took.Round(time.Millisecond))
	return run
}

// want checks an exit code, what must have been printed, and that nothing is
// left.
func (v vmtestRun) want(t *testing.T, code int, printed ...string) {
	t.Helper()
	faultSeen.note(t, fmt.Sprint(v.code), lineWith(v.stderr+v.stdout, printed...), v.took, v.left)
	if v.code != code {
		t.Errorf("exit code %d, want %d", v.code, code)
	}
	if len(v.left) > 0 {
		t.Errorf("left behind: %v", v.left)
	}
	for _, text := range printed {
		if !strings.Contains(v.stdout+v.stderr, text) {
			t.Errorf("nothing says %q", text)
		}
	}
	if t.Failed() {
		t.Logf("stdout:\n%s\nstderr:\n%s", v.stdout, v.stderr)
	}
}

// hashTree is the hash of the names, modes, times and contents below the
// directories.
func hashTree(t *testing.T, dirs ...string) string {
	t.Helper()
	h := sha256.New()
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := d.Info()
			if err != nil {
				return err
			}
			fmt.Fprintln(h, path, info.Mode(), info.Size())
			if info.Mode().IsRegular() {
				b, err := os.ReadFile(path)
				if err != nil {
					return err
				}
				fmt.Fprintln(h, info.ModTime().UnixNano())
				h.Write(b)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}

func TestReal(t *testing.T) {
	needReal(t)
	r := newReal(t)
	t.Run("files", r.testFiles)
	t.Run("go test -exec", r.testGoTestExec)
	t.Run("another architecture", r.testForeign)
	t.Run("retry", r.testRetry)
}

// testRetry runs a test again that fails until its machine is a second one, and
// commands before and after it in both.
func (r *realVmtest) testRetry(t *testing.T) {
	dir, marks := r.module(t, "retry"), t.TempDir()
	var stdout, stderr syncBuffer
	cmd := r.command(t.Context(), dir, nil, "test", "-kernel", realNew, "-retry", "1", "-mount", marks+":/marks",
		"-setup-cmd", "touch /run/before; ls /sys/fs/bpf", "-teardown-cmd", "ls /sys/fs/bpf", ".")
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { // before the second machine has booted
		for ; !strings.Contains(stderr.String(), "again, attempt 2 of 2"); time.Sleep(10 * time.Millisecond) {
			if t.Context().Err() != nil {
				return
			}
		}
		_ = os.WriteFile(filepath.Join(marks, "again"), nil, 0o644)
	}()
	err := cmd.Wait()
	run := vmtestRun{stdout: stdout.String(), stderr: stderr.String(), code: cmd.ProcessState.ExitCode(), left: r.left()}
	run.want(t, 0, "not yet", "[attempt 2]", "flaky example.com/retry.TestFlaky: failed 1 of 2 times", "1 passed, 0 failed, 1 flaky on 1 kernel")
	if n := strings.Count(run.stderr, "teardown: left"); err != nil || n != 2 || strings.Contains(run.stderr, "setup: left") {
		t.Errorf("%d machines had what the test left at their end, or one at its beginning: %v", n, err)
	}
}

// testGoTestExec compares the verdicts of go test -exec with vmtest test's.
func (r *realVmtest) testGoTestExec(t *testing.T) {
	dir := r.module(t, "verdicts")
	own := r.run(t, dir, nil, "test", "-v", "-kernel", realNew, ".")
	cmd := exec.CommandContext(t.Context(), "go", "test", "-v", "-exec", r.program+" exec -kernel "+realNew+" --", ".")
	cmd.Dir, cmd.Env = dir, r.env
	through := finish(t, cmd)
	if own.code != 1 || through.code != 1 {
		t.Errorf("exit codes %d and %d, want 1", own.code, through.code)
	}
	for _, verdict := range []string{"--- PASS: TestGood", "--- FAIL: TestBad", "--- SKIP: TestSkipped"} {
		if !strings.Contains(own.stdout, verdict) || !strings.Contains(through.stdout, verdict) {
			t.Errorf("not both say %q:\n%s\n%s", verdict, own.stdout, through.stdout)
		}
	}
}

// testForeign runs the examples, and what checks docs/guest.md, compiled for
// another architecture with cgo and the race detector: on Debian's kernel, and
// on our own where it has been built.
func (r *realVmtest) testForeign(t *testing.T) {
	examples, err := filepath.Abs("../../examples")
	if err != nil {
		t.Fatal(err)
	}
	dir := r.module(t, "foreign")
	kernels := realNew + r.builtKernel(t, foreignArch)
	out, err := exec.Command("go", "env", "GOROOT", "GOCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	host := strings.Fields(string(out))
	env := append(r.workspace(t, dir, examples), "REAL_ARCH="+foreignArch, "REAL_GOROOT="+host[0], "REAL_GOCACHE="+host[1])
	run := r.run(t, dir, env, "test", "-race", "-cover", "-arch", foreignArch, "-kernel", kernels,
		"-env", "REAL_ARCH", "-env", "REAL_GOROOT", "-env", "REAL_GOCACHE", "./...", examples+"/...")
	// Between ok and the package stands the kernel, where there are two.
	run.want(t, 0, "\texample.com/foreign/native\t", "\tgithub.com/bpf-vmtest/bpf-vmtest/examples/xdp\t", "coverage: ", " 0 failed ")
}

// builtKernel is a comma and our own kernel for an architecture, or nothing.
func (r *realVmtest) builtKernel(t *testing.T, arch string) string {
	t.Helper()
	user, err := cacheDir()
	if err != nil {
		t.Fatal(err)
	}
	layout := filepath.Join(user, "layout")
	out, err := r.command(t.Context(), ".", nil, "kernel", "list", layout).Output()
	if err != nil || !regexp.MustCompile(`(?m)^6\.12\t.*\t`+arch+`\t`).Match(out) {
		return ""
	}
	return ",oci:" + layout + ":6.12"
}

// syncBuffer is what a program has printed so far.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(b)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// await waits until a text has been printed.
func (s *syncBuffer) await(t *testing.T, text string) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Minute); !strings.Contains(s.String(), text); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%q is not printed:\n%s", text, s.String())
		}
	}
}
