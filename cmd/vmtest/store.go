package main

import (
	"fmt"
	"sync"
	"time"

	"github.com/bpf-vmtest/bpf-vmtest/internal/store"
)

// store is the way to kernels of an architecture, telling about downloads.
func (a *app) store(cache string, arch archFlag) *store.Store {
	downloads := transfers{app: a, verb: "fetch"}
	return &store.Store{
		Dir: cache, Arch: string(arch), Warn: func(msg string) { a.progress("warning: " + msg) },
		Progress: func(p store.Progress) { downloads.progress(p.What, p.Done, p.Total) },
	}
}

// transfers tells about a download or an upload when it begins and, on a
// terminal, how far it has come.
type transfers struct {
	*app
	verb  string
	mu    sync.Mutex
	what  string
	shown time.Time
}

// progress takes numbers of bytes; a total of 0 is not known.
func (t *transfers) progress(what string, done, total int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	const mib = 1 << 20
	switch {
	case what != t.what:
		t.what, t.shown = what, time.Now()
		size := ""
		if total > 0 {
			size = fmt.Sprintf(" (%.1f MiB)", float64(total)/mib)
		}
		t.app.progress(t.verb + " " + what + size)
	case isTerminal(t.stderr) && time.Since(t.shown) > time.Second && total > 0:
		t.shown = time.Now()
		t.app.progress(fmt.Sprintf("%s %s: %.1f of %.1f MiB", t.verb, what, float64(done)/mib, float64(total)/mib))
	}
}
