package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/rogpeppe/go-internal/lockedfile"
)

// blob is one that is on disk, complete, as long as it is open.
type blob struct{ *lockedfile.File }

// blob downloads a blob, which holds what the descriptor's digest says, or
// there is an error. What has arrived by then is kept, for the next attempt, of
// this process or another.
func (s *Store) blob(ctx context.Context, from origin, d v1.Descriptor, what string, progress func(done int64)) (*blob, error) {
	if err := checkDigest(d.Digest); err != nil {
		return nil, err
	}
	b, err := s.openBlob(d.Digest)
	if err != nil {
		return nil, fmt.Errorf("open cache: %w", err)
	}
	err = from.Download(ctx, d, b.File.File, progress)
	if err == nil {
		_, err = b.Seek(0, io.SeekStart)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("fetch %s %s: %w", what, d.Digest, err), b.leave())
	}
	return b, nil
}

// openBlob opens the file that a blob is downloaded to and keeps others away
// from it.
func (s *Store) openBlob(digest v1.Hash) (*blob, error) {
	path, err := s.path("blobs", digest.Hex)
	if err != nil {
		return nil, err
	}
	for {
		f, err := lockedfile.Edit(path)
		if err != nil {
			return nil, err
		}
		mine, err := f.Stat()
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		// Whoever had it until now may have removed it.
		if there, err := os.Stat(path); err == nil && os.SameFile(mine, there) {
			return &blob{f}, nil
		}
		if err := f.Close(); err != nil {
			return nil, err
		}
	}
}

// Close removes the blob, which has been unpacked.
func (b *blob) Close() error {
	return errors.Join(os.Remove(b.Name()), b.File.Close())
}

// leave gives up a blob that is not complete.
func (b *blob) leave() error {
	info, err := b.Stat()
	if err == nil && info.Size() == 0 {
		return b.Close()
	}
	return errors.Join(err, b.File.Close())
}

// meter reports a download's progress, from time to time.
func (s *Store) meter(what string, total int64) func(done int64) {
	var next time.Time
	return func(done int64) {
		if now := time.Now(); done == total || now.After(next) {
			s.progress(Progress{What: what, Done: done, Total: total})
			next = now.Add(100 * time.Millisecond)
		}
	}
}
