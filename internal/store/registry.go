package store

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/renameio/v2"

	"github.com/bpf-vmtest/bpf-vmtest/internal/kernel"
	"github.com/bpf-vmtest/bpf-vmtest/internal/kernelref"
	"github.com/bpf-vmtest/bpf-vmtest/internal/registry"
)

func (s *Store) fromRegistry(ctx context.Context, ref kernelref.Registry) (*kernel.Kernel, error) {
	r, found, err := s.findInRegistry(ctx, ref)
	if err != nil {
		return nil, err
	}
	img, err := s.choose(ctx, r, found)
	if err == nil {
		err = s.verify(ctx, r, img.digest, found[0].Digest)
	}
	if err != nil {
		return nil, err
	}
	return s.unpack(ctx, img)
}

// verify finds out whether an image may be used, if it is a registry's: by its
// manifest's digest and that of the index which it was found through, which may
// be the same.
func (s *Store) verify(ctx context.Context, from origin, digests ...v1.Hash) error {
	r, ok := from.(*registry.Repository)
	if !ok || s.Verify == nil {
		return nil
	}
	return s.Verify(ctx, r, slices.Compact(digests)...)
}

func (s *Store) findInRegistry(ctx context.Context, ref kernelref.Registry) (origin, []v1.Descriptor, error) {
	r, err := s.client().Repository(ref.Repository)
	if err != nil {
		return nil, nil, err
	}
	d, err := s.lookUp(ctx, r, ref)
	return r, []v1.Descriptor{d}, err
}

// client is the way to registries, one for the store's life: it remembers which
// mirrors have failed.
func (s *Store) client() *registry.Client {
	s.once.Do(func() {
		s.registries = &registry.Client{
			Keychain: s.Keychain, Mirrors: s.Mirrors, Transport: s.Transport, Pause: s.firstPause, Silence: s.silence,
			Warn: func(message string) { s.warn("%s", message) },
		}
	})
	return s.registries
}

// lookUp finds what the reference names. A digest needs no question; a tag is
// asked for each time, and when there is no answer it is what it last was.
func (s *Store) lookUp(ctx context.Context, r *registry.Repository, ref kernelref.Registry) (v1.Descriptor, error) {
	if ref.Digest != "" {
		h, err := v1.NewHash(ref.Digest)
		return v1.Descriptor{Digest: h}, err
	}
	memory, err := s.memory(r, ref.Tag)
	if err != nil {
		return v1.Descriptor{}, err
	}
	last := recall(memory)
	if last == nil {
		return s.ask(ctx, r, ref.Tag)
	}
	hasty, cancel := context.WithTimeoutCause(registry.Hasty(ctx), askAgain, fmt.Errorf("no answer for %v", askAgain))
	defer cancel()
	d, err := s.ask(hasty, r, ref.Tag)
	if errors.Is(err, context.DeadlineExceeded) {
		err = context.Cause(hasty)
	}
	var refused *registry.Error
	if err == nil || ctx.Err() != nil || errors.As(err, &refused) && refused.Final() {
		return d, err
	}
	s.warn("%s cannot be asked for, using %s, which it was%s: %v", r.Name.Tag(ref.Tag), last, since(memory), err)
	return v1.Descriptor{Digest: *last}, nil
}

// ask asks the registry what a tag is, says so, and remembers it.
func (s *Store) ask(ctx context.Context, r *registry.Repository, tag string) (v1.Descriptor, error) {
	memory, err := s.memory(r, tag)
	if err != nil {
		return v1.Descriptor{}, err
	}
	d, err := r.Tag(ctx, tag)
	if err != nil {
		return v1.Descriptor{}, fmt.Errorf("look up tag %q: %w", tag, err)
	}
	if last := recall(memory); last != nil && *last != d.Digest {
		s.notice("%s has moved: it is %s, and was %s%s", r.Name.Tag(tag), d.Digest, last, since(memory))
	} else {
		s.notice("%s is %s", r.Name.Tag(tag), d.Digest)
	}
	return d.Descriptor, s.remember(memory, d)
}

// memory is where it is kept what a tag was.
func (s *Store) memory(r *registry.Repository, tag string) (string, error) {
	return s.path("tags", fmt.Sprintf("%x", sha256.Sum256([]byte(r.Name.Tag(tag).String()))))
}

// askAgain is how long an answer is waited for that can be done without.
const askAgain = 15 * time.Second

// recall reads what a tag was when it was last asked for.
func recall(memory string) *v1.Hash {
	content, err := os.ReadFile(memory)
	if err != nil {
		return nil
	}
	h, err := v1.NewHash(string(content))
	if err != nil {
		return nil
	}
	return &h
}

// remember keeps what a tag named, and that itself, which has just come along.
func (s *Store) remember(memory string, d *remote.Descriptor) error {
	if _, err := s.document(d.Digest, func() ([]byte, error) { return d.Manifest, nil }); err != nil {
		return fmt.Errorf("fetch manifest %s: %w", d.Digest, err)
	}
	return renameio.WriteFile(memory, []byte(d.Digest.String()), 0o644)
}

// since says when the file was written.
func since(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return ""
	}
	return " on " + info.ModTime().Format(time.DateOnly)
}
