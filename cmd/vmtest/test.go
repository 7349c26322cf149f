package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bpf-vmtest/bpf-vmtest/internal/actions"
	"github.com/bpf-vmtest/bpf-vmtest/internal/blocklist"
	"github.com/bpf-vmtest/bpf-vmtest/internal/boot"
	"github.com/bpf-vmtest/bpf-vmtest/internal/gotest"
	"github.com/bpf-vmtest/bpf-vmtest/internal/host"
	"github.com/bpf-vmtest/bpf-vmtest/internal/record"
	"github.com/bpf-vmtest/bpf-vmtest/internal/result"
	"github.com/bpf-vmtest/bpf-vmtest/internal/runner"
	"github.com/bpf-vmtest/bpf-vmtest/internal/shard"
)

// testFlags are the flags of vmtest test: the machine's, go test's, and some of
// its own.
type testFlags struct {
	machineFlags
	gotest.Flags
	outputs
	build, compile []string // flags for the go command
	binary         []string // flags for the test binaries
	runner         runner.Run
	blocklists     stringList
	durations      string // path
	setup          bool
	deadline       time.Duration
	artifacts      artifactFlags
	mode           string
}

// Flags of go test that are handed on as they are, by where they go.
var (
	buildBools    = []string{"race", "msan", "asan", "trimpath", "modcacherw"}
	buildValues   = []string{"tags", "mod", "modfile", "ldflags", "gcflags", "asmflags", "gccgoflags", "overlay", "pgo", "buildvcs", "pkgdir", "compiler", "buildmode"}
	compileValues = []string{"covermode", "coverpkg"}
	binaryBools   = []string{"short", "benchmem", "failfast", "fullpath"}
	binaryValues  = []string{"benchtime", "cpu", "parallel", "shuffle"}
	// What writes files into the package's directory, or needs the host.
	refused = map[string]string{
		"fuzz": "fuzzing in a guest is not supported", "exec": "the tests run in a guest already",
		"o": "the binaries live in the cache", "c": "`go test -c` does that", "i": "it does nothing",
		"blockprofile": "", "cpuprofile": "", "memprofile": "", "mutexprofile": "", "trace": "", "outputdir": "",
	}
)

// unsupported marks flags that are refused with a reason, and not in the help.
const unsupported = "not supported"

func (t *testFlags) register(fs *flag.FlagSet) {
	t.machineFlags.register(fs)
	for _, name := range buildBools {
		fs.BoolFunc(name, "as for go test", appendFlag(&t.build, "-"+name))
	}
	for _, name := range buildValues {
		fs.Func(name, "as for go test", appendFlag(&t.build, "-"+name))
	}
	for _, name := range compileValues {
		fs.Func(name, "as for go test", func(s string) error {
			t.Cover = true
			return appendFlag(&t.compile, "-"+name)(s)
		})
	}
	for _, name := range binaryBools {
		fs.BoolFunc(name, "as for go test", appendFlag(&t.binary, "-test."+name))
	}
	for _, name := range binaryValues {
		fs.Func(name, "as for go test", appendFlag(&t.binary, "-test."+name))
	}
	fs.StringVar(&t.Run, "run", "", "as for go test")
	fs.StringVar(&t.Skip, "skip", "", "as for go test")
	fs.StringVar(&t.Bench, "bench", "", "as for go test")
	fs.IntVar(&t.Count, "count", 1, "as for go test")
	fs.BoolVar(&t.Verbose, "v", false, "as for go test")
	fs.DurationVar(&t.Timeout, "timeout", 10*time.Minute, "as for go test: the `time` a package gets")
	fs.IntVar(&t.P, "p", 1, "packages to run at a time on one kernel")
	fs.BoolVar(&t.Cover, "cover", false, "as for go test, added up over packages and kernels")
	fs.StringVar(&t.CoverProfile, "coverprofile", "", "as for go test, added up over packages and kernels")
	fs.StringVar(&t.runner.Vet, "vet", "", "as for go test")
	t.outputs.register(fs, actions.Running())
	t.artifacts.register(fs)

	fs.IntVar(&t.runner.Parallel, "parallel-machines", 0, "machines to run at a time, of one kernel or of several (default by cores and memory)")
	fs.StringVar((*string)(&t.runner.Isolate), "isolate", "", "`what` gets a fresh machine: run, all packages on a kernel share one; package, each has its own; or test, each top-level test has (default package; with -cold or -p, run)")
	fs.Var(&t.blocklists, "blocklist", "read this `file` instead of the module's .vmtest; may be repeated")
	fs.BoolVar(&t.runner.Strict, "blocklist-strict", false, "fail when an entry matches nothing, has expired, or expects a failure that passes")
	fs.BoolVar(&t.runner.FailOnSplat, "fail-on-splat", true, "fail when the kernel reports a fault in itself")
	fs.IntVar(&t.runner.Retry, "retry", 0, "run tests that failed again in a fresh machine, up to `N` times; those that pass then are flaky")
	fs.BoolVar(&t.runner.FailOnFlaky, "fail-on-flaky", false, "fail when a test passed only when it ran again")
	fs.TextVar(&t.runner.Shard, "shard", shard.Shard{}, "run one of several `parts` of the tests: 2/5 is the second of five")
	fs.StringVar(&t.durations, "shard-durations", "", "make shards take the same time, as far as the result stream in this `file` knows; all must be given the same")
	fs.StringVar(&t.runner.Command, "cmd", "", "run this `command` in each guest instead of tests, by sh -c")
	fs.StringVar(&t.runner.Setup, "setup-cmd", "", "run this `command` in each guest before the tests, by sh -c")
	fs.StringVar(&t.runner.Teardown, "teardown-cmd", "", "run this `command` in each guest after the tests, by sh -c")
	fs.DurationVar(&t.deadline, "deadline", 0, "the `time` that all of it gets: downloads, compiling, every kernel (default no limit)")
	fs.BoolVar(&t.setup, "setup", false, "install what is missing first, as vmtest setup does")
	fs.StringVar(&t.mode, "mode", "host", "`place` where tests are compiled: host, or guest to run go test itself there")
	for name, why := range refused {
		fs.Func(name, unsupported, func(string) error {
			return errors.New(cmp.Or(why, "profiles are not brought back from a guest yet"))
		})
	}
}

func appendFlag(list *[]string, name string) func(string) error {
	return func(s string) error {
		*list = append(*list, name+"="+s)
		return nil
	}
}

// parse reads the command line as go test does: flags and packages in any
// order, and everything after -args for the binaries.
func (t *testFlags) parse(fs *flag.FlagSet, args []string) error {
	if i := slices.IndexFunc(args, func(s string) bool { return s == "-args" || s == "--args" }); i >= 0 {
		args, t.Args = args[:i], args[i+1:]
	}
	for len(args) > 0 {
		if err := parseFlags(fs, args); err != nil {
			return err
		}
		args = fs.Args()
		if len(args) > 0 && args[0] == "-" { // no flag, and no package either
			return usagef("", "test: unexpected argument %q", "-")
		}
		for len(args) > 0 && !strings.HasPrefix(args[0], "-") {
			t.runner.Patterns, args = append(t.runner.Patterns, args[0]), args[1:]
		}
	}
	if err := t.checkCommand(fs); err != nil {
		return err
	}
	if len(t.runner.Patterns) == 0 {
		t.runner.Patterns = []string{"."}
	}
	t.Cover = t.Cover || t.CoverProfile != ""
	if t.Cover {
		t.compile = append(t.compile, "-cover")
	}
	t.Flags.Pass = t.binary
	for name, pattern := range map[string]string{"run": t.Run, "skip": t.Skip, "bench": t.Bench} {
		if _, err := gotest.ParsePattern(pattern); err != nil {
			return usagef("", "-%s: %v", name, err)
		}
	}
	if t.deadline < 0 {
		return usagef("", "-deadline %v: want 0 or more", t.deadline)
	}
	if t.Count < 0 {
		return usagef("", "-count %d: want 0 or more", t.Count)
	}
	if t.P < 1 {
		return usagef("", "-p %d: want 1 or more", t.P)
	}
	if err := errors.Join(t.outputs.check(), t.artifacts.check()); err != nil {
		return err
	}
	for _, check := range []func() error{t.checkIsolate, t.checkRetry, t.checkShard, t.checkMode} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func (a *app) test(ctx context.Context, args []string) error {
	var t testFlags
	fs := a.flagSet("test")
	t.register(fs)
	if err := t.parse(fs, args); err != nil {
		return err
	}
	cache, err := cacheDir()
	if err != nil {
		return err
	}
	if err := t.finish(a, cache); err != nil {
		return err
	}
	ctx, stop := runner.WithDeadline(ctx, t.deadline)
	defer stop()
	return ended(ctx, a.testWithin(ctx, &t, cache, args))
}

func (a *app) testWithin(ctx context.Context, t *testFlags, cache string, args []string) error {
	if t.setup {
		if err := a.setUp(ctx, t.arch, cache); err != nil {
			return err
		}
	}
	if t.mode == "guest" {
		return a.testInGuest(ctx, t, cache)
	}
	return a.runTests(ctx, t, cache, args)
}

// ended puts before an error what has ended the context: of that, programs that
// were killed say nothing.
func ended(ctx context.Context, err error) error {
	cause := context.Cause(ctx)
	var said exitError
	if err == nil || cause == nil || errors.Is(err, cause) || errors.As(err, &said) {
		return err
	}
	return fmt.Errorf("%w: %w", cause, err)
}

// setUp installs what tests on an architecture's kernels need.
func (a *app) setUp(ctx context.Context, arch archFlag, cache string) error {
	groups := []host.Group{host.Run}
	if arch.foreign() {
		groups = append(groups, host.Group(arch))
	}
	return host.Setup(ctx, host.SetupOptions{Groups: groups, CacheDir: cache, Stdout: a.stderr})
}

func (a *app) runTests(ctx context.Context, t *testFlags, cache string, args []string) (err error) {
	dir, err := os.Getwd()
	if err != nil {
		return err
	}
	refs, err := t.kernels()
	if err != nil {
		return err
	}
	mounts, err := t.shares()
	if err != nil {
		return err
	}
	durations, err := t.readDurations()
	if err != nil {
		return err
	}
	env, err := t.target().Environ(os.Environ())
	if err != nil {
		return err
	}
	qemu, err := host.QEMU(ctx, string(t.arch), t.settings.QEMU)
	if err != nil {
		return err
	}
	base := ""
	if t.needsToolbox() {
		dir, remove, err := boot.TempDir(cache)
		if err != nil {
			return err
		}
		defer remove()
		if base, err = a.toolbox(ctx, cache, dir, t.arch); err != nil {
			return err
		}
	}
	rec, err := record.Create(cache, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rec.Close()) }()
	kept, err := t.artifacts.open(rec)
	if err != nil {
		return err
	}
	kernels, err := a.store(cache, t.arch, t.verify)
	if err != nil {
		return err
	}
	t.outputs.verbose = t.Verbose
	sink, err := t.outputs.open(a, a.stdout)
	if err != nil {
		return err
	}
	run := &t.runner
	run.Kernels, run.Arch, run.Resolver = refs, string(t.arch), kernels
	run.Go = gotest.Go{Dir: dir, Env: env, BuildFlags: t.build, TestFlags: t.compile}
	run.Flags, run.Blocklist, run.Durations = t.Flags, t.loadBlocklist, durations
	run.Recorded = recorded(cache, dir)
	run.Machines, run.Base, run.Hermetic, run.Mounts, run.Env = t.settings, base, t.hermetic, mounts, t.environment()
	run.Bundle, run.Artifacts = kept, t.artifacts.limits()
	run.OutputLimit = t.artifacts.output
	run.Info = result.RunInfo{Version: version(), QEMU: qemu.String(), Args: args}
	run.Sink, run.Progress = sinks{result.Encode(rec), sink}, t.outputs.progress(a)
	code, err := run.Do(ctx)
	return exit(code, errors.Join(err, t.outputs.close(a, a.stdout)))
}

// target is what the tests are compiled for.
func (t *testFlags) target() gotest.Target {
	needsCgo := func(flag string) bool { return flag == "-race=true" || flag == "-msan=true" || flag == "-asan=true" }
	return gotest.Target{Arch: string(t.arch), Static: t.hermetic, Cgo: slices.ContainsFunc(t.build, needsCgo)}
}

// loadBlocklist reads the blocklists of the tested modules, or those named by
// the user instead.
func (t *testFlags) loadBlocklist(modules []string) (*blocklist.List, error) {
	files := []string(t.blocklists)
	if len(files) == 0 {
		for _, m := range modules {
			found, err := blocklist.Find(m)
			if err != nil {
				return nil, err
			}
			files = append(files, found...)
		}
	}
	return blocklist.Load(files...)
}

// testInGuest runs go test itself in the guest, for suites that need it there.
func (a *app) testInGuest(ctx context.Context, t *testFlags, cache string) error {
	argv := []string{"go", "test", "-count=" + strconv.Itoa(t.Count), "-timeout=" + t.Timeout.String()}
	argv = append(append(argv, t.build...), t.compile...)
	for _, b := range t.binary {
		argv = append(argv, "-"+strings.TrimPrefix(b, "-test."))
	}
	for _, f := range []struct{ name, value string }{{"run", t.Run}, {"skip", t.Skip}, {"bench", t.Bench}, {"vet", t.runner.Vet}} {
		if f.value != "" {
			argv = append(argv, "-"+f.name+"="+f.value)
		}
	}
	if t.Verbose {
		argv = append(argv, "-v")
	}
	if t.format == "json" || t.format == "gotest" {
		argv = append(argv, "-json")
	}
	argv = append(argv, t.runner.Patterns...)
	if len(t.Args) > 0 {
		argv = append(append(argv, "-args"), t.Args...)
	}
	refs, err := t.kernels()
	if err != nil {
		return err
	}
	worst := 0
	for _, ref := range refs {
		if len(refs) > 1 {
			fmt.Fprintf(a.stdout, "# %s\n", ref)
		}
		code, err := a.execOn(ctx, execRun{machineFlags: &t.machineFlags, ref: ref, cache: cache, argv: argv})
		if err != nil {
			return err
		}
		worst = max(worst, min(code, runner.ExitFailed))
	}
	return exit(worst, nil)
}

// flagSet makes a command's flags, with its page of the manual as help.
func (a *app) flagSet(name string) *flag.FlagSet {
	fs := flag.NewFlagSet("vmtest "+name, flag.ContinueOnError)
	fs.SetOutput(io.Discard) // errors are printed once, by main
	fs.Usage = func() { a.commandHelp(name, fs) }
	return fs
}

// parseFlags makes the flag package's errors usage errors.
func parseFlags(fs *flag.FlagSet, args []string) error {
	help := fs.Usage
	fs.Usage = func() {} // the flag package would print the help with every error
	err := fs.Parse(args)
	fs.Usage = help
	if errors.Is(err, flag.ErrHelp) {
		help()
	}
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return err
	}
	name := strings.TrimPrefix(fs.Name(), "vmtest ")
	return usagef(fmt.Sprintf("`vmtest %s -h` lists the flags", name), "%s: %v", name, err)
}
