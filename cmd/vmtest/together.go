package main

import (
	"flag"
	"os"
	"slices"
	"strings"

	"github.com/bpf-vmtest/bpf-vmtest/internal/record"
	"github.com/bpf-vmtest/bpf-vmtest/internal/runner"
	"github.com/bpf-vmtest/bpf-vmtest/internal/shard"
)

// What flags of vmtest test do not go together is refused before anything is
// done.

// checkCommand refuses what is for tests where there is a command instead.
func (t *testFlags) checkCommand(fs *flag.FlagSet) (err error) {
	given := false
	fs.Visit(func(f *flag.Flag) { given = given || f.Name == "cmd" })
	switch {
	case !given:
		return nil
	case strings.TrimSpace(t.runner.Command) == "":
		return usagef("-cmd './check.sh --all'", "-cmd: the command is empty")
	case len(t.runner.Patterns) > 0:
		return usagef("quote the command: it is one argument", "-cmd: there are packages, too: %s", strings.Join(t.runner.Patterns, " "))
	case len(t.Args) > 0:
		return usagef("", "-cmd: -args is for tests")
	}
	forTests := slices.Concat(buildBools, buildValues, compileValues, binaryBools, binaryValues, []string{
		"run", "skip", "bench", "count", "p", "cover", "coverprofile", "vet", "mode", "shard", "shard-durations",
	})
	fs.Visit(func(f *flag.Flag) {
		if slices.Contains(forTests, f.Name) {
			err = usagef("", "-cmd: -%s is for tests", f.Name)
		}
	})
	return err
}

// checkIsolate checks -isolate, and decides where it is not given: a machine
// costs little if it need not boot.
func (t *testFlags) checkIsolate() error {
	switch t.runner.Isolate {
	case "":
		t.runner.Isolate = runner.IsolatePackage
		if t.settings.Cold || t.P > 1 {
			t.runner.Isolate = runner.IsolateRun
		}
	case runner.IsolateRun:
		return nil
	case runner.IsolatePackage, runner.IsolateTest:
	default:
		return usagef("", "-isolate %s: want run, package or test", t.runner.Isolate)
	}
	switch {
	case t.runner.Isolate != runner.IsolateRun && t.P > 1:
		return usagef("-parallel-machines runs several machines at a time", "-isolate %s: with -p %d packages would share a machine", t.runner.Isolate, t.P)
	case t.runner.Isolate == runner.IsolateTest && t.Bench != "":
		return usagef("run benchmarks by themselves", "-isolate test: benchmarks (-bench) are not tests")
	case t.runner.Isolate == runner.IsolateTest && slices.Contains(t.binary, "-test.failfast=true"):
		return usagef("leave out one of them", "-isolate test: a test in a machine of its own does not know of another's failure (-failfast)")
	}
	return nil
}

// checkRetry refuses what makes no sense together with -retry.
func (t *testFlags) checkRetry() error {
	switch {
	case t.runner.Retry < 0:
		return usagef("", "-retry %d: want 0 or more", t.runner.Retry)
	case t.runner.Retry == 0:
		return nil
	case t.Bench != "":
		return usagef("run benchmarks by themselves", "-retry %d: benchmarks (-bench) are not run again", t.runner.Retry)
	case slices.Contains(t.binary, "-test.failfast=true"):
		return usagef("leave out one of them", "-retry %d: with -failfast it is not known which tests fail", t.runner.Retry)
	case t.mode == "guest":
		return usagef("-mode=host runs failed tests again", "-mode guest: go test does not know -retry %d", t.runner.Retry)
	}
	return nil
}

// checkShard refuses what makes no sense together with -shard.
func (t *testFlags) checkShard() error {
	switch {
	case t.runner.Shard.IsAll() && t.durations != "":
		return usagef("-shard=2/5 runs the second of five parts", "-shard-durations %s: there is no -shard", t.durations)
	case t.runner.Shard.IsAll():
		return nil
	case t.Bench != "":
		return usagef("run benchmarks by themselves", "-shard %s: benchmarks (-bench) are not split", t.runner.Shard)
	case t.mode == "guest":
		return usagef("-mode=host splits tests", "-mode guest: go test does not know -shard %s", t.runner.Shard)
	}
	return nil
}

// readDurations reads what is known of the tests' times.
func (t *testFlags) readDurations() (d shard.Durations, err error) {
	if t.durations == "" {
		return nil, nil
	}
	f, err := os.Open(t.durations)
	if err == nil {
		defer f.Close()
		d, err = shard.ReadDurations(f)
	}
	if err != nil {
		return nil, usagef("it is a result stream, as test -jsonl writes it", "-shard-durations %s: %v", t.durations, err)
	}
	return d, nil
}

// longRecord is in bytes. A longer one takes more time to read than it saves.
const longRecord = 64 << 20

// recorded reads what the tests took the last time they were run from dir. It is
// a hint only: without one the order of packages is that of go list.
func recorded(cache, dir string) shard.Durations {
	f, err := record.Last(cache, dir)
	if err != nil {
		return nil
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || info.Size() > longRecord {
		return nil
	}
	d, err := shard.ReadDurations(f)
	if err != nil {
		return nil
	}
	return d
}

// checkMode refuses what go test cannot do in a guest.
func (t *testFlags) checkMode() error {
	switch {
	case t.mode == "host":
	case t.mode != "guest":
		return usagef("", "-mode %s: want host or guest", t.mode)
	case t.artifacts.dir != "":
		return usagef("-mode=host brings files back", "-mode guest: it keeps no files")
	case !t.printsGoTest():
		return usagef("-mode=host makes reports", "-mode guest: it is go test that reports there")
	case t.runner.Setup+t.runner.Teardown != "":
		return usagef("-mode=host runs commands before and after the tests", "-mode guest: nothing runs around go test")
	case t.arch.foreign():
		return usagef("-mode=host compiles the tests here", "-mode guest: this machine's Go toolchain does not run on %s", &t.arch)
	}
	return nil
}
