package kernelorg

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/rogpeppe/go-internal/lockedfile"

	"github.com/bpf-vmtest/bpf-vmtest/internal/cache"
	"github.com/bpf-vmtest/bpf-vmtest/internal/kver"
)

// A Tarball is a release's verified source on disk.
type Tarball struct {
	Name   string // such as linux-6.12.94.tar.xz
	SHA256 string // 64 hexadecimal digits
	Path   string // in the cache
}

// Tarball brings a release into the cache, unless it is there. A pinned
// SHA-256, in hexadecimal, has to be that of the release; it may be empty where
// kernel.org has signed one.
//
// Errors that a user can do something about: those of [Site.Checksum],
// [*DisagreementError], [*ChecksumError], [*TruncatedError].
func (s *Site) Tarball(ctx context.Context, v kver.Version, pinned string) (*Tarball, error) {
	t := &Tarball{Name: tarballName(v), SHA256: pinned}
	by := "the catalogue"
	if v.RC == 0 {
		signed, err := s.Checksum(ctx, v)
		if err != nil {
			return nil, err
		}
		if pinned != "" && pinned != signed {
			return nil, &DisagreementError{Name: t.Name, Pinned: pinned, Signed: signed}
		}
		t.SHA256, by = signed, "kernel.org"
	} else if pinned == "" {
		return nil, &UnsignedError{Name: t.Name}
	}
	dir, err := s.path("tarballs", t.SHA256)
	if err != nil {
		return nil, err
	}
	if err := cache.Hold(dir); err != nil {
		return nil, err
	}
	// The name is for people; the directory is what identifies the file.
	if t.Path, err = s.path("tarballs", t.SHA256, t.Name); err != nil {
		return nil, err
	}
	unlock, err := lockedfile.MutexAt(filepath.Join(filepath.Dir(t.Path), "lock")).Lock()
	if err != nil {
		return nil, fmt.Errorf("lock tarball cache: %w", err)
	}
	defer unlock()
	if _, err := os.Stat(t.Path); err == nil {
		return t, nil
	}
	return t, s.fetch(ctx, s.tarballURL(v), t, by)
}

// fetch downloads a tarball beside its place and moves it there when it is the
// right one.
func (s *Site) fetch(ctx context.Context, url string, t *Tarball, by string) error {
	part := t.Path + ".part"
	resumed := size(part) > 0
	for {
		if err := s.download(ctx, url, part, t.Name); err != nil {
			return err
		}
		sum, err := cache.Digest(part)
		if err != nil {
			return err
		}
		if sum == t.SHA256 {
			return os.Rename(part, t.Path)
		}
		if err := os.Remove(part); err != nil {
			return err
		}
		if !resumed {
			return &ChecksumError{Name: t.Name, URL: url, Got: sum, Want: t.SHA256, By: by}
		}
		resumed = false // what was here was not its beginning
	}
}

// Digest downloads a release candidate and gives its SHA-256, for somebody who
// is about to pin it: nobody has signed it.
func (s *Site) Digest(ctx context.Context, v kver.Version) (string, error) {
	dir, err := s.path("tarballs", "candidate")
	if err != nil {
		return "", err
	}
	if dir, err = os.MkdirTemp(filepath.Dir(dir), "candidate-"); err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, tarballName(v))
	if err := s.download(ctx, s.tarballURL(v), file, tarballName(v)); err != nil {
		return "", err
	}
	return cache.Digest(file)
}

func size(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}
