package runner

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/bpf-vmtest/bpf-vmtest/internal/blocklist"
	"github.com/bpf-vmtest/bpf-vmtest/internal/boot"
	"github.com/bpf-vmtest/bpf-vmtest/internal/bundle"
	"github.com/bpf-vmtest/bpf-vmtest/internal/console"
	"github.com/bpf-vmtest/bpf-vmtest/internal/guest"
	"github.com/bpf-vmtest/bpf-vmtest/internal/kver"
	"github.com/bpf-vmtest/bpf-vmtest/internal/result"
)

// A kernelRun is one kernel's part of a run, on one machine.
type kernelRun struct {
	*Run
	name    string
	file    string // the name, in the names of files
	attempt int    // how many machines its tasks have run in, with this
	later   bool   // another package's machine has been announced as this kernel's
	tasks   []task
	guest   *boot.Running
	log     *console.Log
	blocked *blocklist.Set
	dir     string // in the bundle
	console string // path of the console's file
	earlier int64  // size of that before this machine
	env     []string
	up      atomic.Bool // the guest is there
	ready   bool        // for packages

	trouble    atomic.Bool // a package has failed, or the kernel has reported a fault
	collecting sync.Mutex  // files of one package at a time, for they share the limit
	collected  guest.Limits

	splatsMu   sync.Mutex
	splatsTold int
	dumped     struct{ from, to time.Time } // when the kernel was writing its tasks
	dumpOnce   sync.Once                    // at the run's deadline, which is that of all packages

	endedMu sync.Mutex
	ended   map[string]*task // by package: what has to run again, or nil
}

// runKernel boots one kernel and runs all packages on it, in one machine or in
// one each, and in further machines what failed. Whatever happens is in the
// stream afterwards.
func (r *Run) runKernel(ctx context.Context, res *resolution) {
	start := time.Now()
	groups := r.groups()
	var k *kernelRun
	for n, tasks := range groups {
		var err error
		k, err = r.runGroup(ctx, res, k, tasks)
		if err != nil && (ctx.Err() != nil || !k.ready) { // the others would come no further
			rest := r.machine(res, 1, slices.Concat(groups[n+1:]...))
			rest.blocked = k.blocked
			rest.notRun(ctx, err)
			break
		}
	}
	r.emit(result.Event{Action: result.Ended, Kernel: k.name, Elapsed: result.Seconds(time.Since(start)), Console: k.console, Path: k.dir})
}

// groups are the packages by the machines that they run in first.
func (r *Run) groups() [][]task {
	tasks := r.tasks()
	if !r.PerPackage || len(tasks) == 0 {
		return [][]task{tasks}
	}
	return slices.Collect(slices.Chunk(tasks, 1))
}

// runGroup runs packages in one machine, and in further ones what failed. It
// returns the last machine, and what it was lost by; before is the one before
// these, or nil.
func (r *Run) runGroup(ctx context.Context, res *resolution, before *kernelRun, tasks []task) (*kernelRun, error) {
	k := r.machine(res, 1, tasks)
	if before != nil {
		k.later, k.collected = true, before.collected
	}
	for {
		err := cmp.Or(res.err, context.Cause(ctx))
		if err == nil {
			err = k.run(ctx, res)
		}
		if err != nil {
			k.lost(ctx, err)
		}
		tasks := k.retried(ctx)
		if tasks == nil {
			k.notRun(ctx, err)
			return k, err
		}
		k = r.machine(res, k.attempt+1, tasks)
	}
}

// machine is a kernel's part of a run on a machine of its own.
func (r *Run) machine(res *resolution, attempt int, tasks []task) *kernelRun {
	return &kernelRun{Run: r, name: res.ref.String(), file: res.file, attempt: attempt, tasks: tasks, ended: map[string]*task{}}
}

// emit adds the kernel's name and the attempt.
func (k *kernelRun) emit(e result.Event) {
	e.Kernel = k.name
	if k.attempt > 1 {
		e.Attempt = k.attempt
	}
	k.Run.emit(e)
}

func (k *kernelRun) run(ctx context.Context, res *resolution) (err error) {
	dir := filepath.Join(k.work, k.file)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := k.begin(res); err != nil {
		return err
	}
	k.console = filepath.Join(k.dir, bundle.Console)
	f, err := os.OpenFile(k.console, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644) // one for all of the kernel's machines
	if err != nil {
		return fmt.Errorf("keep the console: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	before, err := f.Stat()
	if err != nil {
		return fmt.Errorf("keep the console: %w", err)
	}
	k.earlier = before.Size()

	k.log = console.NewLog(f, nil)
	if !k.later {
		k.Progress("boot " + k.name + k.again())
	}
	m := boot.Machine{Settings: k.shown(), Kernel: res.kernel, Layout: k.layout(), Base: k.Base, Dir: dir, Log: k.log}
	life, stop := k.lifetime(ctx)
	defer stop()
	if k.guest, err = m.Boot(life); err != nil {
		return err
	}
	defer k.guest.Close()
	k.up.Store(true)
	k.splatsTold = len(k.log.Splats())
	info := &result.MachineInfo{
		Release: k.guest.Hello.Release, Digest: res.kernel.Digest, Arch: res.kernel.Arch,
		Accel: k.guest.Accel.String(), Note: k.guest.Note, Without: k.guest.Skipped,
		CPUs: k.guest.CPUs, MemoryMiB: k.guest.MemoryMiB, Boot: k.guest.Took.Round(time.Millisecond).Seconds(), Warm: k.guest.Warm,
	}
	if !k.later {
		k.emit(result.Event{Action: result.Kernel, Machine: info})
	}
	if err := k.booted(res, info); err != nil {
		return err
	}
	version, err := kver.FromRelease(k.guest.Hello.Release)
	if err != nil {
		return err
	}
	bk := blocklist.Kernel{Name: k.name, Version: version, Arch: res.kernel.Arch}
	k.blocked = k.list.For(bk)
	k.tally.kernelIs(bk)
	k.env = k.space.Environ(k.name, k.guest.Hello.Release)
	if err := k.hook(ctx, result.Setup, k.Setup); err != nil {
		return err
	}
	k.ready = true
	if err := k.packages(ctx); err != nil {
		return err
	}
	if err := k.keepKernel(ctx, res); err != nil {
		return err
	}
	if err := k.hook(ctx, result.Teardown, k.Teardown); err != nil {
		return err
	}
	if err := k.guest.Shutdown(ctx); err != nil {
		return err
	}
	k.guest.Close()
	k.splats("", nil)
	if err := k.log.Err(); err != nil {
		return fmt.Errorf("keep the console: %w", err)
	}
	return nil
}

// layout adds the test binaries to what the guest sees of the host.
func (k *kernelRun) layout() guest.Layout {
	l := k.space.Layout()
	l.Shares = append(l.Shares, guest.Share{Path: k.bins, Target: guestBins})
	l.Cores = guestCores
	for _, p := range k.runnable() {
		l.Dirs = append(l.Dirs, p.guestArtifacts())
	}
	return l
}

// packages runs the packages, as many at a time as -p says; one is the default,
// because the packages of a kernel share its BPF state.
func (k *kernelRun) packages(ctx context.Context) error {
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(max(1, k.Flags.P))
	for _, t := range k.tasks {
		group.Go(func() error {
			if gctx.Err() != nil {
				return nil // it goes on in the next machine, or is reported as not run
			}
			return k.runPackage(gctx, t)
		})
	}
	return group.Wait()
}

// splats reports the faults of the kernel that have not been reported yet, as
// of the package that ran last if no other ran beside it, and of its test. What the kernel
// complained about while it booted is its own affair.
func (k *kernelRun) splats(pkg string, ran spans) {
	k.splatsMu.Lock()
	defer k.splatsMu.Unlock()
	if k.Flags.P > 1 {
		pkg, ran = "", nil
	}
	all := k.log.Splats()
	var told []string // the same fault again and again is one
	for _, s := range all[k.splatsTold:] {
		e := result.Event{Time: s.Time, Action: result.Splat, Package: pkg, Test: ran.at(s.Time), Reason: s.Title, Fingerprint: s.Fingerprint(), Lines: s.Lines}
		if s.Fatal || k.causedByDump(s) || slices.Contains(told, e.Fingerprint) {
			continue
		}
		k.trouble.Store(true)
		told = append(told, e.Fingerprint)
		e.Code, e.Block = k.judgeSplat(pkg, s)
		k.emit(e)
	}
	k.splatsTold = len(all)
}

// judgeSplat returns the exit code that a fault alone would mean, or nil, and the
// blocklist's entry that allows it.
func (k *kernelRun) judgeSplat(pkg string, s console.Splat) (code *int, allowed *result.BlockInfo) {
	if entry, ok := k.blocked.Allows(pkg, s.Fingerprint()); ok {
		return nil, k.blockInfo(entry)
	}
	switch {
	case !k.FailOnSplat:
		return nil, nil
	case s.Stuck:
		return new(ExitInfra), nil
	}
	return new(ExitFailed), nil
}

// stuck is what keeps a part of the kernel from going on, as far as it has told
// and nothing allows.
func (k *kernelRun) stuck(pkg string) (console.Splat, bool) {
	k.splatsMu.Lock()
	defer k.splatsMu.Unlock()
	for _, s := range k.log.Splats()[k.splatsTold:] {
		if code, _ := k.judgeSplat(pkg, s); s.Stuck && code != nil && !k.causedByDump(s) {
			return s, true
		}
	}
	return console.Splat{}, false
}

// lost reports that the kernel cannot go on.
func (k *kernelRun) lost(ctx context.Context, err error) {
	code := ExitInfra
	var timeout *timeoutError
	if errors.As(err, &timeout) {
		code = ExitFailed // a test hung and took its kernel along
	}
	e := result.Event{Action: result.Lost, Reason: err.Error(), Code: &code}
	var h interface{ Hint() string }
	if errors.As(err, &h) {
		e.Hint = h.Hint()
	}
	var l interface{ Excerpt() []string }
	if errors.As(err, &l) {
		e.Lines = l.Excerpt()
	}
	if ctx.Err() != nil {
		e.Reason, e.Hint, e.Lines = context.Cause(ctx).Error(), "", nil
	}
	k.emit(e)
}

// notRun reports every test as not run whose package has not begun before the
// kernel was lost.
func (k *kernelRun) notRun(ctx context.Context, err error) {
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	for _, t := range k.tasks {
		if _, begun := k.ended[t.ImportPath]; begun {
			continue
		}
		expect := k.expected(t)
		for _, b := range expect.blocked {
			k.emit(b)
		}
		for _, test := range expect.tests {
			k.emit(result.Event{Action: result.NotRun, Package: t.ImportPath, Test: test, Reason: err.Error()})
		}
		k.emit(result.Event{Action: result.NotRun, Package: t.ImportPath, Reason: err.Error()})
	}
}
