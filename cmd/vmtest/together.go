package main

import (
	"flag"
	"os"
	"slices"
	"strings"

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
	case strings.TrimSpace(t.command) == "":
		return usagef("-cmd './check.sh --all'", "-cmd: the command is empty")
	case len(t.patterns) > 0:
		return usagef("quote the command: it is one argument", "-cmd: there are packages, too: %s", strings.Join(t.patterns, " "))
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
	switch t.isolate {
	case "":
		t.isolate = "package"
		if t.settings.Cold || t.P > 1 {
			t.isolate = "run"
		}
	case "run", "package":
	default:
		return usagef("", "-isolate %s: want run or package", t.isolate)
	}
	if t.isolate == "package" && t.P > 1 {
		return usagef("-parallel-kernels runs several machines at a time", "-isolate package: with -p %d packages would share a machine", t.P)
	}
	return nil
}

// checkRetry refuses what makes no sense together with -retry.
func (t *testFlags) checkRetry() error {
	switch {
	case t.retry < 0:
		return usagef("", "-retry %d: want 0 or more", t.retry)
	case t.retry == 0:
		return nil
	case t.Bench != "":
		return usagef("run benchmarks by themselves", "-retry %d: benchmarks (-bench) are not run again", t.retry)
	case slices.Contains(t.binary, "-test.failfast=true"):
		return usagef("leave out one of them", "-retry %d: with -failfast it is not known which tests fail", t.retry)
	case t.mode == "guest":
		return usagef("-mode=host runs failed tests again", "-mode guest: go test does not know -retry %d", t.retry)
	}
	return nil
}

// checkShard refuses what makes no sense together with -shard.
func (t *testFlags) checkShard() error {
	switch {
	case t.shard.IsAll() && t.durations != "":
		return usagef("-shard=2/5 runs the second of five parts", "-shard-durations %s: there is no -shard", t.durations)
	case t.shard.IsAll():
		return nil
	case t.Bench != "":
		return usagef("run benchmarks by themselves", "-shard %s: benchmarks (-bench) are not split", t.shard)
	case t.mode == "guest":
		return usagef("-mode=host splits tests", "-mode guest: go test does not know -shard %s", t.shard)
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

// checkMode refuses what go test cannot do in a guest.
func (t *testFlags) checkMode() error {
	if t.mode != "host" && t.mode != "guest" {
		return usagef("", "-mode %s: want host or guest", t.mode)
	}
	if t.mode == "guest" && t.artifacts.dir != "" {
		return usagef("-mode=host brings files back", "-mode guest: it keeps no files")
	}
	if t.mode == "guest" && !t.printsGoTest() {
		return usagef("-mode=host makes reports", "-mode guest: it is go test that reports there")
	}
	if t.mode == "guest" && t.setupCmd+t.teardownCmd != "" {
		return usagef("-mode=host runs commands before and after the tests", "-mode guest: nothing runs around go test")
	}
	if t.mode == "guest" && t.arch.foreign() {
		return usagef("-mode=host compiles the tests here", "-mode guest: this machine's Go toolchain does not run on %s", &t.arch)
	}
	return nil
}
