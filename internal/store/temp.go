package store

import (
	"os"
	"path/filepath"
	"time"
)

// temp makes a file for what is not yet checked or complete, on the cache's
// file system. The caller must remove or rename it.
func (s *Store) temp() (*os.File, error) {
	path, err := s.path("tmp", "download-*")
	if err != nil {
		return nil, err
	}
	s.sweep(filepath.Dir(path))
	return os.CreateTemp(filepath.Dir(path), filepath.Base(path))
}

// sweep removes what killed runs left. No download writes nothing for a day.
func (s *Store) sweep(dir string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return // it is only tidying
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil && time.Since(info.ModTime()) > 24*time.Hour {
			os.Remove(filepath.Join(dir, e.Name()))
		}
	}
}
