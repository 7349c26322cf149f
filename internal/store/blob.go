package store

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// blob downloads a blob to a file, which the caller must remove. It holds what
// the descriptor's digest says, or there is an error.
func (s *Store) blob(ctx context.Context, from origin, d v1.Descriptor, what string) (path string, err error) {
	if err := checkDigest(d.Digest); err != nil {
		return "", err
	}
	err = s.retry(ctx, from.Attempts(), what, func() error {
		path, err = s.tryBlob(ctx, from, d, what)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("fetch %s %s: %w", what, d.Digest, err)
	}
	return path, nil
}

// retry calls f until it succeeds, with pauses of 1, 3, 9 … seconds.
func (s *Store) retry(ctx context.Context, attempts int, what string, f func() error) error {
	pause := s.pause()
	for attempt := 1; ; attempt++ {
		err := f()
		if err == nil || attempt >= attempts || ctx.Err() != nil || permanent(err) {
			return err
		}
		s.warn("fetch %s: %v; trying again", what, err)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
		pause *= 3
	}
}

func (s *Store) tryBlob(ctx context.Context, from origin, d v1.Descriptor, what string) (path string, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r, err := from.Blob(ctx, d)
	if err != nil {
		return "", err
	}
	defer r.Close()
	f, err := s.temp()
	if err != nil {
		return "", err
	}
	defer func() {
		f.Close()
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	watched := s.watch(cancel, r, Progress{What: what, Total: d.Size})
	defer watched.stop()
	h := sha256.New()
	// One byte more than announced is enough to know.
	n, err := io.Copy(io.MultiWriter(f, h), io.LimitReader(watched, d.Size+1))
	switch {
	case context.Cause(ctx) != nil:
		return "", context.Cause(ctx)
	case err != nil:
		return "", err
	case n != d.Size:
		return "", fmt.Errorf("it has %d bytes or more, want %d", n, d.Size)
	}
	if got := fmt.Sprintf("%x", h.Sum(nil)); got != d.Digest.Hex {
		return "", fmt.Errorf("its content has the digest sha256:%s", got)
	}
	return f.Name(), nil
}

// A server that sends nothing for this long is given up.
const silence = time.Minute

// watched is a download that reports its progress and ends when the other side
// falls silent.
type watched struct {
	store    *Store
	r        io.Reader
	timer    *time.Timer
	progress Progress
	next     time.Time // when to report again
}

func (s *Store) watch(cancel context.CancelCauseFunc, r io.Reader, p Progress) *watched {
	return &watched{store: s, r: r, progress: p, timer: time.AfterFunc(silence, func() {
		cancel(fmt.Errorf("the server has sent nothing for %v", silence))
	})}
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	w.timer.Reset(silence)
	w.progress.Done += int64(n)
	if now := time.Now(); err != nil || now.After(w.next) {
		w.store.progress(w.progress)
		w.next = now.Add(100 * time.Millisecond)
	}
	return n, err
}

func (w *watched) stop() { w.timer.Stop() }
