package boot

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// lockName is a file that a run keeps locked for as long as it lives.
const lockName = "lock"

// TempDir makes a private directory below the cache, whose size is known to
// fit what runs need, unlike /tmp's, and removes those that killed runs left.
func TempDir(cacheDir string) (dir string, remove func(), err error) {
	parent := filepath.Join(cacheDir, "tmp")
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return "", nil, fmt.Errorf("make a working directory: %w", err)
	}
	removeStale(parent)
	// Made and locked under a name that removeStale does not look at.
	made, err := os.MkdirTemp(parent, "new-")
	if err != nil {
		return "", nil, fmt.Errorf("make a working directory: %w", err)
	}
	lock, err := os.Create(filepath.Join(made, lockName))
	if err == nil {
		err = unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	}
	dir = filepath.Join(parent, "run-"+filepath.Base(made)[len("new-"):])
	if err == nil {
		err = os.Rename(made, dir)
	}
	if err != nil {
		os.RemoveAll(made)
		return "", nil, fmt.Errorf("make a working directory: %w", err)
	}
	return dir, func() {
		os.RemoveAll(dir)
		lock.Close()
	}, nil
}

// removeStale removes the directories of runs that are no more. What cannot be
// removed is left to the next run.
func removeStale(parent string) {
	dirs, _ := filepath.Glob(filepath.Join(parent, "run-*"))
	for _, dir := range dirs {
		lock, err := os.Open(filepath.Join(dir, lockName))
		if err != nil {
			continue // it is being removed
		}
		if unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
			os.RemoveAll(dir)
		}
		lock.Close()
	}
}
