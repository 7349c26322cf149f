package store

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/bpf-vmtest/bpf-vmtest/internal/artifact"
	"github.com/bpf-vmtest/bpf-vmtest/internal/distro"
	"github.com/bpf-vmtest/bpf-vmtest/internal/kernel"
	"github.com/bpf-vmtest/bpf-vmtest/internal/kernelref"
	"github.com/bpf-vmtest/bpf-vmtest/internal/lockfile"
	"github.com/bpf-vmtest/bpf-vmtest/internal/registry"
)

// fromPin resolves a reference that is in the lock file.
func (s *Store) fromPin(ctx context.Context, ref kernelref.Ref, pin lockfile.Pin) (k *kernel.Kernel, err error) {
	s.notice("%s is %s, as %s has it", ref, describe(pin), filepath.Base(s.Lock.Path))
	switch source := ref.Source().(type) {
	case kernelref.Registry:
		source.Digest = pin.Digest
		k, err = s.fromRegistry(ctx, source)
	case kernelref.Distribution:
		k, err = s.fromPackage(ctx, source, pin)
	}
	var refused *registry.Error
	var gone *distro.GoneError
	switch {
	case errors.As(err, &refused) && refused.Missing():
		return nil, &GoneError{Ref: ref.String(), Pin: pin, File: s.Lock.Path, Cause: err}
	case errors.As(err, &gone):
		return nil, &GoneError{Ref: ref.String(), Pin: pin, File: s.Lock.Path, Cause: err}
	}
	return k, err
}

// describe is the digest, and the release where that is known.
func describe(pin lockfile.Pin) string {
	if pin.Release == "" {
		return pin.Digest
	}
	return pin.Digest + ", " + pin.Release
}

func (s *Store) fromPackage(ctx context.Context, d kernelref.Distribution, pin lockfile.Pin) (*kernel.Kernel, error) {
	found, err := s.apt().PinnedKernel(ctx, d.Name, distro.Package{
		Name: pin.Name, Version: pin.Version, Suite: pin.Suite, SHA256: strings.TrimPrefix(pin.Digest, "sha256:"),
	})
	if err != nil {
		return nil, err
	}
	return s.unpacked(found)
}

// GoneError says that what the lock file names is no longer where it was.
type GoneError struct {
	Ref   string
	Pin   lockfile.Pin
	File  string
	Cause error
}

func (e *GoneError) Error() string {
	return fmt.Sprintf("%s has it as %s, which is gone: %v", e.File, describe(e.Pin), e.Cause)
}

func (e *GoneError) Unwrap() error { return e.Cause }

// Hint says how to go on.
func (e *GoneError) Hint() string {
	renew := "take what there is now: vmtest kernel lock -update " + e.Ref
	if e.Pin.Package != "" {
		return "archives of distributions keep only the current versions. " + renew + "; or use an image, whose digest stays"
	}
	return renew
}

// LookUp finds what a reference that moves stands for now, without the lock file
// and without bringing the kernel into the cache.
func (s *Store) LookUp(ctx context.Context, ref kernelref.Ref) (lockfile.Pin, error) {
	pin, moves := lockfile.For(ref, s.arch())
	if !moves {
		return pin, &FixedError{Ref: ref.String()}
	}
	var err error
	switch source := ref.Source().(type) {
	case kernelref.Registry:
		err = s.lookUpImage(ctx, source, &pin)
	case kernelref.Distribution:
		err = s.lookUpPackage(ctx, source, &pin)
	}
	if err != nil {
		return pin, fmt.Errorf("look up kernel %q: %w", ref, err)
	}
	return pin, nil
}

func (s *Store) lookUpImage(ctx context.Context, ref kernelref.Registry, pin *lockfile.Pin) error {
	r, err := s.client().Repository(ref.Repository)
	if err != nil {
		return err
	}
	d, err := s.ask(ctx, r, ref.Tag)
	if err != nil {
		return err
	}
	img, err := s.choose(ctx, r, []v1.Descriptor{d})
	if err == nil {
		err = s.verify(ctx, r, img.digest, d.Digest)
	}
	if err != nil {
		return err
	}
	pin.Digest = d.Digest.String()
	if img.typed() {
		pin.Release = img.manifest.Annotations[artifact.ReleaseAnnotation]
	}
	return nil
}

func (s *Store) lookUpPackage(ctx context.Context, d kernelref.Distribution, pin *lockfile.Pin) error {
	apt := *s.apt()
	apt.MaxAge = time.Nanosecond // an index of yesterday will not do
	found, err := apt.FindKernel(ctx, query(d))
	if err != nil {
		return err
	}
	pin.Name, pin.Version, pin.Suite = found.Name, found.Version, found.Suite
	pin.Digest, pin.Release = "sha256:"+found.SHA256, found.Release
	return nil
}

// FixedError is a reference that there is nothing to lock about.
type FixedError struct{ Ref string }

func (e *FixedError) Error() string {
	return fmt.Sprintf("lock kernel %q: it always names the same, or what is on this machine only", e.Ref)
}

// Hint lists what can be locked.
func (e *FixedError) Hint() string {
	return "tags of images and kernels of distributions can be locked: 6.12, ghcr.io/org/kernels:6.12, debian:6.12"
}

// ExitCode is that of a usage error.
func (e *FixedError) ExitCode() int { return 2 }
