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
	"strings"
	"sync"
	"syscall"
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
}

// realVmtest is the program, built once, with the real QEMU in its PATH.
type realVmtest struct {
	program string
	cache   string // its own, but for what is fetched and built once
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
	cache := privateCache(t)
	env := append(os.Environ(), "PATH="+strings.Join(path, ":"), "VMTEST_CACHE="+cache, "GOWORK=off", "GOFLAGS=")
	return &realVmtest{program: program, cache: cache, env: env}
}

// module copies a module out of testdata, as a repository of its own.
func (r *realVmtest) module(t *testing.T, name string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), name)
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("testdata", "real", name))); err != nil {
		t.Fatal(err)
	}
	mod := "module example.com/" + name + "\n\ngo 1.26\n"
	if err := errors.Join(os.WriteFile(filepath.Join(dir, "go.mod"), []byte(mod), 0o644), os.Mkdir(filepath.Join(dir, ".git"), 0o755)); err != nil {
		t.Fatal(err)
	}
	return dir
}

func (r *realVmtest) command(ctx context.Context, dir string, env []string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, r.program, args...)
	cmd.Dir, cmd.Env = dir, append(r.env, env...)
	return cmd
}

// run runs vmtest in dir.
func (r *realVmtest) run(t *testing.T, dir string, env []string, args ...string) vmtestRun {
	t.Helper()
	return finish(t, r.command(t.Context(), dir, env, args...))
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

// want checks an exit code and what must have been printed.
func (v vmtestRun) want(t *testing.T, code int, printed ...string) {
	t.Helper()
	if v.code != code {
		t.Errorf("exit code %d, want %d", v.code, code)
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

// privateCaches gives a run a GOCACHE and a GOPATH that nothing else writes to.
func privateCaches(t *testing.T) (dirs, env []string) {
	t.Helper()
	root := t.TempDir()
	dirs = []string{filepath.Join(root, "cache"), filepath.Join(root, "gopath")}
	for _, d := range append(dirs, filepath.Join(dirs[1], "pkg", "mod", "example.com")) {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dirs, []string{"GOCACHE=" + dirs[0], "GOPATH=" + dirs[1], "GOMODCACHE=" + filepath.Join(dirs[1], "pkg", "mod")}
}

func TestReal(t *testing.T) {
	needReal(t)
	r := newReal(t)
	t.Run("guest", r.testGuest)
	t.Run("toolchain", r.testToolchain)
	t.Run("output", r.testOutput)
	t.Run("files", r.testFiles)
	t.Run("ends", r.testEnds)
	t.Run("crash", r.testCrash)
	t.Run("exec", r.testExec)
	t.Run("go test -exec", r.testGoTestExec)
	t.Run("another architecture", r.testForeign)
	t.Run("two at once", r.testTwoAtOnce)
	t.Run("interrupt", r.testInterrupt)
	t.Run("left", func(t *testing.T) { // the last: of all the runs before
		if left := machinesBelow(r.cache); len(left) > 0 {
			t.Errorf("machines are left: %v", left)
		}
		if left, _ := filepath.Glob(filepath.Join(r.cache, "tmp", "*")); len(left) > 1 { // of the run that was killed
			t.Errorf("temporary files are left: %v", left)
		}
	})
}

// testGuest checks what docs/guest.md promises, on an old and a new kernel.
func (r *realVmtest) testGuest(t *testing.T) {
	dir := r.module(t, "guest")
	secrets := []string{
		"GITHUB_TOKEN=do-not-tell", "AWS_SECRET_ACCESS_KEY=do-not-tell", "SSH_AUTH_SOCK=/do-not-tell",
		"REAL_HOME=" + os.Getenv("HOME"), "REAL_TIME=" + fmt.Sprint(time.Now().Unix()), "REAL_MODULE=" + dir,
	}
	before := hashTree(t, dir)
	run := r.run(t, dir, secrets, "test", "-count=1", "-kernel", realOld+","+realNew, "-env", "REAL_HOME", "-env", "REAL_TIME", "-env", "REAL_MODULE", "./...")
	run.want(t, 0, "total ok")
	if strings.Contains(run.stdout+run.stderr, "do-not-tell") {
		t.Error("a secret is told")
	}
	if after := hashTree(t, dir); after != before {
		t.Error("the module on the host has changed")
	}
}

// testToolchain runs go in the guest, with the race detector and cgo, and
// writes to every tree that is shared.
func (r *realVmtest) testToolchain(t *testing.T) {
	dir := r.module(t, "toolchain")
	caches, env := privateCaches(t)
	// What the tests compile in the guest must not have to compile all of
	// the standard library under TCG.
	warm := exec.Command("go", "build", "-o", os.DevNull, "./hello")
	warm.Dir, warm.Env = dir, append(r.env, env...)
	if out, err := warm.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	warm = exec.Command("go", "test", "-race", "-c", "-o", os.DevNull, ".")
	warm.Dir, warm.Env = dir, append(r.env, env...)
	if out, err := warm.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	goroot, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	trees := append([]string{dir, filepath.Join(strings.TrimSpace(string(goroot)), "src", "errors")}, caches[1])
	before := hashTree(t, trees...)
	r.run(t, dir, env, "test", "-race", "-vet=off", "-kernel", realNew, ".").want(t, 0, "ok  ")
	if after := hashTree(t, trees...); after != before {
		t.Error("the trees on the host have changed")
	}
	// The host's own go command writes to the build cache.
	if _, err := os.Stat(filepath.Join(caches[0], "written_by_the_guest.go")); err == nil {
		t.Error("the build cache on the host has changed")
	}
}

func (r *realVmtest) testOutput(t *testing.T) {
	dir := r.module(t, "output")
	run := r.run(t, dir, nil, "test", "-v", "-kernel", realNew, ".")
	run.want(t, 0, "--- PASS: TestLines", "--- PASS: TestLongLine")
	next := 0
	for line := range strings.Lines(run.stdout) {
		var n int
		if _, err := fmt.Sscanf(line, "line %d of many", &n); err == nil {
			if n != next {
				t.Fatalf("line %d where %d was due", n, next)
			}
			next++
		}
	}
	if next != 100_000 {
		t.Errorf("%d lines, want 100,000", next)
	}
	if got := strings.Count(run.stdout, "x"); got < 1<<20 {
		t.Errorf("%d bytes of the long line", got)
	}
}

func (r *realVmtest) testEnds(t *testing.T) {
	dir := r.module(t, "ends")
	run := r.run(t, dir, nil, "test", "-timeout", "20s", "-kernel", realNew, "./...")
	run.want(t, 1,
		"--- FAIL: TestKill: killed by SIGKILL", "--- FAIL: TestSegv", "ok  \texample.com/ends/child",
		"panic: test timed out after 20s", "exit status 7",
	)
	if run.took > 4*time.Minute {
		t.Errorf("it took %v", run.took)
	}
}

func (r *realVmtest) testCrash(t *testing.T) {
	dir := r.module(t, "crash")
	run := r.run(t, dir, nil, "test", "-kernel", realNew, "./...")
	run.want(t, 3,
		"--- FAIL: TestCrash: the kernel panicked", "in TestCrash of example.com/crash",
		"Kernel panic - not syncing: sysrq triggered crash", "before the crash", "1 passed, 1 failed, 2 not run",
	)
}

// testExec asks one guest for many exit codes, through a shell in it, and
// others for the tool's own view of them.
func (r *realVmtest) testExec(t *testing.T) {
	dir := t.TempDir()
	for _, tt := range []struct {
		name, script string
		code         int
		printed      string
	}{
		{"code", `echo out; echo err >&2; uname -r; exit 255`, 255, "6.12"},
		{"signal", `kill -SEGV $$`, 128 + 11, "killed by SIGSEGV"},
		{"poweroff", `echo o >/proc/sysrq-trigger; sleep 60`, 3, "the guest went down while sh was running"},
		{"PID 1", `kill -9 1; mount -o remount,rw /usr; echo x >/proc/self/mem; exit 124`, 124, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r.run(t, dir, nil, "exec", "-kernel", realNew, "--", "sh", "-c", tt.script).want(t, tt.code, tt.printed)
		})
	}
	t.Run("stdin", func(t *testing.T) {
		cmd := r.command(t.Context(), dir, nil, "exec", "-q", "-stdin", "-env", "BIG="+strings.Repeat("e", 100_000), "-kernel", realOld, "--",
			"sh", "-c", `sha256sum; echo ${#BIG} $#`, "sh", strings.Repeat("a", 100_000))
		input := bytes.Repeat([]byte("0123456789abcde\n"), 1<<18) // 4 MiB
		cmd.Stdin = bytes.NewReader(input)
		finish(t, cmd).want(t, 0, fmt.Sprintf("%x", sha256.Sum256(input)), "100000 1")
	})
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

func (r *realVmtest) testTwoAtOnce(t *testing.T) {
	dir := r.module(t, "verdicts")
	runs := make(chan vmtestRun, 2)
	for range 2 {
		go func() {
			out, err := r.command(t.Context(), dir, nil, "test", "-run", "TestGood", "-kernel", realNew, ".").CombinedOutput()
			code := 0
			if err != nil {
				code = 1
			}
			runs <- vmtestRun{code: code, stdout: string(out)}
		}()
	}
	for range 2 {
		run := <-runs
		run.want(t, 0, "ok  \texample.com/verdicts")
	}
}

// testInterrupt interrupts a run while a test hangs, and kills another.
func (r *realVmtest) testInterrupt(t *testing.T) {
	dir := r.module(t, "hang")
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGKILL} {
		t.Run(sig.String(), func(t *testing.T) {
			var out syncBuffer
			cmd := r.command(t.Context(), dir, nil, "test", "-v", "-kernel", realNew, ".")
			cmd.Stdout, cmd.Stderr = &out, &out
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			out.await(t, "hanging now")
			if len(machinesBelow(r.cache)) != 1 {
				t.Error("no QEMU is running")
			}
			start := time.Now()
			if err := cmd.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait()
			if took := time.Since(start); took > 10*time.Second {
				t.Errorf("it took %v to end", took)
			}
			for i := 0; len(machinesBelow(r.cache)) > 0; i++ {
				if i > 100 {
					t.Fatalf("QEMU is left: %v", machinesBelow(r.cache))
				}
				time.Sleep(50 * time.Millisecond)
			}
			if sig == syscall.SIGINT && (cmd.ProcessState.ExitCode() == 0 || !strings.Contains(out.String(), "--- FAIL: TestHang: interrupted")) {
				t.Errorf("exit code %d:\n%s", cmd.ProcessState.ExitCode(), out.String())
			}
		})
	}
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
