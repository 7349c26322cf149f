// Package cache knows what takes space in the cache, who uses it, and what may
// go. What is in an entry, and how it gets there, is its owner's business.
//
// An entry is everything in an area that has the same name up to the first dot:
// images/0123…, with 0123….lock, which keeps two processes from filling it at
// once, and 0123….use, which keeps it from being removed. A process that uses
// an entry holds a shared lock on the latter until it ends, however it ends;
// the file's time is that of the last use.
package cache

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// An area is a directory of the cache whose entries can be had again, by
// fetching or by building them.
type area struct {
	name string
	what string // one of its entries
	// built is what takes hours rather than seconds to have again.
	built bool
}

var areas = []area{
	{"images", "pulled image", false},
	{"kernels", "distribution's kernel", false},
	{"files", "copied file", false},
	{blobs, "unfinished download", false},
	{"debs", "package", false},
	{"templates", "booted machine", false},
	{"tarballs", "release of kernel.org", false},
	{"tools", "tool for builds", false},
	{"tools", "unpacked build tool", false},
	{"sources", "unpacked source", true},
	{"builds", "built kernel", true},
}

// blobs is the area whose entries are files that are their own locks.
const blobs = "blobs"

// What the names of lock files end with.
const (
	useSuffix  = ".use"
	lockSuffix = ".lock"
)

// held are the entries that this process uses. Their files stay open until it
// ends: nobody says when a kernel is no longer needed.
var held = struct {
	sync.Mutex
	files map[string]*os.File
}{files: map[string]*os.File{}}

// Hold notes that the entry, AREA/NAME in the cache, is used now and keeps it
// from being removed for as long as this process runs. It need not be there
// yet.
func Hold(entry string) error {
	held.Lock()
	defer held.Unlock()
	path := entry + useSuffix
	f := held.files[path]
	if f == nil {
		var err error
		if f, err = share(path); err != nil {
			return fmt.Errorf("use cache entry: %w", err)
		}
		held.files[path] = f
	}
	now := time.Now()
	if err := os.Chtimes(path, now, now); err != nil {
		return fmt.Errorf("use cache entry: %w", err)
	}
	return nil
}

// share opens a lock file, which must not be written to by others.
func share(path string) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_RDONLY|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	for {
		// Whoever has it is removing the entry, which is a matter of moments.
		err := unix.Flock(int(f.Fd()), unix.LOCK_SH)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, syscall.EINTR) {
			return nil, errors.Join(&os.PathError{Op: "lock", Path: path, Err: err}, f.Close())
		}
	}
}

// An Entry is something in the cache that can be had again.
type Entry struct {
	Area string    // such as images
	Name string    // such as a digest, in hexadecimal
	What string    // what the area's entries are: pulled image
	Of   string    // what it holds, such as a kernel's release, or empty
	Size int64     // bytes on the disk
	Used time.Time // the last time

	dir   string // of the area
	files []string
}

// List lists the entries of the cache, those first that were used longest ago.
// What was built here is left out unless it is asked for: there are a hundred
// thousand files in a kernel's source.
func List(dir string, built bool) ([]Entry, error) {
	var all []Entry
	for _, a := range areas {
		if a.built && !built {
			continue
		}
		entries, err := a.list(filepath.Join(dir, a.name))
		if err != nil {
			return nil, fmt.Errorf("list cache: %w", err)
		}
		all = append(all, entries...)
	}
	slices.SortStableFunc(all, func(x, y Entry) int { return x.Used.Compare(y.Used) })
	return all, nil
}

func (a area) list(dir string) ([]Entry, error) {
	files, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	byName := map[string]*Entry{}
	var names []string
	for _, f := range files {
		name, _, _ := strings.Cut(f.Name(), ".")
		if byName[name] == nil {
			byName[name] = &Entry{Area: a.name, Name: name, What: a.what, dir: dir}
			names = append(names, name)
		}
		byName[name].files = append(byName[name].files, f.Name())
	}
	var entries []Entry
	for _, name := range names {
		e := byName[name]
		if len(e.content()) == 0 {
			continue
		}
		e.measure()
		entries = append(entries, *e)
	}
	return entries, nil
}

// content are the entry's files and directories without the locks.
func (e *Entry) content() []string {
	return slices.DeleteFunc(slices.Clone(e.files), isLock)
}

func (e *Entry) locks() []string {
	return slices.DeleteFunc(slices.Clone(e.files), func(name string) bool { return !isLock(name) })
}

func isLock(name string) bool {
	return strings.HasSuffix(name, useSuffix) || strings.HasSuffix(name, lockSuffix)
}

// measure finds out the entry's size and the time of its last use. What
// disappears meanwhile has no size.
func (e *Entry) measure() {
	for _, name := range e.content() {
		path := filepath.Join(e.dir, name)
		if info, err := os.Lstat(path); err == nil && info.ModTime().After(e.Used) {
			e.Used = info.ModTime()
		}
		_ = filepath.WalkDir(path, func(_ string, d fs.DirEntry, err error) error {
			if err != nil {
				return nil
			}
			if info, err := d.Info(); err == nil {
				e.Size += blocks(info)
			}
			return nil
		})
		if e.Of == "" {
			e.Of = holds(path)
		}
	}
	if info, err := os.Stat(filepath.Join(e.dir, e.Name+useSuffix)); err == nil {
		e.Used = info.ModTime()
	}
}

// blocks is the space that a file takes, in bytes.
func blocks(info fs.FileInfo) int64 {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return stat.Blocks * 512 // whatever the file system's own unit
	}
	return info.Size()
}

// holds tells what is in an entry by the names in it: a kernel's modules are in
// a directory of its release, and a package or a tarball is alone in its own.
func holds(path string) string {
	quoted := strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
	for _, pattern := range []string{"lib/modules/*", "usr/lib/modules/*", "*/lib/modules/*", "*/usr/lib/modules/*", "*.deb", "linux-*.tar.*"} {
		found, _ := filepath.Glob(filepath.Join(quoted, pattern)) // the pattern is well formed
		if len(found) > 0 {
			return filepath.Base(found[0])
		}
	}
	return ""
}
