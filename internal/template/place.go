package template

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/bpf-vmtest/bpf-vmtest/internal/meminfo"
)

// area is the name of the directory of templates, in the cache and elsewhere;
// see package cache.
const area = "templates"

// A Store keeps templates in memory or in the cache.
type Store struct {
	CacheDir string
	// Dir, when set, is where they are kept instead.
	Dir string
}

// A place is a directory of templates.
type place struct {
	dir   string
	limit int64 // bytes; 0 is the cache's own limit
}

// diskLimit is for a directory of the user's choice.
const diskLimit = 4 << 30

func (s Store) disk() place {
	if s.Dir != "" {
		return place{filepath.Join(s.Dir, area), diskLimit}
	}
	return place{dir: filepath.Join(s.CacheDir, area)}
}

// memory is a directory of the user's in a tmpfs, if the host has that.
func memory() (place, bool) {
	const root = "/dev/shm"
	var fs unix.Statfs_t
	if unix.Statfs(root, &fs) != nil || fs.Type != unix.TMPFS_MAGIC {
		return place{}, false
	}
	private := filepath.Join(root, fmt.Sprintf("vmtest-%d", os.Getuid()))
	return place{filepath.Join(private, area), int64(fs.Blocks) * fs.Bsize / 8}, makePrivate(private)
}

func (s Store) places() []place {
	if p, ok := memory(); ok && s.Dir == "" {
		return []place{p, s.disk()}
	}
	return []place{s.disk()}
}

// choose chooses the place for a new template. Where there is enough of it,
// that is memory as well: on a disk the host would write out what a guest wrote
// while it booted. A kernel that has booted has touched a tenth of the memory of
// its machine; there must be half.
func (s Store) choose(memoryMiB int) (place, error) {
	p, ok := memory()
	available, err := meminfo.Available()
	if room := int64(memoryMiB) << 20 / 2; !ok || err != nil || s.Dir != "" || free(filepath.Dir(p.dir)) < room || int64(available) < room {
		p = s.disk()
	}
	if err := os.MkdirAll(p.dir, 0o700); err != nil {
		return place{}, fmt.Errorf("make a directory for templates: %w", err)
	}
	return p, nil
}

// free is the room in a file system, in bytes.
func free(dir string) int64 {
	var fs unix.Statfs_t
	if unix.Statfs(dir, &fs) != nil {
		return 0
	}
	return int64(fs.Bavail) * fs.Bsize
}

// makePrivate makes a directory that nobody else may enter, unless it is there:
// anybody may make one in /dev/shm.
func makePrivate(dir string) bool {
	if err := os.Mkdir(dir, 0o700); err != nil && !os.IsExist(err) {
		return false
	}
	info, err := os.Lstat(dir)
	if err != nil || !info.IsDir() || info.Mode().Perm()&0o077 != 0 {
		return false
	}
	s, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(s.Uid) == os.Getuid()
}
