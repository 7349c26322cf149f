package runner

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/bpf-vmtest/bpf-vmtest/initramfs/wire"
	"github.com/bpf-vmtest/bpf-vmtest/internal/accel"
	"github.com/bpf-vmtest/bpf-vmtest/internal/blocklist"
	"github.com/bpf-vmtest/bpf-vmtest/internal/gotest"
	"github.com/bpf-vmtest/bpf-vmtest/internal/guest"
	"github.com/bpf-vmtest/bpf-vmtest/internal/result"
)

// expectation is what a package has to report on a kernel.
type expectation struct {
	tests     []string // top-level tests, in the order of the source
	run, skip string   // patterns for the binary
	blocked   []result.Event
}

// expected applies -run, -skip and the blocklist to a package's tests.
func (k *kernelRun) expected(p task) expectation {
	var e expectation
	blocked := k.blocklist()
	e.skip = blocked.Skip(p.ImportPath, k.Flags.Skip)
	var err error
	if e.run, err = blocked.Run(p.ImportPath, k.Flags.Run); err != nil {
		e.run = k.Flags.Run
	}
	if p.only != nil {
		e.run = gotest.Narrow(e.run, p.only)
	}
	for _, t := range p.Tests {
		if !k.selects(t) || p.only != nil && !slices.Contains(p.only, t.Name) {
			continue
		}
		entry, ok := blocked.Match(p.ImportPath, t.Name)
		if ok && entry.Expect == blocklist.Skip {
			e.blocked = append(e.blocked, result.Event{
				Action: result.Blocked, Package: p.ImportPath, Test: t.Name, Reason: entry.Reason, Block: k.blockInfo(entry),
			})
			continue
		}
		e.tests = append(e.tests, t.Name)
	}
	return e
}

func (r *Run) blockInfo(e blocklist.Entry) *result.BlockInfo {
	return &result.BlockInfo{Expect: string(e.Expect), Reason: e.Reason, Issue: e.Issue, Where: r.where(e.Pos)}
}

// where is file:line, the file as the user would name it.
func (r *Run) where(p blocklist.Pos) string {
	if p.File == "" {
		return "" // not in an ALLOWLIST
	}
	file := p.File
	if rel, err := filepath.Rel(r.Go.Dir, file); err == nil && !strings.HasPrefix(rel, "../") {
		file = rel
	}
	return fmt.Sprintf("%s:%d", file, p.Line)
}

// packageRun is one package on one kernel while it runs.
type packageRun struct {
	*machineRun
	task     task
	pkg      builtPackage
	expect   expectation
	conv     *gotest.Converter
	start    time.Time
	reported map[string]bool // tests that have passed, failed or skipped
	skipped  map[string]bool
	failed   []string
	excused  int
	// saidTimeout is set when the binary printed that its time was over.
	saidTimeout bool
	// raced is set when the race detector reported something.
	raced bool
	// flooded is set when it has printed more than it may.
	flooded bool
	spans   spans
	kept    kept
}

func (m *machineRun) newPackageRun(t task) *packageRun {
	return &packageRun{
		machineRun: m, task: t, pkg: t.builtPackage, expect: m.expected(t), start: time.Now(),
		reported: map[string]bool{}, skipped: map[string]bool{},
	}
}

// runPackage runs a package's binary. An error means that the machine is lost.
func (m *machineRun) runPackage(ctx context.Context, t task) error {
	pr := m.newPackageRun(t)
	pr.begin()
	if m.Command != "" {
		return pr.runCommand(ctx)
	}
	if len(pr.expect.tests) == 0 && m.Flags.Bench == "" {
		pr.nothing()
		return nil
	}
	all := map[string]bool{}
	for _, t := range t.Tests {
		all[t.Name] = true
	}
	pr.conv = gotest.NewConverter(func(test string) bool { return all[test] }, pr.event)
	exited, timedOut, err := pr.exec(ctx, t.ImportPath, pr.binaryCommand())
	pr.conv.Close()
	collectErr := pr.collect(ctx, err)
	m.splats(t.ImportPath, pr.spans)
	if err != nil {
		return pr.interrupted(err)
	}
	pr.judge(exited, timedOut)
	return errors.Join(collectErr, pr.kept.err, pr.fetchProfile(ctx))
}

func (pr *packageRun) begin() {
	if pr.task.whole.begins() {
		pr.emit(result.Event{Action: result.Start})
	}
	pr.tellBlocked()
}

// tellBlocked reports the tests that do not run, unless that was done before an
// earlier attempt.
func (pr *packageRun) tellBlocked() {
	if pr.task.again {
		return
	}
	for _, e := range pr.expect.blocked {
		pr.kernelRun.emit(e)
	}
}

// nothing ends a package of which there is nothing to run.
func (pr *packageRun) nothing() {
	say := "testing: warning: no tests to run\n"
	if n := len(pr.expect.blocked); n > 0 {
		say = fmt.Sprintf("vmtest: all of the %d tests are blocked\n", n)
	}
	if pr.task.whole.parts == 1 {
		pr.emit(result.Event{Action: result.Output, Output: say})
	}
	pr.end(result.Skip, "")
}

// emit adds the package's name.
func (pr *packageRun) emit(e result.Event) {
	e.Package = pr.pkg.ImportPath
	pr.machineRun.emit(e)
}

// event takes what the converter reads out of the output.
func (pr *packageRun) event(e result.Event) {
	pr.spans.event(e)
	switch e.Action {
	case result.Run:
		pr.begins(e.Test)
	case result.Artifacts:
		e.Path = pr.artifactsAt(e.Test, e.Path)
	case result.Output:
		if e.Test == "" && pr.task.whole.parts > 1 && isVerdict([]byte(e.Output)) {
			return // on a part
		}
		pr.printed(e)
		pr.saidTimeout = pr.saidTimeout || strings.HasPrefix(e.Output, "panic: test timed out after ")
		pr.raced = pr.raced || strings.HasPrefix(e.Output, "WARNING: DATA RACE")
	case result.Fail:
		pr.failed = append(pr.failed, e.Test)
		if entry, ok := pr.blocklist().Excused(pr.pkg.ImportPath, pr.failed)[e.Test]; ok {
			e.Block = pr.blockInfo(entry)
			pr.excused++
			pr.forget(e.Test)
		} else {
			pr.fails(e.Test)
		}
		pr.reported[e.Test] = true
	case result.Pass:
		if entry, ok := pr.blocklist().Unexpected(pr.pkg.ImportPath, e.Test); ok {
			e.Block = pr.blockInfo(entry)
		}
		pr.forget(e.Test)
		pr.reported[e.Test] = true
	case result.Skip:
		pr.forget(e.Test)
		pr.reported[e.Test], pr.skipped[e.Test] = true, true
	}
	pr.emit(e)
	pr.spend(e)
}

// guestBins is where a guest finds the test binaries.
const guestBins = "/run/vmtest/bin"

func (pr *packageRun) profile() string {
	if !pr.Flags.Cover {
		return ""
	}
	return fmt.Sprintf("/run/vmtest/%s-%d-%d.cov", filepath.Dir(pr.pkg.binary), pr.attempt, pr.task.part)
}

// binaryCommand is the package's binary with its arguments.
func (pr *packageRun) binaryCommand() guest.Command {
	args := pr.Flags.Binary(pr.expect.run, pr.expect.skip, pr.profile(), pr.artifactDir())
	return guest.Command{
		Args:        append([]string{filepath.Join(guestBins, pr.pkg.binary)}, args...),
		Env:         append(slices.Clone(pr.env), "PWD="+pr.pkg.Dir, "VMTEST_ARTIFACTS="+pr.pkg.guestArtifacts()),
		Dir:         pr.pkg.Dir,
		Stdout:      pr.conv,
		MergeStderr: true,
	}
}

// grace is what a test binary gets beyond -timeout to report it by itself, and
// what the guest gets to kill it.
func (m *machineRun) grace() time.Duration {
	if m.guest.Accel == accel.KVM {
		return 15 * time.Second
	}
	return time.Minute
}

// slowed is a time as it is on a host as busy as this one has been.
func (m *machineRun) slowed(d time.Duration) time.Duration {
	return time.Duration(float64(d) * m.guest.Slowdown())
}

type timeoutError struct{ limit time.Duration }

func (e *timeoutError) Error() string { return fmt.Sprintf("timed out after %v", e.limit) }

// interrupted reports a package that lost its kernel: the tests that were
// running have failed, the ones that had not reported did not run.
func (pr *packageRun) interrupted(err error) error {
	running := pr.failRunning(err.Error())
	for _, test := range pr.missing() {
		pr.emit(result.Event{Action: result.NotRun, Test: test, Reason: err.Error()})
	}
	pr.end(result.Fail, err.Error())
	if len(running) > 0 {
		return &testLostError{test: running[len(running)-1], pkg: pr.pkg.ImportPath, err: err}
	}
	return err
}

// failRunning ends the tests that were running when the binary ended, and
// returns them, parents before their subtests.
func (pr *packageRun) failRunning(reason string) []string {
	running := pr.conv.Running()
	slices.Sort(running)
	for _, test := range slices.Backward(running) {
		pr.fails(test)
		pr.emit(result.Event{Action: result.Fail, Test: test, Reason: reason})
		pr.reported[test] = true
	}
	return running
}

// A testLostError names the test that was running when the kernel was lost.
type testLostError struct {
	test, pkg string
	err       error
}

func (e *testLostError) Error() string {
	return fmt.Sprintf("%v, in %s of %s", e.err, e.test, e.pkg)
}

func (e *testLostError) Unwrap() error { return e.err }

// missing lists the expected tests that have not reported.
func (pr *packageRun) missing() []string {
	var names []string
	for _, test := range pr.expect.tests {
		if !pr.reported[test] {
			names = append(names, test)
		}
	}
	return names
}

// judge decides what a package's end means. The exit status has the last word,
// and silence is failure.
func (pr *packageRun) judge(exited wire.ExitedMsg, timedOut bool) {
	missing := pr.missing()
	failures := len(pr.failed) - pr.excused
	timedOut = timedOut || exited.Code == 2 && pr.saidTimeout
	reason := pr.orFlood(endReason(exited, pr.Flags.Timeout, timedOut))
	why := reason // for the tests that were running
	switch {
	case reason == "" && len(missing) > 0 && pr.failedFast() && failures == 0:
		reason = "-failfast ended it after a failure that was expected"
	case reason == "" && len(missing) > 0 && !pr.failedFast():
		reason = fmt.Sprintf("%d of %d tests did not report", len(missing), len(pr.expect.tests))
	case reason == "" && !pr.conv.Finished() && exited.Code == 0:
		reason = "the binary ended with status 0 and without saying PASS"
	case reason == "":
		reason = pr.dodged()
	}
	// What ended the binary before its time is what its running test did.
	if why == "" {
		why = fmt.Sprintf("the binary ended with status %d while it was running", exited.Code)
	}
	failures += len(pr.failRunning(why))
	for _, test := range pr.missing() {
		pr.emit(result.Event{Action: result.NotRun, Test: test, Reason: cmp.Or(reason, "an earlier test failed")})
	}
	switch {
	case reason != "" || failures > 0:
		pr.end(result.Fail, reason)
	case exited.Code != 0 && pr.excused == 0:
		pr.end(result.Fail, fmt.Sprintf("exit status %d", exited.Code))
	default:
		pr.end(result.Pass, "")
	}
}

// failedFast reports whether -failfast explains missing tests.
func (pr *packageRun) failedFast() bool {
	return len(pr.failed) > 0 && slices.Contains(pr.Flags.Pass, "-test.failfast=true")
}

// endReason explains an end that no test's report explains.
func endReason(e wire.ExitedMsg, limit time.Duration, timedOut bool) string {
	switch {
	case e.Error != "":
		return e.Error
	case timedOut:
		return (&timeoutError{limit}).Error()
	case e.Signal != 0 && e.OOMKilled:
		return "killed by the guest's OOM killer; -memory gives it more"
	case e.Signal != 0:
		return "killed by " + SignalName(syscall.Signal(e.Signal))
	case e.Code > 2: // 1 is a failed test, 2 a panic or a timeout that says so
		return fmt.Sprintf("exit status %d", e.Code)
	}
	return ""
}

// SignalName is SIGSEGV for signal 11.
func SignalName(s syscall.Signal) string {
	for name, n := range signalNames {
		if n == s {
			return name
		}
	}
	return fmt.Sprintf("signal %d", int(s))
}

var signalNames = map[string]syscall.Signal{
	"SIGHUP": syscall.SIGHUP, "SIGINT": syscall.SIGINT, "SIGQUIT": syscall.SIGQUIT, "SIGILL": syscall.SIGILL,
	"SIGTRAP": syscall.SIGTRAP, "SIGABRT": syscall.SIGABRT, "SIGBUS": syscall.SIGBUS, "SIGFPE": syscall.SIGFPE,
	"SIGKILL": syscall.SIGKILL, "SIGSEGV": syscall.SIGSEGV, "SIGPIPE": syscall.SIGPIPE, "SIGALRM": syscall.SIGALRM,
	"SIGTERM": syscall.SIGTERM, "SIGSYS": syscall.SIGSYS, "SIGXCPU": syscall.SIGXCPU, "SIGXFSZ": syscall.SIGXFSZ,
}

// end ends what this machine runs of the package.
func (pr *packageRun) end(a result.Action, reason string) {
	pr.keep(a)
	pr.ends(a, reason)
	pr.endedMu.Lock()
	defer pr.endedMu.Unlock()
	pr.ended[pr.pkg.ImportPath] = pr.retry(a, reason)
}

// ends reports the end of the package, after its last part.
func (pr *packageRun) ends(a result.Action, reason string) {
	e, ok := pr.task.whole.ends(a, reason)
	if !ok {
		return
	}
	if pr.task.whole.parts > 1 && e.Elapsed != nil { // what the parts have not said
		pr.emit(result.Event{Action: result.Output, Output: strings.ToUpper(string(e.Action)) + "\n"})
	}
	pr.emit(e)
}

// fetchProfile brings the package's coverage back. A binary that failed early
// has none.
func (pr *packageRun) fetchProfile(ctx context.Context) error {
	profile := pr.profile()
	if profile == "" {
		return nil
	}
	err := pr.guest.Fetch(ctx, profile, filepath.Join(pr.work, pr.file))
	if err != nil && strings.Contains(err.Error(), "no such file") {
		return nil
	}
	return err
}
