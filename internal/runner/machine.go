package runner

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/bpf-vmtest/bpf-vmtest/internal/blocklist"
	"github.com/bpf-vmtest/bpf-vmtest/internal/boot"
	"github.com/bpf-vmtest/bpf-vmtest/internal/console"
	"github.com/bpf-vmtest/bpf-vmtest/internal/guest"
	"github.com/bpf-vmtest/bpf-vmtest/internal/kver"
	"github.com/bpf-vmtest/bpf-vmtest/internal/result"
)

// A machineRun is one machine's part of a kernel's.
type machineRun struct {
	*kernelRun
	job
	n     int // which one of the kernel's machines
	guest *boot.Running
	log   *console.Log
	own   string // path of what the kernel prints in this machine
	env   []string
	up    atomic.Bool // the guest is there
	ready bool        // for packages

	trouble atomic.Bool // a package has failed, or the kernel has reported a fault

	splatsMu   sync.Mutex
	splatsTold int
	dumped     struct{ from, to time.Time } // when the kernel was writing its tasks
	dumpOnce   sync.Once                    // at the run's deadline, which is that of all packages

	endedMu sync.Mutex
	ended   map[string]*task // by package: what has to run again, or nil
}

// do runs the job and returns what of it is to run again.
func (m *machineRun) do(ctx context.Context) (again []task) {
	if err := m.gone(ctx); err != nil {
		m.tasks = slices.DeleteFunc(m.tasks, func(t task) bool { return t.again }) // these have been reported
		m.notRun(err)
		return nil
	}
	if m.skip() {
		return nil
	}
	err := m.run(ctx)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		m.lost(ctx, err)
	}
	if again = m.retried(ctx); again == nil {
		m.notRun(err)
	}
	return again
}

// skip ends a job that needs no machine, for the blocklist leaves nothing of it.
// It reports whether that is so, as far as it is known.
func (m *machineRun) skip() bool {
	if m.blocklist() == nil || m.Command != "" || m.Flags.Bench != "" {
		return false
	}
	var packages []*packageRun
	for _, t := range m.tasks {
		pr := m.newPackageRun(t)
		if len(pr.expect.tests) > 0 {
			return false
		}
		packages = append(packages, pr)
	}
	for _, pr := range packages {
		pr.begin()
		pr.nothing()
	}
	return true
}

// emit adds the attempt.
func (m *machineRun) emit(e result.Event) {
	if m.attempt > 1 {
		e.Attempt = m.attempt
	}
	m.kernelRun.emit(e)
}

func (m *machineRun) run(ctx context.Context) (err error) {
	if err := m.begin(); err != nil {
		return err
	}
	own, err := os.Create(m.own)
	if err != nil {
		return fmt.Errorf("keep the console: %w", err)
	}
	defer func() { err = errors.Join(err, m.keepConsole(own)) }()
	m.log = console.NewLog(own, nil)
	life, stop := m.lifetime(ctx)
	defer stop()
	if err := m.boot(life); err != nil {
		return err
	}
	defer m.guest.Close()
	m.up.Store(true)
	if err := m.booted(); err != nil {
		return err
	}
	if err := m.serve(ctx); err != nil {
		return err
	}
	if err := m.guest.Shutdown(ctx); err != nil {
		return err
	}
	m.guest.Close()
	m.splats("", nil)
	if err := m.log.Err(); err != nil {
		return fmt.Errorf("keep the console: %w", err)
	}
	return nil
}

// keepConsole adds what the kernel has printed in this machine to what it has in
// others.
func (m *machineRun) keepConsole(own *os.File) (err error) {
	m.keeping.Lock()
	defer m.keeping.Unlock()
	all, err := os.OpenFile(m.console, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err == nil {
		if _, err = own.Seek(0, io.SeekStart); err == nil {
			_, err = io.Copy(all, own)
		}
		err = errors.Join(err, all.Close())
	}
	if err = errors.Join(err, own.Close()); err != nil {
		return fmt.Errorf("keep the console: %w", err)
	}
	return os.Remove(m.own)
}

// boot boots the machine.
func (m *machineRun) boot(ctx context.Context) (err error) {
	if m.n == 1 || m.attempt > 1 {
		m.Progress("boot " + m.name + m.again())
	}
	dir := filepath.Join(m.work, m.file, strconv.Itoa(m.n))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	machine := boot.Machine{Settings: m.shown(), Kernel: m.kernel, Layout: m.layout(), Base: m.Base, Dir: dir, Log: m.log}
	m.guest, err = machine.Boot(ctx)
	return err
}

// booted says which kernel the guest runs, if that is news.
func (m *machineRun) booted() error {
	m.splatsTold = len(m.log.Splats())
	release := m.guest.Hello.Release
	version, err := kver.FromRelease(release)
	if err != nil {
		return err
	}
	m.env = m.space.Environ(m.name, release)
	first := m.is(blocklist.Kernel{Name: m.name, Version: version, Arch: m.kernel.Arch})
	if !first && m.attempt == 1 {
		return nil
	}
	info := &result.MachineInfo{
		Release: release, Digest: m.kernel.Digest, Arch: m.kernel.Arch,
		Accel: m.guest.Accel.String(), Note: m.guest.Note, Without: m.guest.Skipped,
		CPUs: m.guest.CPUs, MemoryMiB: m.guest.MemoryMiB, Boot: m.guest.Took.Round(time.Millisecond).Seconds(), Warm: m.guest.Warm,
	}
	m.emit(result.Event{Action: result.Kernel, Machine: info})
	return m.tellAbout(info)
}

// serve runs the packages, and the commands around them, in the guest.
func (m *machineRun) serve(ctx context.Context) error {
	if err := m.hook(ctx, result.Setup, m.Setup); err != nil {
		return err
	}
	m.ready = true
	m.help(ctx)
	if err := m.packages(ctx); err != nil {
		return err
	}
	if err := m.keepKernel(ctx); err != nil {
		return err
	}
	return m.hook(ctx, result.Teardown, m.Teardown)
}

// layout adds the test binaries to what the guest sees of the host.
func (m *machineRun) layout() guest.Layout {
	l := m.space.Layout()
	l.Shares = append(l.Shares, guest.Share{Path: m.bins, Target: guestBins})
	l.Cores = guestCores
	for _, p := range m.runnable() {
		l.Dirs = append(l.Dirs, p.guestArtifacts())
	}
	return l
}

// packages runs the packages, as many at a time as -p says; one is the default,
// because the packages of a kernel share its BPF state.
func (m *machineRun) packages(ctx context.Context) error {
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(max(1, m.Flags.P))
	for _, t := range m.tasks {
		group.Go(func() error {
			if gctx.Err() != nil {
				return nil // it goes on in the next machine, or is reported as not run
			}
			return m.runPackage(gctx, t)
		})
	}
	return group.Wait()
}

// splats reports the faults of the kernel that have not been reported yet, as
// of the package that ran last if no other ran beside it, and of its test. What the kernel
// complained about while it booted is its own affair.
func (m *machineRun) splats(pkg string, ran spans) {
	m.splatsMu.Lock()
	defer m.splatsMu.Unlock()
	if m.Flags.P > 1 {
		pkg, ran = "", nil
	}
	all := m.log.Splats()
	var told []string // the same fault again and again is one
	for _, s := range all[m.splatsTold:] {
		e := result.Event{Time: s.Time, Action: result.Splat, Package: pkg, Test: ran.at(s.Time), Reason: s.Title, Fingerprint: s.Fingerprint(), Lines: s.Lines}
		if s.Fatal || m.causedByDump(s) || slices.Contains(told, e.Fingerprint) {
			continue
		}
		m.trouble.Store(true)
		told = append(told, e.Fingerprint)
		if e.Code, e.Block = m.judgeSplat(pkg, s); e.Block == nil {
			e.Source = m.source(m.guest.Hello.Release).Decode(e.Lines)
		}
		m.emit(e)
	}
	m.splatsTold = len(all)
}

// judgeSplat returns the exit code that a fault alone would mean, or nil, and the
// blocklist's entry that allows it.
func (m *machineRun) judgeSplat(pkg string, s console.Splat) (code *int, allowed *result.BlockInfo) {
	if entry, ok := m.blocklist().Allows(pkg, s.Fingerprint()); ok {
		return nil, m.blockInfo(entry)
	}
	switch {
	case !m.FailOnSplat:
		return nil, nil
	case s.Stuck:
		return new(ExitInfra), nil
	}
	return new(ExitFailed), nil
}

// stuck is what keeps a part of the kernel from going on, as far as it has told
// and nothing allows.
func (m *machineRun) stuck(pkg string) (console.Splat, bool) {
	m.splatsMu.Lock()
	defer m.splatsMu.Unlock()
	for _, s := range m.log.Splats()[m.splatsTold:] {
		if code, _ := m.judgeSplat(pkg, s); s.Stuck && code != nil && !m.causedByDump(s) {
			return s, true
		}
	}
	return console.Splat{}, false
}

// lost reports that the machine cannot go on, and that no other one would come
// further if this one did not come to its packages.
func (m *machineRun) lost(ctx context.Context, err error) {
	if (ctx.Err() != nil || !m.ready) && !m.dies(err) {
		return // another machine has said so
	}
	e := lost(err)
	if m.up.Load() { // before, it does not matter to the tests where it was
		e.Source = m.source(m.guest.Hello.Release).Decode(e.Lines)
	}
	m.emit(e)
}

// lost says that a kernel cannot go on.
func lost(err error) result.Event {
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
	return e
}

// notRun reports every test as not run whose package has not begun here.
func (m *machineRun) notRun(err error) {
	for _, t := range m.tasks {
		if _, begun := m.ended[t.ImportPath]; begun {
			continue
		}
		pr := m.newPackageRun(t)
		pr.tellBlocked()
		for _, test := range pr.expect.tests {
			pr.emit(result.Event{Action: result.NotRun, Test: test, Reason: err.Error()})
		}
		pr.ends(result.NotRun, err.Error())
	}
}
