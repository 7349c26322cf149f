package main

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/bpf-vmtest/bpf-vmtest/internal/lockfile"
	"github.com/bpf-vmtest/bpf-vmtest/internal/store"
)

// store is the way to kernels of an architecture, as the module's lock file has
// them, telling about downloads. Images must be signed as the mode says.
func (a *app) store(cache string, arch archFlag, mode verifyMode) (*store.Store, error) {
	limit, err := cacheLimit()
	if err != nil {
		return nil, err
	}
	lock, err := moduleLock()
	if err != nil {
		return nil, err
	}
	verifier, err := a.verifier(mode.Mode, cache)
	if err != nil {
		return nil, err
	}
	downloads := transfers{app: a, verb: "fetch"}
	return &store.Store{
		Dir: cache, Limit: limit, Arch: string(arch), Lock: lock, Verify: verifier.Verify,
		Progress: func(p store.Progress) { downloads.progress(p.What, p.Done, p.Total) },
		Warn:     func(msg string) { a.progress("warning: " + msg) }, Notice: a.progress,
	}, nil
}

// moduleLock is the lock file of the module around the current directory, or the
// one that VMTEST_LOCK names instead.
func moduleLock() (*lockfile.File, error) {
	if path := os.Getenv("VMTEST_LOCK"); path != "" {
		if _, err := os.Stat(path); err != nil {
			return nil, usagef("an empty file is one, too", "VMTEST_LOCK: read lock file: %v", err)
		}
		return lockfile.Load(path)
	}
	dir, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	path, err := lockfile.Path(dir)
	if err != nil {
		return nil, err
	}
	if path, err = filepath.Rel(dir, path); err != nil {
		return nil, err
	}
	return lockfile.Load(path)
}

// defaultLimit holds some dozens of kernels.
const defaultLimit = 20 << 30

// cacheLimit is how large the cache may grow, in bytes.
func cacheLimit() (int64, error) {
	value := os.Getenv("VMTEST_CACHE_LIMIT")
	if value == "" {
		return defaultLimit, nil
	}
	n, err := parseSize(value)
	if err != nil || n == 0 {
		return 0, usagef("write a size, as in 5GiB", "VMTEST_CACHE_LIMIT=%s is not a size", value)
	}
	return n, nil
}

// parseSize reads a number of bytes, with or without a unit.
func parseSize(s string) (int64, error) {
	n, err := humanize.ParseBytes(s)
	if err != nil || n > 1<<62 {
		return 0, fmt.Errorf("%q is not a size, as 500MiB is", s)
	}
	return int64(n), nil
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
	switch {
	case what != t.what:
		t.what, t.shown = what, time.Now()
		text := t.verb + " " + what
		if total > 0 {
			text += " (" + size(total) + ")"
		}
		t.app.progress(text)
	case isTerminal(t.stderr) && time.Since(t.shown) > time.Second && total > 0:
		t.shown = time.Now()
		t.app.progress(fmt.Sprintf("%s %s: %s of %s", t.verb, what, size(done), size(total)))
	}
}
