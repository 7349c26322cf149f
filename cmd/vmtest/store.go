package main

import (
	"fmt"
	"sync"
	"time"

	"github.com/bpf-vmtest/bpf-vmtest/internal/store"
)

// store is the way to kernels of an architecture, telling about downloads.
func (a *app) store(cache string, arch archFlag) *store.Store {
	p := downloads{app: a}
	return &store.Store{Dir: cache, Arch: string(arch), Progress: p.progress, Warn: func(msg string) { a.progress("warning: " + msg) }}
}

// downloads tells about a download when it begins and, on a terminal, how far
// it has come.
type downloads struct {
	*app
	mu    sync.Mutex
	what  string
	shown time.Time
}

func (d *downloads) progress(p store.Progress) {
	d.mu.Lock()
	defer d.mu.Unlock()
	const mib = 1 << 20
	switch {
	case p.What != d.what:
		d.what, d.shown = p.What, time.Now()
		size := ""
		if p.Total > 0 {
			size = fmt.Sprintf(" (%.1f MiB)", float64(p.Total)/mib)
		}
		d.app.progress("fetch " + p.What + size)
	case isTerminal(d.stderr) && time.Since(d.shown) > time.Second && p.Total > 0:
		d.shown = time.Now()
		d.app.progress(fmt.Sprintf("fetch %s: %.1f of %.1f MiB", p.What, float64(p.Done)/mib, float64(p.Total)/mib))
	}
}
