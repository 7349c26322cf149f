// Package runner runs a module's tests on kernels and reports what happens as
// one stream of events.
package runner

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"github.com/bpf-vmtest/bpf-vmtest/internal/blocklist"
	"github.com/bpf-vmtest/bpf-vmtest/internal/boot"
	"github.com/bpf-vmtest/bpf-vmtest/internal/bundle"
	"github.com/bpf-vmtest/bpf-vmtest/internal/gotest"
	"github.com/bpf-vmtest/bpf-vmtest/internal/guest"
	"github.com/bpf-vmtest/bpf-vmtest/internal/kernel"
	"github.com/bpf-vmtest/bpf-vmtest/internal/kernelref"
	"github.com/bpf-vmtest/bpf-vmtest/internal/meminfo"
	"github.com/bpf-vmtest/bpf-vmtest/internal/result"
	"github.com/bpf-vmtest/bpf-vmtest/internal/shard"
	"github.com/bpf-vmtest/bpf-vmtest/internal/workspace"
)

// Exit codes, an API: see docs/results.md.
const (
	ExitPassed = 0
	ExitFailed = 1
	ExitUsage  = 2
	ExitInfra  = 3
)

// A Resolver finds a kernel for a reference.
type Resolver interface {
	Resolve(context.Context, kernelref.Ref) (*kernel.Kernel, error)
}

// A Run is the tests of some packages on some kernels.
type Run struct {
	Kernels   []kernelref.Ref
	Arch      string // GOARCH of all of them
	Resolver  Resolver
	Go        gotest.Go
	Patterns  []string
	Command   string // a line for a shell, that is run instead of packages; or empty
	Vet       string // -vet's argument
	Flags     gotest.Flags
	Blocklist func(modules []string) (*blocklist.List, error)
	Machines  boot.Settings
	Base      string // archive below init's, see boot.Machine
	Hermetic  bool
	Mounts    []guest.Share
	Env       []string // more of the guest's environment, NAME=value
	Isolate   Isolation
	// Parallel is how many machines run at once; 0 is as many as cores and
	// memory allow.
	Parallel int
	Bundle   *bundle.Bundle // what outlives the run, beside the stream
	// Artifacts bounds what the tests' files of one kernel may come to.
	Artifacts guest.Limits
	// OutputLimit bounds what a package may print on each kernel, in bytes.
	OutputLimit int64
	Info        result.RunInfo
	Sink        result.Sink
	// FailOnSplat makes a fault that the kernel reports fail the run.
	FailOnSplat bool
	// Strict makes a finding about the blocklist fail the run.
	Strict bool
	// Retry is how many more machines a kernel gets for tests that failed.
	Retry int
	// FailOnFlaky makes a test fail the run that passed in one of those only.
	FailOnFlaky bool
	// Setup and Teardown are command lines for a shell in each guest, before
	// the first package and after the last; or empty.
	Setup, Teardown string
	// Shard is the part of the tests to run.
	Shard shard.Shard
	// Durations are what tests took before, for splitting them well. All
	// shards must have the same.
	Durations shard.Durations
	// Recorded are what they took here the last time: where several machines
	// run at once, the longest packages begin first.
	Recorded shard.Durations
	// Progress tells what is being done; lines for a person.
	Progress func(string)

	mu      sync.Mutex
	sinkErr error
	space   workspace.Workspace
	work    string // temporary directory
	bins    string // below it: the test binaries
	built   []builtPackage
	list    *blocklist.List
	atOnce  int                 // how many machines run at a time, see parallel
	room    *semaphore.Weighted // for them
	part    map[string][]string // by package: the tests of this shard; nil where it is all
	tests   int                 // of all shards
	tally   tally
}

// builtPackage is a package whose tests are ready to run.
type builtPackage struct {
	*gotest.Package
	binary string // relative to the directory of binaries; empty when it has no tests
	dir    string // its name in the bundle
}

// Do runs everything and returns the exit code. An error is one that kept the
// run from starting, or from being recorded.
func (r *Run) Do(ctx context.Context) (code int, err error) {
	start := time.Now()
	work, remove, err := boot.TempDir(r.Machines.CacheDir)
	if err != nil {
		return ExitInfra, err
	}
	defer remove()
	r.work, r.bins = work, filepath.Join(work, "bin")
	if err := os.Mkdir(r.bins, 0o755); err != nil {
		return ExitInfra, err
	}
	load := r.load
	if r.Command != "" {
		load = r.loadCommand
	}
	packages, err := load(ctx)
	if err != nil {
		return ExitInfra, err
	}
	r.split(packages)
	r.header(packages)

	kernels := r.resolveAll(ctx)
	if err := r.compile(ctx, packages); err != nil {
		return ExitInfra, err
	}
	if len(r.runnable()) > 0 {
		r.runKernels(ctx, kernels)
	} else {
		kernels.wait()
	}
	if err := r.mergeCoverage(); err != nil {
		return ExitInfra, err
	}
	code = r.verdict(ctx, time.Since(start))
	return code, errors.Join(r.sinkErr, r.Bundle.Close())
}

// load asks the go command for everything it must know before a machine starts.
func (r *Run) load(ctx context.Context) ([]*gotest.Package, error) {
	env, err := r.Go.Environment(ctx)
	if err != nil {
		return nil, err
	}
	if err := gotest.CheckArch(env.GOARCH, r.Arch); err != nil {
		return nil, err
	}
	packages, err := r.Go.List(ctx, r.Patterns)
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	var modules []string
	r.space = workspace.Workspace{Go: env, Arch: r.Arch, Mounts: r.Mounts, Hermetic: r.Hermetic, Env: r.Env}
	for _, p := range packages {
		if p.Dir != "" {
			r.space.Dirs = append(r.space.Dirs, p.Dir)
		}
		if p.Module != "" && !seen[p.Module] {
			seen[p.Module] = true
			modules = append(modules, p.Module)
		}
	}
	if err := r.space.CheckShared(); err != nil {
		return nil, err
	}
	r.list, err = r.Blocklist(modules)
	return packages, err
}

func (r *Run) header(packages []*gotest.Package) {
	info := r.Info
	info.Protocol, info.Go, info.Command = result.Protocol, r.space.Go.GOVERSION, r.Command
	for _, ref := range r.Kernels {
		info.Kernels = append(info.Kernels, ref.String())
	}
	info.Root = cmp.Or(workspace.Repository(r.Go.Dir), r.Go.Dir)
	info.Dir, _ = below(info.Root, r.Go.Dir)
	info.Bundle = r.Bundle.Dir
	info.Dirs = map[string]string{}
	for _, p := range packages {
		info.Packages = append(info.Packages, p.ImportPath)
		if dir, ok := below(info.Root, p.Dir); ok {
			info.Dirs[p.ImportPath] = dir
		}
	}
	r.emit(result.Event{Action: result.Header, Run: &info})
}

// below is a directory relative to root, if it is there.
func below(root, dir string) (rel string, ok bool) {
	rel, err := filepath.Rel(root, dir)
	return filepath.ToSlash(rel), err == nil && filepath.IsLocal(rel)
}

// emit puts an event into the stream, from whichever goroutine.
func (r *Run) emit(e result.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	r.tally.add(e)
	if err := r.Sink.Event(e); err != nil && r.sinkErr == nil {
		r.sinkErr = fmt.Errorf("write results: %w", err)
	}
}

// resolution is a kernel being resolved while the tests compile.
type resolution struct {
	ref    kernelref.Ref
	file   string // its name in the names of files
	done   chan struct{}
	kernel *kernel.Kernel
	err    error
}

type resolutions []*resolution

func (rs resolutions) wait() {
	for _, k := range rs {
		<-k.done
	}
}

func (r *Run) resolveAll(ctx context.Context) resolutions {
	all := make(resolutions, len(r.Kernels))
	for i, ref := range r.Kernels {
		all[i] = &resolution{ref: ref, file: bundle.FileName(ref.String()), done: make(chan struct{})}
		// Two names may differ in nothing that a file's name can hold.
		if slices.ContainsFunc(all[:i], func(k *resolution) bool { return k.file == all[i].file }) {
			all[i].file += "-" + strconv.Itoa(i+1)
		}
	}
	go func() { // one after the other: they share a network and a cache
		for _, k := range all {
			k.kernel, k.err = r.Resolver.Resolve(ctx, k.ref)
			close(k.done)
		}
	}()
	return all
}

// compile builds every package's test binary, several at a time. What does not
// build is reported and the rest goes on.
func (r *Run) compile(ctx context.Context, packages []*gotest.Package) error {
	if r.Command != "" {
		r.built = []builtPackage{{packages[0], binaryName(0, commandTest), bundle.FileName(commandTest)}}
		return nil
	}
	vetted := make(chan struct{})
	var findings map[string]string
	var vetErr error
	go func() {
		defer close(vetted)
		findings, vetErr = r.Go.Vet(ctx, r.Vet, r.ours(packages))
	}()
	r.built = make([]builtPackage, len(packages))
	dirs := map[string]bool{}
	failures := make([]string, len(packages))
	r.Progress("compile " + count(r.ours(packages)))
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(max(1, runtime.NumCPU()))
	for i, p := range packages {
		r.built[i].Package, r.built[i].dir = p, bundle.FileName(p.ImportPath)
		if dirs[r.built[i].dir] { // a/b_c and a/b/c
			r.built[i].dir += "-" + strconv.Itoa(i)
		}
		dirs[r.built[i].dir] = true
		if p.Broken == "" && len(p.Tests) == 0 || !r.isOurs(p) {
			continue
		}
		group.Go(func() error {
			binary := binaryName(i, p.ImportPath)
			out, ok, err := r.Go.Compile(gctx, p, filepath.Join(r.bins, binary))
			if ok || pastDeadline(err) { // then its tests are reported as not run
				r.built[i].binary = binary
			} else {
				failures[i] = out
			}
			return err
		})
	}
	err := group.Wait()
	<-vetted
	if err = errors.Join(err, vetErr); err != nil && !pastDeadline(err) {
		return err
	}
	for i, p := range packages {
		if r.built[i].binary != "" && findings[p.ImportPath] != "" {
			failures[i], r.built[i].binary = "# "+p.ImportPath+"\n"+findings[p.ImportPath], ""
		}
		if p.Broken == "" && len(p.Tests) == 0 {
			r.emit(result.Event{Action: result.Output, Package: p.ImportPath, Output: "?   \t" + p.ImportPath + "\t[no test files]\n"})
			r.emit(result.Event{Action: result.Skip, Package: p.ImportPath, Elapsed: result.Seconds(0)})
		}
		if failures[i] != "" || p.Broken != "" && r.built[i].binary == "" {
			r.buildFailed(p, cmp.Or(failures[i], p.Broken))
		}
	}
	return nil
}

func count(packages []*gotest.Package) string {
	if len(packages) == 1 {
		return packages[0].ImportPath
	}
	return fmt.Sprintf("%d packages", len(packages))
}

// binaryName reads like go test's. Only the number tells m/a_b from m/a/b.
func binaryName(n int, importPath string) string {
	return filepath.Join(strconv.Itoa(n), filepath.Base(importPath)+".test")
}

// buildFailed reports a package as go test -json does; it fails once, for all
// kernels.
func (r *Run) buildFailed(p *gotest.Package, output string) {
	for line := range strings.Lines(output) {
		r.emit(result.Event{Action: result.BuildOutput, ImportPath: p.ImportPath, Output: line})
	}
	r.emit(result.Event{Action: result.BuildFail, ImportPath: p.ImportPath})
	r.emit(result.Event{Action: result.Fail, Package: p.ImportPath, FailedBuild: p.ImportPath, Elapsed: result.Seconds(0)})
}

// runnable are the packages that a machine is needed for.
func (r *Run) runnable() []builtPackage {
	var packages []builtPackage
	for _, p := range r.built {
		if p.binary != "" {
			packages = append(packages, p)
		}
	}
	return packages
}

// runKernels runs the kernels, several machines at a time. One kernel's trouble is
// reported as that kernel's and does not keep the others from running.
func (r *Run) runKernels(ctx context.Context, kernels resolutions) {
	var group sync.WaitGroup
	r.atOnce = r.parallel()
	r.room = semaphore.NewWeighted(int64(r.atOnce))
	for _, k := range kernels {
		_ = r.room.Acquire(context.WithoutCancel(ctx), 1) // a kernel that does not run is reported as well
		group.Go(func() {
			defer r.room.Release(1)
			<-k.done
			r.runKernel(ctx, k)
		})
	}
	group.Wait()
}

// parallel bounds the machines by memory and cores. A guest keeps one core busy
// most of the time, even when it has two.
func (r *Run) parallel() int {
	if r.Parallel > 0 {
		return r.Parallel
	}
	n := max(1, runtime.NumCPU())
	if free, err := meminfo.Available(); err == nil {
		n = min(n, max(1, int(free>>20)/max(r.Machines.MemoryMiB, 2048)))
	}
	return n
}
