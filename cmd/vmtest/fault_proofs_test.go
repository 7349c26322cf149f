package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// What one boot can answer about several faults. Each is run once, for all
// proofs that ask for it.

// runGuest checks what docs/guest.md promises, on an old and a new kernel.
func runGuest(r *realVmtest, t *testing.T) vmtestRun {
	// Where a share could lead out, if links were followed on the host.
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("do-not-tell"), 0o644); err != nil {
		t.Error(err)
	}
	dir := r.module(t, "guest", func(dir string) error {
		config := "[core]\n\tbare = false\n[http \"https://github.com/\"]\n\textraheader = AUTHORIZATION: basic do-not-tell\n"
		return errors.Join(
			os.Symlink(secret, filepath.Join(dir, ".git", "link-out")),
			os.WriteFile(filepath.Join(dir, ".git", "config"), []byte(config), 0o644),
		)
	})
	env := []string{
		"GITHUB_TOKEN=do-not-tell", "AWS_SECRET_ACCESS_KEY=do-not-tell", "SSH_AUTH_SOCK=/do-not-tell",
		"REAL_HOME=" + os.Getenv("HOME"), "REAL_TIME=" + fmt.Sprint(time.Now().Unix()), "REAL_MODULE=" + dir,
	}
	run := r.run(t, dir, env, "test", "-v", "-kernel", realOld+","+realNew, "-env", "REAL_HOME", "-env", "REAL_TIME", "-env", "REAL_MODULE", "./...")
	if strings.Contains(run.stdout+run.stderr, "do-not-tell") {
		t.Error("a secret is told")
	}
	return run
}

// passedInGuest is the proof that is a test of the module guest.
func passedInGuest(tests ...string) proof {
	return func(f *faults, t *testing.T) {
		run := f.guest()
		run.want(t, 0)
		for _, test := range tests {
			if got := strings.Count(run.stdout, "--- PASS: "+test+" "); got != 2 {
				t.Errorf("%s passed on %d kernels, want 2", test, got)
			}
		}
	}
}

// runToolchain runs go in the guest, with the race detector and cgo, and
// writes to every tree that is shared.
func runToolchain(r *realVmtest, t *testing.T) vmtestRun {
	dir := r.module(t, "toolchain")
	caches, env := privateCaches(t)
	// What the tests compile in the guest must not have to compile all of
	// the standard library under TCG.
	for _, args := range [][]string{{"build", "-buildvcs=false", "-o", os.DevNull, "./hello"}, {"test", "-race", "-c", "-o", os.DevNull, "."}} {
		warm := exec.Command("go", args...)
		warm.Dir, warm.Env = dir, append(r.env, env...)
		if out, err := warm.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	}
	goroot, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Error(err)
	}
	trees := append([]string{dir, filepath.Join(strings.TrimSpace(string(goroot)), "src", "errors")}, caches[1])
	before := hashTree(t, trees...)
	run := r.run(t, dir, env, "test", "-race", "-vet=off", "-kernel", realNew, ".")
	if after := hashTree(t, trees...); after != before {
		t.Error("the trees on the host have changed")
	}
	// The host's own go command writes to the build cache.
	if _, err := os.Stat(filepath.Join(caches[0], "written_by_the_guest.go")); err == nil {
		t.Error("the build cache on the host has changed")
	}
	return run
}

func proveToolchainUntouched(f *faults, t *testing.T) { f.toolchain().want(t, 0, "ok  ") }

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

// runOutput prints what is hard to print, and renders it in other formats.
func runOutput(r *realVmtest, t *testing.T) vmtestRun {
	dir := r.module(t, "output")
	run := r.run(t, dir, nil, "test", "-v", "-kernel", realNew, ".")
	junit := r.run(t, dir, nil, "report", "-format", "junit")
	for d := xml.NewDecoder(strings.NewReader(junit.stdout)); ; {
		if _, err := d.Token(); err == io.EOF {
			break
		} else if err != nil {
			t.Errorf("the JUnit report: %v", err)
			break
		}
	}
	stream := r.run(t, dir, nil, "report", "-json")
	for line := range strings.Lines(stream.stdout) {
		if !json.Valid([]byte(line)) {
			t.Errorf("invalid JSON: %.200q", line)
			break
		}
	}
	return run
}

func proveLines(f *faults, t *testing.T) {
	run := f.output()
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
	run.want(t, 1, "--- PASS: TestLines", "--- PASS: TestBoth")
}

func proveBytes(f *faults, t *testing.T) {
	run := f.output()
	run.want(t, 1, "--- PASS: TestLongLine")
	if got := strings.Count(run.stdout, "x"); got < 1<<20 {
		t.Errorf("%d bytes of the long line", got)
	}
}

func proveForgery(f *faults, t *testing.T) {
	run := f.output()
	run.want(t, 1, "--- FAIL: TestForge", "4 passed, 1 failed")
}

func proveSeparate(f *faults, t *testing.T) {
	run := f.output()
	run.want(t, 1, "--- PASS: TestKernelLog")
	if strings.Contains(run.stdout+run.stderr, "from the kernel") {
		t.Error("the kernel's messages are among the tests'")
	}
	if got := strings.Count(run.console, "from the kernel"); got != 1000 {
		t.Errorf("%d of the kernel's 1000 messages are in the console's file", got)
	}
}

// runEnds lets tests end in many ways.
func runEnds(r *realVmtest, t *testing.T) vmtestRun {
	return r.run(t, r.module(t, "ends"), nil, "test", "-timeout", "30s", "-kernel", realNew, "./...")
}

func proveTimeout(f *faults, t *testing.T) {
	run := f.ends()
	run.want(t, 1, "panic: test timed out after 30s", "--- FAIL: TestHang", "--- FAIL: TestStop: timed out after 30s")
	for _, text := range []string{"sysrq: Show Blocked State", "sysrq: Show State", "sysrq: Show Memory", "task:stop.test"} {
		if !strings.Contains(run.console, text) {
			t.Errorf("%q is not in the console's file", text)
		}
	}
}

func proveOOM(r *realVmtest, t *testing.T) {
	r.run(t, r.module(t, "oom"), nil, "test", "-memory", "384", "-kernel", realNew, ".").want(t, 1,
		"--- FAIL: TestMemory: killed by the guest's OOM killer; -memory gives it more")
}

func proveSignals(f *faults, t *testing.T) {
	f.ends().want(t, 1, "--- FAIL: TestKill: killed by SIGKILL", "--- FAIL: TestSegv", "example.com/ends/last: killed by SIGKILL", "exit status 7")
}

func proveChild(f *faults, t *testing.T) { f.ends().want(t, 1, "ok  \texample.com/ends/child") }

// runBooting keeps a kernel from finding its init.
func runBooting(r *realVmtest, t *testing.T) vmtestRun {
	return r.run(t, r.module(t, "crash"), nil, "test", "-append", "rdinit=/none", "-kernel", realNew, "./...")
}

func provePanicAtBoot(f *faults, t *testing.T) {
	f.booting().want(t, 3, "the kernel panicked before init said hello", "VFS: Unable to mount root fs", "hint: ", "0 passed, 0 failed, 4 not run")
}

func proveCrash(f *faults, t *testing.T) {
	r := f.real().apart(t)
	run := r.run(t, r.module(t, "crash"), nil, "test", "-kernel", realNew, "./...")
	run.want(t, 3,
		"--- FAIL: TestCrash: the kernel panicked", "in TestCrash of example.com/crash",
		"Kernel panic - not syncing: sysrq triggered crash", "before the crash", "2 passed, 1 failed, 1 not run", // the package after it has a machine of its own
	)
	if !strings.Contains(run.console, "Kernel panic - not syncing: sysrq triggered crash") {
		t.Error("the panic is not in the console's file")
	}
}

// brokenModule is a module in which the kernel is broken, with instructions of one
// architecture.
func brokenModule(r *realVmtest, t *testing.T) string {
	t.Helper()
	if runtime.GOARCH != "amd64" {
		t.Skip("the module's instructions are amd64's")
	}
	return r.module(t, "kernel")
}

func proveOops(r *realVmtest, t *testing.T) {
	run := r.run(t, brokenModule(r, t), nil, "test", "-run", "TestBefore|TestOops", "-kernel", realNew, ".")
	run.want(t, 1, "the kernel reported a fault while TestOops ran: BUG: kernel NULL pointer dereference", "dummy_init_module+", "2 passed, 0 failed")
}

func proveWarning(r *realVmtest, t *testing.T) {
	dir := brokenModule(r, t)
	run := r.run(t, dir, nil, "test", "-run", "TestBefore|TestWarn", "-kernel", realNew, ".")
	run.want(t, 1, "the kernel reported a fault while TestWarn ran: WARNING: ", "ftrace_verify_code", "2 passed, 0 failed")

	allow := filepath.Join(t.TempDir(), "blocklist.yaml")
	var entries strings.Builder
	for _, m := range regexp.MustCompile("`(splat: .*)` in the blocklist").FindAllStringSubmatch(run.stderr, -1) {
		fmt.Fprintf(&entries, "- %s\n  reason: the module is made to cause it\n", m[1])
	}
	if err := os.WriteFile(allow, []byte(entries.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	run = r.run(t, dir, nil, "test", "-blocklist", allow, "-run", "TestWarn", "-kernel", realNew, ".")
	run.want(t, 0, "a fault that is allowed: WARNING: at kernel/trace/ftrace.c ftrace_bug; ", "the module is made to cause it", "1 passed, 0 failed")
}

func proveLockup(r *realVmtest, t *testing.T) {
	run := r.run(t, brokenModule(r, t), nil, "test", "-timeout", "10m", "-run", "TestBefore|TestLockup", "-kernel", realNew, ".")
	run.want(t, 3,
		"--- FAIL: TestLockup: the kernel is stuck: ", "watchdog: BUG: soft lockup", "dummy_setup+",
		"INFO: task kernel.test:", "1 passed, 1 failed")
	if !strings.Contains(run.console, "sysrq: Show Memory") {
		t.Error("the tasks are not in the console's file")
	}
}

func proveReboot(r *realVmtest, t *testing.T) {
	r.run(t, r.module(t, "reboot"), nil, "test", "-kernel", realOld, ".").want(t, 3,
		"--- FAIL: TestReboot: the guest went down while reboot.test was running", "1 passed, 1 failed, 1 not run")
}

func proveTripleFault(r *realVmtest, t *testing.T) {
	// With reboot=t, b is a triple fault.
	run := r.run(t, t.TempDir(), nil, "exec", "-kernel", realNew, "--", "sh", "-c", "echo going; sleep 1; echo b >/proc/sysrq-trigger; sleep 600")
	run.want(t, 3, "going", "the guest went down while sh was running")
	if run.took > 9*time.Minute {
		t.Errorf("it took %v", run.took)
	}
}

// proveSilence stops a machine as a whole.
func proveSilence(r *realVmtest, t *testing.T) {
	var out syncBuffer
	cmd := r.command(t.Context(), r.module(t, "hang"), nil, "test", "-v", "-silence-timeout", "20s", "-kernel", realNew, ".")
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	out.await(t, "hanging now")
	for _, pid := range machinesBelow(r.cache) {
		n, err := strconv.Atoi(pid)
		if err == nil {
			err = unix.Kill(n, unix.SIGSTOP)
		}
		if err != nil {
			t.Fatal(err) // it would run to its timeout
		}
	}
	start := time.Now()
	_ = cmd.Wait()
	if took := time.Since(start); took > 2*time.Minute {
		t.Errorf("it took %v to end", took)
	}
	run := vmtestRun{code: cmd.ProcessState.ExitCode(), stdout: out.String(), took: time.Since(start), left: r.left()}
	run.want(t, 3, "--- FAIL: TestHang: the guest gave no sign of life for 20s while hang.test was running", "0 passed, 1 failed")
}

// proveDeadline gives a run several times as long as it needs to come to its command.
func proveDeadline(r *realVmtest, t *testing.T) {
	dir := t.TempDir()
	first := r.run(t, dir, nil, "test", "-kernel", realNew, "-cmd", "true")
	first.want(t, 0, "1 passed")
	deadline := (3*first.took + 10*time.Second).Round(time.Second).String()
	run := r.run(t, dir, nil, "test", "-kernel", realNew+","+realOld, "-parallel-machines", "1", "-deadline", deadline, "-cmd", "echo working on it; exec sleep 3600")
	run.want(t, 3, "--- FAIL: command: the whole run timed out after "+deadline+" (-deadline)", "working on it", "0 passed, 1 failed, 1 not run on 2 kernels")
	for _, text := range []string{"sysrq: Show State", "task:sleep"} {
		if !strings.Contains(run.console, text) {
			t.Errorf("%q is not in the console's file", text)
		}
	}
}

// proveFlood lets a command print more than is kept, and end.
func proveFlood(r *realVmtest, t *testing.T) {
	run := r.run(t, t.TempDir(), nil, "test", "-kernel", realNew, "-output-limit", "1MB", "-cmd", "seq 1000000 1500000")
	run.want(t, 1, "--- FAIL: command: it printed more than 977 KiB (-output-limit)", "0 passed, 1 failed")
	if n := strings.Count(run.stdout, "\n10"); n < 5000 || len(run.stdout) > 2_000_000 || strings.Contains(run.stdout, "\n1500000\n") {
		t.Errorf("%d lines in %d bytes are kept", n, len(run.stdout))
	}
}

func proveHostile(r *realVmtest, t *testing.T) {
	run := r.run(t, r.module(t, "attack"), nil, "test", "-v", "-kernel", realNew, ".")
	run.want(t, 3,
		"--- PASS: TestMessages", "--- PASS: TestShares", "--- PASS: TestTags", "--- PASS: TestHost",
		"--- FAIL: TestZWire: read frame of type 255", "4 passed, 1 failed")
}

// proveUser looks at QEMU while a command runs in its machine.
func proveUser(r *realVmtest, t *testing.T) {
	var out syncBuffer
	cmd := r.command(t.Context(), t.TempDir(), nil, "exec", "-cold", "-kernel", realNew, "--", "sh", "-c", "echo here; exec sleep 600")
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	out.await(t, "here\n")
	checkUser(t, machinesBelow(r.cache))
	if err := cmd.Process.Signal(unix.SIGTERM); err != nil {
		t.Error(err)
	}
	_ = cmd.Wait()
	vmtestRun{code: cmd.ProcessState.ExitCode(), stdout: out.String(), left: r.left()}.want(t, 143)
	if strings.Contains(out.String(), "QEMU runs as root") {
		t.Errorf("it says otherwise:\n%s", out.String())
	}
}

// checkUser: a machine is nobody's process where we are root, and ours elsewhere.
func checkUser(t *testing.T, machines []string) {
	t.Helper()
	if len(machines) != 1 {
		t.Fatalf("%d machines are running", len(machines))
	}
	status, err := os.ReadFile("/proc/" + machines[0] + "/status")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"NoNewPrivs:\t1\n", "Seccomp:\t2\n", fmt.Sprintf("Uid:\t%d\t", os.Getuid())}
	if os.Getuid() == 0 {
		const capDACReadSearch = "0000000000000004"
		want = append(want[:2], "Uid:\t65534\t65534\t65534\t65534\n", "Gid:\t65534\t65534\t65534\t65534\n",
			"CapPrm:\t"+capDACReadSearch, "CapEff:\t"+capDACReadSearch)
		ours, err := os.Readlink("/proc/self/ns/net")
		theirs, err2 := os.Readlink("/proc/" + machines[0] + "/ns/net")
		if err := errors.Join(err, err2); err != nil || ours == theirs {
			t.Errorf("QEMU has our network: %s, %v", theirs, err)
		}
	}
	for _, text := range want {
		if !strings.Contains(string(status), text) {
			t.Errorf("QEMU's status has no %q:\n%s", text, status)
		}
	}
}

// proveClosedInput runs a command with no standard input at all.
func proveClosedInput(r *realVmtest, t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "sh", "-c", `exec "$0" exec -q -kernel `+realNew+` -- sh -c 'cat; tty; echo done' <&-`, r.program)
	cmd.Dir, cmd.Env = t.TempDir(), r.env
	run := finish(t, cmd)
	run.left = r.left()
	run.want(t, 0, "not a tty\ndone\n")
}

func proveLongArguments(r *realVmtest, t *testing.T) {
	cmd := r.command(t.Context(), t.TempDir(), nil, "exec", "-q", "-stdin", "-env", "BIG="+strings.Repeat("e", 100_000), "-kernel", realOld, "--",
		"sh", "-c", `sha256sum; echo ${#BIG} ${#1} $#`, "sh", strings.Repeat("a", 100_000))
	input := bytes.Repeat([]byte("0123456789abcde\n"), 1<<18) // 4 MiB
	cmd.Stdin = bytes.NewReader(input)
	run := finish(t, cmd)
	run.left = r.left()
	run.want(t, 0, fmt.Sprintf("%x", sha256.Sum256(input)), "100000 100000 1")
}

// proveKVM hides /dev/kvm, or puts something else there, in a mount namespace.
func proveKVM(f *faults, t *testing.T) {
	for i, c := range []struct{ name, prepare, detail string }{
		{"missing", `mkdir dev; for n in null zero urandom tty; do touch dev/$n; mount --bind /dev/$n dev/$n; done; ln -s /proc/self/fd dev/fd; mount --rbind dev /dev`, "/dev/kvm does not exist"},
		{"something else", `test -e /dev/kvm || mknod /dev/kvm c 1 3; mount --bind /dev/null /dev/kvm`, "/dev/kvm is not KVM's device"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := f.real().apart(t)
			// What was found out about the real one is kept there.
			if err := os.Remove(filepath.Join(r.cache, "accel")); err != nil {
				t.Fatal(err)
			}
			for _, flag := range []string{"-require-kvm", "-accel=kvm"} {
				cmd := exec.CommandContext(t.Context(), "unshare", "-m", "sh", "-ec", c.prepare+`; exec "$0" exec `+flag+` -kernel `+realNew+` -- true`, r.program)
				cmd.Dir, cmd.Env = t.TempDir(), r.env
				run := finish(t, cmd)
				run.left = r.left()
				run.want(t, 3, "error: use kvm: ", c.detail, "hint: ")
				if run.took > 20*time.Second {
					t.Errorf("it took %v", run.took)
				}
			}
			if i > 0 {
				return // once is enough to see that it is said
			}
			cmd := exec.CommandContext(t.Context(), "unshare", "-m", "sh", "-ec", c.prepare+`; exec "$0" exec -kernel `+realNew+` -- true`, r.program)
			cmd.Dir, cmd.Env = t.TempDir(), r.env
			finish(t, cmd).want(t, 0, "no KVM, using TCG, which is much slower: ", c.detail)
		})
	}
}

// proveSignal sends a signal to a run while a test hangs.
func proveSignal(name string) proof {
	return alone(func(r *realVmtest, t *testing.T) {
		var out syncBuffer
		cmd := r.command(t.Context(), r.module(t, "hang"), nil, "test", "-v", "-kernel", realNew, ".")
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		out.await(t, "hanging now")
		checkUser(t, machinesBelow(r.cache))
		start := time.Now()
		if err := cmd.Process.Signal(unix.SignalNum(name)); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		if took := time.Since(start); took > 20*time.Second {
			t.Errorf("it took %v to end", took)
		}
		if name != "SIGKILL" {
			run := vmtestRun{code: cmd.ProcessState.ExitCode(), stdout: out.String(), took: time.Since(start), left: r.left()}
			run.want(t, 3, "--- FAIL: TestHang: interrupted by "+name, "0 passed, 1 failed")
			return
		}
		for i := 0; len(machinesBelow(r.cache)) > 0; i++ {
			if i > 100 {
				t.Fatalf("QEMU is left: %v", machinesBelow(r.cache))
			}
			time.Sleep(50 * time.Millisecond)
		}
	})
}

func proveTwoAtOnce(f *faults, t *testing.T) {
	r := f.real().apart(t)
	dir := r.module(t, "verdicts")
	var group sync.WaitGroup
	for range 2 {
		group.Go(func() {
			finish(t, r.command(t.Context(), dir, nil, "test", "-run", "TestGood", "-kernel", realNew, ".")).want(t, 0, "ok  \texample.com/verdicts")
		})
	}
	group.Wait()
	if left := r.left(); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func provePaths(r *realVmtest, t *testing.T) {
	odd := filepath.Join(t.TempDir(), `a b,c=d ü'"$x`)
	cache, tmp := filepath.Join(odd, "cache"), filepath.Join(odd, "tmp")
	if err := os.Mkdir(odd, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(r.cache, cache); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(tmp, 0o755); err != nil {
		t.Fatal(err)
	}
	r.cache, r.tmp = cache, tmp
	dir := filepath.Join(odd, "module")
	if err := os.CopyFS(dir, os.DirFS(r.module(t, "verdicts"))); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "link, too")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	r.run(t, link, []string{"PWD=" + link, "VMTEST_CACHE=" + cache, "TMPDIR=" + tmp}, "test", "-run", "TestGood", "-kernel", realNew, ".").want(t, 0, "ok  \texample.com/verdicts")
}
