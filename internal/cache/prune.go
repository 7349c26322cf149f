package cache

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A Pruning says what is to be removed: from the entries used longest ago on,
// as many as both limits ask for.
type Pruning struct {
	// Size is how much may stay, in bytes; negative is any amount.
	Size int64
	// Age is how long ago the last use of what stays may be; 0 is any time.
	Age time.Duration
	// Built also removes what was built here, and counts it. Without it
	// only what was fetched is looked at.
	Built bool
	// Keep, when set, chooses entries that stay in any case.
	Keep func(Entry) bool
	// Trial removes nothing.
	Trial bool
}

// A Report is what has been removed and what has stayed.
type Report struct {
	Removed []Entry
	Stays   int64 // bytes
	InUse   int   // entries that would have gone if nobody used them
}

// Freed is the size of what was removed, in bytes.
func (r Report) Freed() int64 {
	var n int64
	for _, e := range r.Removed {
		n += e.Size
	}
	return n
}

// Prune removes entries from the cache. One that a process uses stays. Those
// that go disappear by a rename: a process that comes meanwhile finds all of
// an entry or nothing.
func Prune(ctx context.Context, dir string, p Pruning) (Report, error) {
	var r Report
	if !p.Trial {
		if err := sweep(dir); err != nil {
			return r, fmt.Errorf("prune cache: %w", err)
		}
	}
	entries, err := List(dir, p.Built)
	if err != nil {
		return r, err
	}
	for _, e := range entries {
		r.Stays += e.Size
	}
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return r, err
		}
		if !p.goes(e, r.Stays) {
			continue
		}
		removed, err := e.remove(p.Trial)
		switch {
		case err != nil:
			return r, fmt.Errorf("prune cache: %w", err)
		case !removed:
			r.InUse++
		default:
			r.Removed = append(r.Removed, e)
			r.Stays -= e.Size
		}
	}
	return r, nil
}

// goes reports whether the entry is to go while this much is in the cache.
func (p Pruning) goes(e Entry, size int64) bool {
	if p.Keep != nil && p.Keep(e) {
		return false
	}
	return p.Size >= 0 && size > p.Size || p.Age > 0 && time.Since(e.Used) > p.Age
}

// trash is what the names of removed things have in them.
const trash = ".trash-"

// remove removes the entry unless it is in use.
func (e Entry) remove(trial bool) (bool, error) {
	unlock, err := e.lock()
	if unlock == nil || trial {
		return unlock != nil, err
	}
	removed, err := e.discard()
	unlock()
	for _, path := range removed {
		err = errors.Join(err, os.RemoveAll(path))
	}
	return err == nil, err
}

// discard gives what is in the entry other names, which it returns. The area is
// its own place for trash, since it may be on a file system of its own.
func (e Entry) discard() (discarded []string, err error) {
	for _, name := range e.content() {
		path := filepath.Join(e.dir, name)
		gone := fmt.Sprint(path, trash, os.Getpid())
		err := os.Rename(path, gone)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return discarded, err
		}
		discarded = append(discarded, gone)
	}
	return discarded, nil
}

// lock takes all locks of the entry, or returns nil if somebody has one.
func (e Entry) lock() (unlock func(), err error) {
	var files []*os.File
	unlock = func() {
		for _, f := range files {
			f.Close()
		}
	}
	if err := e.ensureUseFile(); err != nil {
		return nil, err
	}
	names := append(e.locks(), e.Name+useSuffix)
	if e.Area == blobs { // is its own lock
		names = append(names, e.content()...)
	}
	slices.Sort(names)
	names = slices.Compact(names)
	for _, name := range names {
		f, err := os.Open(filepath.Join(e.dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			files = append(files, f)
			err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		}
		if err != nil {
			unlock()
			if errors.Is(err, unix.EWOULDBLOCK) {
				err = nil
			}
			return nil, err
		}
	}
	return unlock, nil
}

// ensureUseFile makes the file that users lock, of the time that the entry has.
func (e Entry) ensureUseFile() error {
	path := filepath.Join(e.dir, e.Name+useSuffix)
	f, err := os.OpenFile(path, os.O_RDONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Chtimes(path, e.Used, e.Used))
}

// sweep removes what killed processes were removing.
func sweep(dir string) error {
	for _, a := range areas {
		files, err := os.ReadDir(filepath.Join(dir, a.name))
		if err != nil {
			continue // List says what is wrong with it
		}
		for _, f := range files {
			if !strings.Contains(f.Name(), trash) {
				continue
			}
			if err := os.RemoveAll(filepath.Join(dir, a.name, f.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}
