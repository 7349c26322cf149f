package runner

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/google/renameio/v2"

	"github.com/bpf-vmtest/bpf-vmtest/internal/blocklist"
	"github.com/bpf-vmtest/bpf-vmtest/internal/gotest"
	"github.com/bpf-vmtest/bpf-vmtest/internal/result"
)

// A tally is what the verdict and the blocklist's check are made of. It sees
// every event of the stream.
type tally struct {
	mu       sync.Mutex
	kernels  map[string]blocklist.Kernel
	packages map[[2]string]*ending // by kernel and package
	results  []blocklist.Result
	ran      int // tests that reported
	lost     int // exit code of the worst loss of a kernel
	splat    int // exit code of the kernels' worst fault
}

// An ending is how a package ended, the last time, and ever.
type ending struct{ failed, everFailed bool }

func (t *tally) kernelIs(k blocklist.Kernel) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.kernels == nil {
		t.kernels = map[string]blocklist.Kernel{}
	}
	t.kernels[k.Name] = k
}

func (t *tally) add(e result.Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch e.Action {
	case result.Pass, result.Fail, result.Skip:
		t.outcome(e)
	case result.Blocked, result.NotRun:
		if e.Test != "" {
			t.results = append(t.results, t.result(e, blocklist.NotRun))
		}
	case result.Splat:
		if e.Code != nil {
			t.splat = max(t.splat, *e.Code)
		}
	case result.Lost:
		t.lost = max(t.lost, *e.Code)
	}
}

func (t *tally) outcome(e result.Event) {
	if e.Test == "" {
		t.ended([2]string{e.Kernel, e.Package}, e.Action == result.Fail)
		return
	}
	t.ran++
	t.results = append(t.results, t.result(e, blocklist.Outcome(e.Action)))
}

func (t *tally) ended(pkg [2]string, failed bool) {
	if t.packages == nil {
		t.packages = map[[2]string]*ending{}
	}
	if t.packages[pkg] == nil {
		t.packages[pkg] = &ending{}
	}
	t.packages[pkg].failed = failed
	t.packages[pkg].everFailed = t.packages[pkg].everFailed || failed
}

// failed reports whether a package has failed that did not pass afterwards, and
// flaky whether one has that did.
func (t *tally) failed() (failed, flaky bool) {
	for _, p := range t.packages {
		failed = failed || p.failed
		flaky = flaky || p.everFailed && !p.failed
	}
	return failed, flaky
}

func (t *tally) result(e result.Event, o blocklist.Outcome) blocklist.Result {
	k, ok := t.kernels[e.Kernel]
	if !ok { // it did not boot
		k.Name = e.Kernel
	}
	return blocklist.Result{Kernel: k, Package: e.Package, Test: e.Test, Outcome: o}
}

// verdict says how the run ended and why, in the stream as well.
func (r *Run) verdict(ctx context.Context, took time.Duration) int {
	findings := r.findings()
	code, reason := r.tally.judge(r, len(findings))
	if ctx.Err() != nil {
		code, reason = ExitInfra, context.Cause(ctx).Error()
	}
	r.emit(result.Event{Action: result.Verdict, Code: &code, Reason: reason, Elapsed: result.Seconds(took)})
	return code
}

func (t *tally) judge(r *Run, findings int) (code int, reason string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	failed, flaky := t.failed()
	switch {
	case t.lost == ExitInfra:
		return ExitInfra, "not every kernel could be run to the end"
	case t.splat == ExitInfra:
		return ExitInfra, "the kernel was stuck"
	case failed || t.lost == ExitFailed:
		return ExitFailed, ""
	case t.splat == ExitFailed:
		return ExitFailed, "the kernel reported a fault"
	case findings > 0 && r.Strict:
		return ExitFailed, "the blocklist is not right"
	case flaky && r.FailOnFlaky:
		return ExitFailed, "a test passed only when it ran again"
	case t.ran == 0 && r.Flags.Bench == "" && r.tests == 0: // what other shards have run is theirs
		return ExitFailed, "no test ran"
	}
	return ExitPassed, ""
}

// findings holds the blocklist against what happened.
func (r *Run) findings() []blocklist.Finding {
	if r.list == nil {
		return nil
	}
	found := r.list.Check(blocklist.Run{Results: r.allResults(), WholeModule: r.wholeModule()})
	var code *int
	if r.Strict {
		code = new(ExitFailed)
	}
	for _, f := range found {
		r.emit(result.Event{Action: result.Finding, Reason: f.Message, Hint: f.Remedy, Code: code})
	}
	return found
}

// allResults are the run's results and, without an outcome, the tests that the
// run's patterns left out.
func (r *Run) allResults() []blocklist.Result {
	r.tally.mu.Lock()
	defer r.tally.mu.Unlock()
	type key struct{ kernel, pkg, test string }
	seen := map[key]bool{}
	for _, res := range r.tally.results {
		seen[key{res.Kernel.Name, res.Package, res.Test}] = true
	}
	all := slices.Clone(r.tally.results)
	for name, k := range r.tally.kernels {
		for _, p := range r.built {
			for _, t := range p.Tests {
				if !seen[key{name, p.ImportPath, t.Name}] {
					all = append(all, blocklist.Result{Kernel: k, Package: p.ImportPath, Test: t.Name})
				}
			}
		}
	}
	return all
}

// wholeModule reports whether nothing of the module was left out.
func (r *Run) wholeModule() bool {
	if r.part != nil || r.Flags.Run != "" || r.Flags.Skip != "" || !slices.Equal(r.Patterns, []string{"./..."}) {
		return false
	}
	return slices.ContainsFunc(r.built, func(p builtPackage) bool { return p.Module == r.Go.Dir })
}

// mergeCoverage adds up what the packages' binaries wrote on all kernels.
func (r *Run) mergeCoverage() error {
	if !r.Flags.Cover {
		return nil
	}
	files, err := filepath.Glob(filepath.Join(r.work, "*", "*.cov"))
	if err != nil {
		return err
	}
	var sum gotest.Coverage
	for _, file := range files {
		if err := addProfile(&sum, file); err != nil {
			return err
		}
	}
	r.emit(result.Event{Action: result.Coverage, Percent: sum.Percent()})
	if r.Flags.CoverProfile == "" {
		return nil
	}
	f, err := renameio.NewPendingFile(r.Flags.CoverProfile, renameio.WithPermissions(0o644))
	if err != nil {
		return fmt.Errorf("write coverage profile: %w", err)
	}
	defer f.Cleanup()
	if _, err := sum.WriteTo(f); err != nil {
		return fmt.Errorf("write coverage profile: %w", err)
	}
	return f.CloseAtomicallyReplace()
}

func addProfile(sum *gotest.Coverage, file string) (err error) {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := sum.Add(f); err != nil {
		return fmt.Errorf("%s: %w", filepath.Base(file), err)
	}
	return nil
}
