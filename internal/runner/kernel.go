package runner

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/bpf-vmtest/bpf-vmtest/internal/blocklist"
	"github.com/bpf-vmtest/bpf-vmtest/internal/debuginfo"
	"github.com/bpf-vmtest/bpf-vmtest/internal/guest"
	"github.com/bpf-vmtest/bpf-vmtest/internal/result"
)

// A kernelRun is one kernel's part of a run, on as many machines as that takes.
type kernelRun struct {
	*Run
	*resolution
	name    string
	queue   chan job // closed; what nobody has begun
	helpers sync.WaitGroup

	keeping   sync.Mutex // what is below, and the directory in the bundle
	dir       string     // that directory
	console   string     // path of the file with what the kernel printed
	machines  int        // that have begun
	collected guest.Limits

	decoding sync.Once
	decoder  *debuginfo.Decoder // see source

	mu      sync.Mutex
	blocked *blocklist.Set // once it is known which kernel it is
	dead    error          // why no machine comes as far as its packages
}

// runKernel runs all packages on one kernel. Whatever happens is in the stream
// afterwards.
func (r *Run) runKernel(ctx context.Context, res *resolution) {
	start := time.Now()
	jobs := r.jobs(r.tasks(), 1)
	k := &kernelRun{Run: r, resolution: res, name: res.ref.String(), queue: make(chan job, len(jobs))}
	if err := cmp.Or(context.Cause(ctx), res.err); err != nil {
		k.dies(err)
		k.emit(lost(err))
	}
	for _, j := range jobs {
		k.queue <- j
	}
	close(k.queue)
	k.drain(ctx)
	k.helpers.Wait()
	r.emit(result.Event{Action: result.Ended, Kernel: k.name, Elapsed: result.Seconds(time.Since(start)), Console: k.console, Path: k.dir})
}

// emit adds the kernel's name.
func (k *kernelRun) emit(e result.Event) {
	e.Kernel = k.name
	k.Run.emit(e)
}

// blocklist is what the blocklist says of the kernel, or nil before that is known.
func (k *kernelRun) blocklist() *blocklist.Set {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.blocked
}

// is says which kernel it is, and reports whether that was not known.
func (k *kernelRun) is(bk blocklist.Kernel) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.blocked != nil {
		return false
	}
	k.blocked = k.list.For(bk)
	k.tally.kernelIs(bk)
	return true
}

// dies ends the kernel's part, and reports whether that is news.
func (k *kernelRun) dies(err error) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.dead != nil {
		return false
	}
	k.dead = err
	return true
}

// gone is why no further machine of the kernel is to be tried, or nil.
func (k *kernelRun) gone(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.dead
}

// source knows the lines of the kernel's source, as far as there is a file with
// its debug information.
func (k *kernelRun) source(release string) *debuginfo.Decoder {
	k.decoding.Do(func() {
		files := append(slices.Clone(k.kernel.Debug), debuginfo.Files("/", release)...)
		k.decoder = debuginfo.NewDecoder(files...)
	})
	return k.decoder
}
