package runner

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bpf-vmtest/bpf-vmtest/internal/result"
	"github.com/bpf-vmtest/bpf-vmtest/internal/shard"
)

// Isolation is what gets a machine of its own.
type Isolation string

// The isolations. The zero value is IsolateRun.
const (
	IsolateRun     Isolation = "run"     // all packages of a kernel share one
	IsolatePackage Isolation = "package" // each package
	IsolateTest    Isolation = "test"    // each top-level test
)

// A task is a package, or some of its tests, that a machine is to run.
type task struct {
	builtPackage
	only   []string // of its top-level tests; nil is all
	part   int      // which one of its whole
	whole  *whole
	again  bool     // it ran in an earlier machine
	failed []string // top-level tests that failed there
}

// tasks are the packages of a kernel, as far as they are this shard's.
func (r *Run) tasks() []task {
	var tasks []task
	for _, p := range r.runnable() {
		tasks = append(tasks, task{builtPackage: p, only: r.part[p.ImportPath]})
	}
	if r.atOnce > 1 && len(r.Recorded) > 0 {
		slices.SortStableFunc(tasks, func(a, b task) int { return cmp.Compare(r.took(b), r.took(a)) })
	}
	return tasks
}

// took is what a task took the last time, in seconds, as far as that is known.
func (r *Run) took(t task) (seconds float64) {
	for _, test := range t.Tests {
		seconds += r.Recorded[shard.Test{Package: t.ImportPath, Name: test.Name}]
	}
	return seconds
}

// each makes a task of each test of one. A task without tests stays as it is.
func (r *Run) each(t task) []task {
	var tasks []task
	for _, test := range t.Tests {
		if r.selects(test) && (t.only == nil || slices.Contains(t.only, test.Name)) {
			one := t
			one.only = []string{test.Name}
			tasks = append(tasks, one)
		}
	}
	if len(tasks) == 0 {
		return []task{t}
	}
	return tasks
}

// A job is what one machine is to run.
type job struct {
	tasks   []task
	attempt int // how many machines they have run in, with this
	batch   *batch
}

// A batch is the jobs that must have ended before what failed in them runs again.
type batch struct {
	mu    sync.Mutex
	left  int
	again []task
}

// ended takes what of a job is to run again, and returns what of the batch is,
// after its last job.
func (b *batch) ended(again []task) []task {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.again = append(b.again, again...)
	if b.left--; b.left > 0 {
		return nil
	}
	return b.again
}

// jobs divides packages among machines.
func (r *Run) jobs(tasks []task, attempt int) []job {
	if len(tasks) == 0 {
		return nil
	}
	var batches [][][]task
	switch r.Isolate {
	case IsolatePackage:
		for _, t := range tasks {
			batches = append(batches, [][]task{{t}})
		}
	case IsolateTest:
		for _, same := range byPackage(tasks) {
			var machines [][]task
			for _, t := range same {
				machines = slices.AppendSeq(machines, slices.Chunk(r.each(t), 1))
			}
			batches = append(batches, machines)
		}
	default:
		batches = [][][]task{{tasks}}
	}
	var jobs []job
	for _, machines := range batches {
		b, wholes := &batch{left: len(machines)}, map[string]*whole{}
		for _, tasks := range machines {
			for i := range tasks {
				t := &tasks[i]
				if wholes[t.ImportPath] == nil {
					wholes[t.ImportPath] = &whole{}
				}
				t.whole = wholes[t.ImportPath]
				t.part = t.whole.parts
				t.whole.parts++
			}
			jobs = append(jobs, job{tasks, attempt, b})
		}
	}
	return jobs
}

// byPackage divides tasks where another package begins.
func byPackage(tasks []task) (all [][]task) {
	for i, t := range tasks {
		if i == 0 || tasks[i-1].ImportPath != t.ImportPath {
			all = append(all, nil)
		}
		all[len(all)-1] = append(all[len(all)-1], t)
	}
	return all
}

// drain does jobs of the kernel until there are none left.
func (k *kernelRun) drain(ctx context.Context) {
	for j := range k.queue {
		k.do(ctx, j)
	}
}

// help starts further machines beside those of the kernel that run, as far as
// there is room for them, and no other kernel waits for it.
func (k *kernelRun) help(ctx context.Context) {
	for len(k.queue) > 0 && k.room.TryAcquire(1) {
		k.helpers.Go(func() {
			defer k.room.Release(1)
			k.drain(ctx)
		})
	}
}

// do runs a job in a machine, and in further ones what failed.
func (k *kernelRun) do(ctx context.Context, j job) {
	m := &machineRun{kernelRun: k, job: j, ended: map[string]*task{}}
	for _, j := range k.jobs(j.batch.ended(m.do(ctx)), j.attempt+1) {
		k.do(ctx, j)
	}
}

// A whole is a package on a kernel, which may run in several machines: in the
// stream it begins once and ends once.
type whole struct {
	parts   int          // set before any of them begins
	printed atomic.Int64 // see spend

	mu     sync.Mutex
	start  time.Time // zero before it begins
	ended  int
	action result.Action
	reason string
}

// begins reports whether this is the package's beginning.
func (w *whole) begins() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.start.IsZero() {
		return false
	}
	w.start = time.Now()
	return true
}

// worst are the ends of a package, from the best on.
var worst = []result.Action{result.Skip, result.Pass, result.NotRun, result.Fail}

// ends takes how a part has ended. After the last one it returns the package's
// end, which is that of the part that ended worst.
func (w *whole) ends(a result.Action, reason string) (end result.Event, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch was, is := slices.Index(worst, w.action), slices.Index(worst, a); {
	case is > was:
		w.action, w.reason = a, reason
	case is == was && w.reason == "":
		w.reason = reason
	}
	if w.ended++; w.ended < w.parts {
		return result.Event{}, false
	}
	if w.start.IsZero() {
		return result.Event{Action: w.action, Reason: w.reason}, true
	}
	if w.action == result.NotRun { // some of it has
		w.action = result.Fail
	}
	return result.Event{Action: w.action, Reason: w.reason, Elapsed: result.Seconds(time.Since(w.start))}, true
}
