package main

import (
	"bytes"
	"cmp"
	"errors"
	"flag"

	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"

	"github.com/bpf-vmtest/bpf-vmtest/initramfs"
	"github.com/bpf-vmtest/bpf-vmtest/internal/fakeqemu"
	"github.com/bpf-vmtest/bpf-vmtest/internal/kernel"
	"github.com/bpf-vmtest/bpf-vmtest/internal/kernelorg/kernelorgtest"
)

var update = flag.Bool("update", false, "write what was printed into the scripts' golden files")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"vmtest": func() {
			autosigner = cmp.Or(os.Getenv("TEST_AUTOSIGNER"), autosigner)
			main()
		},
		"qemu-system-x86_64":  fakeqemu.Main,
		"qemu-system-aarch64": fakeqemu.Main,
	})
}

// TestScript runs the program as a user does, with a fake QEMU that runs the
// guest's commands on this machine.
func TestScript(t *testing.T) {
	params := scriptParams(t, buildInits(t))
	params.Dir = "testdata/script"
	testscript.Run(t, params)
}

// buildInits builds what every machine begins with, once for all scripts of a
// test, into a directory that lives as long as that.
func buildInits(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for _, arch := range kernel.Architectures {
		if _, err := initramfs.BuildInit(t.Context(), dir, arch); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// scriptParams are how scripts are run.
func scriptParams(t *testing.T, inits string) testscript.Params {
	t.Helper()
	goEnv := goEnvironment(t)
	return testscript.Params{
		UpdateScripts:      *update,
		RequireUniqueNames: true,
		ContinueOnError:    true,
		Setup:              func(env *testscript.Env) error { return setupScript(env, goEnv, filepath.Join(inits, "init")) },
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"artifact": cmdArtifact,
			"kernel":   cmdKernel,
			"features": cmdFeatures,
			"exits":    cmdExits,
			"registry": cmdRegistry,
			"sigstore": cmdSigstore,
			"releases": cmdReleases,
			"scrub":    cmdScrub,
			"within":   cmdWithin,
			"appears":  cmdAppears,
			"signal":   cmdSignal,
		},
	}
}

// goEnvironment is what scripts need of this machine's Go settings.
func goEnvironment(t *testing.T) []string {
	t.Helper()
	names := []string{"GOROOT", "GOPATH", "GOCACHE", "GOMODCACHE"}
	out, err := exec.Command("go", append([]string{"env"}, names...)...).Output()
	if err != nil {
		t.Fatal(err)
	}
	var env []string
	for i, value := range strings.Fields(string(out)) {
		env = append(env, names[i]+"="+value)
	}
	return env
}

// foreignArch is the architecture that this machine's is not.
var foreignArch = map[string]string{"amd64": "arm64", "arm64": "amd64"}[runtime.GOARCH]

// setupScript gives a script a kernel, ./linux-6.12, and a cache of its own.
func setupScript(env *testscript.Env, goEnv []string, inits string) error {
	cache := filepath.Join(env.WorkDir, ".cache", "bpf-vmtest")
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return err
	}
	if err := os.Symlink(inits, filepath.Join(cache, "init")); err != nil {
		return err
	}
	env.Vars = append(env.Vars, goEnv...)
	env.Vars = append(env.Vars,
		"GOFLAGS=", "GOPROXY=off", "GOTOOLCHAIN=local", "GOENV=off", "GOWORK=off",
		"VMTEST_QEMU_ROOT=1", // the fake one runs commands on this machine
		"VMTEST_CACHE="+cache, "VMTEST_TEMPLATES="+filepath.Join(env.WorkDir, ".templates"), "VMTEST="+programPath("vmtest"), "VMTEST_KERNEL_DEFAULT=./linux-6.12",
		"NATIVE="+runtime.GOARCH, "FOREIGN="+foreignArch)
	env.Defer(func() { checkClean(env, cache) })
	env.Values["t"] = env.T()
	return fakeqemu.Kernel{Release: "6.12.1"}.WriteFile(filepath.Join(env.WorkDir, "linux-6.12"))
}

// checkClean fails a script that left a machine or a temporary file behind.
func checkClean(env *testscript.Env, cache string) {
	t := env.T().(testing.TB)
	if left, _ := filepath.Glob(filepath.Join(cache, "tmp", "*")); len(left) > 0 {
		t.Errorf("temporary files are left: %v", left)
	}
	if left := machinesBelow(env.WorkDir); len(left) > 0 {
		t.Errorf("machines are left: %v", left)
	}
}

// machinesBelow lists QEMU processes that use files below dir.
func machinesBelow(dir string) []string {
	var found []string
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err == nil && bytes.Contains(b, []byte("qemu-system-")) && bytes.Contains(b, []byte(dir+"/")) {
			found = append(found, filepath.Base(filepath.Dir(file)))
		}
	}
	return found
}

// kernel [-arch GOARCH] FILE RELEASE [BEHAVIOR] makes a kernel for the fake QEMU.
func cmdKernel(ts *testscript.TestScript, neg bool, args []string) {
	var k fakeqemu.Kernel
	if len(args) > 2 && args[0] == "-arch" {
		k.Arch, args = args[1], args[2:]
	}
	if neg || len(args) < 2 || len(args) > 3 {
		ts.Fatalf("usage: kernel [-arch goarch] file release [behavior]")
	}
	k.Release = args[1]
	if len(args) == 3 {
		k.Behavior = fakeqemu.Behavior(args[2])
	}
	ts.Check(k.WriteFile(ts.MkAbs(args[0])))
}

// releases 'MONIKER VERSION [EOL]'… starts a kernel.org that has these.
func cmdReleases(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: releases 'moniker version'...")
	}
	server := kernelorgtest.New(ts.Value("t").(testing.TB))
	server.Index(args...)
	ts.Setenv("VMTEST_KERNEL_MIRROR", server.URL)
	ts.Setenv("TEST_AUTOSIGNER", server.Key.Fingerprint())
}

// exits CODE COMMAND… runs a command that must end with that exit code.
func cmdExits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits code command [args...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	start := time.Now()
	defer func() {
		said := ts.ReadFile("stderr") + ts.ReadFile("stdout")
		faultSeen.note(ts.Value("t").(testing.TB), args[0], lineWith(said, "error: ", "--- FAIL", "timed out", "FAIL"), time.Since(start), nil)
	}()
	err = ts.Exec(args[1], args[2:]...)
	var exit *exec.ExitError
	switch got := 0; {
	case errors.As(err, &exit):
		if got = exit.ExitCode(); got != want {
			ts.Fatalf("exit code %d (%v), want %d", got, err, want)
		}
	case err != nil:
		ts.Fatalf("%v", err)
	case want != 0:
		ts.Fatalf("exit code 0, want %d", want)
	}
}

// within DURATION CODE COMMAND… is exits with a limit of time.
func cmdWithin(ts *testscript.TestScript, neg bool, args []string) {
	limit, err := time.ParseDuration(args[0])
	ts.Check(err)
	start := time.Now()
	cmdExits(ts, neg, args[1:])
	if took := time.Since(start); took > limit {
		ts.Fatalf("it took %v, more than %v", took, limit)
	}
}

// appears FILE waits until a file is there that is not empty.
func cmdAppears(ts *testscript.TestScript, neg bool, args []string) {
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if info, err := os.Stat(ts.MkAbs(args[0])); err == nil && info.Size() > 0 {
			return
		}
	}
	ts.Fatalf("%s does not appear", args[0])
}

// signal NAME sends a signal to the last program in the background.
func cmdSignal(ts *testscript.TestScript, neg bool, args []string) {
	background := ts.BackgroundCmds()
	s := unix.SignalNum("SIG" + args[0])
	if neg || len(args) != 1 || len(background) == 0 || s == 0 {
		ts.Fatalf("usage: signal name, with a program in the background")
	}
	ts.Check(background[len(background)-1].Process.Signal(s))
}

var (
	seconds   = regexp.MustCompile(`\d+\.\d+s\b(, warm)?`)
	elapsed   = regexp.MustCompile(`"(Elapsed|Boot|Time)":("[^"]*"|[0-9.]+)(,"Warm":true)?`)
	goVersion = regexp.MustCompile(`"Go":"go[^"]*"`)
	timestamp = regexp.MustCompile(`\[ *\d+\.\d{6}\]`)
	digest    = regexp.MustCompile(`\b[0-9a-f]{64}\b`)
	logFile   = regexp.MustCompile(`[^\s"]*/runs/[^/]*/[^/"]*`)
)

// scrub [-digests] SOURCE FILE writes a copy of stdout, stderr or a file in which
// what differs from run to run is replaced.
func cmdScrub(ts *testscript.TestScript, neg bool, args []string) {
	digests := len(args) > 0 && args[0] == "-digests"
	if digests {
		args = args[1:]
	}
	if neg || len(args) != 2 {
		ts.Fatalf("usage: scrub [-digests] source file")
	}
	s := ts.ReadFile(args[0])
	if digests {
		s = digest.ReplaceAllString(s, "0")
	}
	s = seconds.ReplaceAllString(s, "0.00s")
	s = elapsed.ReplaceAllString(s, `"$1":0`)
	s = goVersion.ReplaceAllString(s, `"Go":"go0"`)
	s = timestamp.ReplaceAllString(s, "[    0.000000]")
	s = logFile.ReplaceAllString(s, "…")
	s = strings.ReplaceAll(s, ts.Getenv("WORK"), "$$WORK")
	if registry := ts.Getenv("REGISTRY"); registry != "" {
		s = strings.ReplaceAll(s, registry, "$$REGISTRY")
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(s), 0o644))
}

// programPath is where a script finds a program of its own, also without PATH.
func programPath(name string) string {
	path, err := exec.LookPath(name)
	if err != nil {
		panic(err) // testscript.Main has put it there
	}
	return path
}
