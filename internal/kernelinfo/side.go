package kernelinfo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/bpf-vmtest/bpf-vmtest/internal/artifact"
	"github.com/bpf-vmtest/bpf-vmtest/internal/kernel"
	"github.com/bpf-vmtest/bpf-vmtest/internal/kernelref"
	"github.com/bpf-vmtest/bpf-vmtest/internal/store"
	"github.com/bpf-vmtest/bpf-vmtest/kconfig"
)

// A Side is one of two kernels that are compared.
type Side struct {
	Ref string `json:"ref"`
	Kernel
	Config kconfig.Config `json:"-"` // nil where it is not known
}

// ReadSide finds out what there is to compare a kernel by. An artifact's
// configuration and table of features are fetched; any other kernel is brought
// into the cache, and has no features.
func ReadSide(ctx context.Context, s *store.Store, ref kernelref.Ref) (*Side, error) {
	side := &Side{Ref: ref.String()}
	image, err := s.Inspect(ctx, ref)
	switch {
	case errors.Is(err, store.ErrNoImage):
		return side, side.fromFiles(ctx, s, ref)
	case err != nil:
		return nil, err
	}
	m, err := image.Kernel(s.Arch)
	if err == nil {
		err = side.fromImage(ctx, image, m)
	}
	if err != nil {
		return nil, fmt.Errorf("inspect kernel %q: %w", ref, err)
	}
	if !m.IsTyped() {
		err = side.fromFiles(ctx, s, ref)
	}
	return side, err
}

// fromImage takes what an image says of itself.
func (s *Side) fromImage(ctx context.Context, image *store.Image, m *artifact.Manifest) error {
	k, err := readKernel(ctx, image, m)
	if err != nil {
		return err
	}
	s.Kernel = *k
	if _, ok := m.Layer(artifact.Config); !ok || !m.IsTyped() {
		return nil
	}
	content, err := image.ReadFile(ctx, m, artifact.Config)
	if err == nil {
		s.Config, err = kconfig.ParseConfig(content)
	}
	return err
}

// fromFiles takes what is not known yet from the kernel on disk.
func (s *Side) fromFiles(ctx context.Context, from *store.Store, ref kernelref.Ref) error {
	k, err := from.Resolve(ctx, ref)
	if err != nil {
		return err
	}
	s.Digest, s.Arch, s.Release = k.Digest, k.Arch, k.Release
	if s.Parts == nil {
		if s.Parts, err = parts(k); err != nil {
			return err
		}
	}
	if k.Config == "" {
		return nil
	}
	content, err := os.ReadFile(k.Config)
	if err == nil {
		s.Config, err = kconfig.ParseConfig(content)
	}
	return err
}

// parts are the sizes of what a kernel on disk consists of.
func parts(k *kernel.Kernel) ([]Part, error) {
	var all []Part
	for _, p := range []struct {
		name artifact.Part
		path string
	}{{artifact.Kernel, k.Image}, {artifact.Config, k.Config}, {artifact.Modules, k.Modules}} {
		if p.path == "" {
			continue
		}
		n, err := bytesBelow(p.path)
		if err != nil {
			return nil, err
		}
		all = append(all, Part{Name: string(p.name), Sizes: Sizes{Unpacked: n}, Pulled: true})
	}
	return all, nil
}

// bytesBelow is the sum of the sizes of the file, or of those in the directory.
func bytesBelow(path string) (int64, error) {
	var n int64
	err := filepath.WalkDir(path, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			n += info.Size()
		}
		return err
	})
	return n, err
}
