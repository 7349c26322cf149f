package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/bpf-vmtest/bpf-vmtest/internal/artifact"
	"github.com/bpf-vmtest/bpf-vmtest/internal/cache"
	"github.com/bpf-vmtest/bpf-vmtest/internal/distro"
	"github.com/bpf-vmtest/bpf-vmtest/internal/kernel"
)

// unpack brings the image's kernel into the cache.
func (s *Store) unpack(ctx context.Context, img *image) (*kernel.Kernel, error) {
	dir, unlock, err := s.lockImage(ctx, img.digest)
	if err != nil {
		return nil, err
	}
	defer unlock()
	var k *kernel.Kernel
	if img.typed() {
		k, err = s.unpackParts(ctx, img, dir)
	} else {
		k, err = s.unpackRoot(ctx, img, filepath.Join(dir, "root"))
	}
	if err != nil {
		return nil, err
	}
	k.Digest, k.Arch = img.digest.String(), s.arch()
	return k, nil
}

// lockImage keeps others away from an image's directory in the cache.
func (s *Store) lockImage(ctx context.Context, digest v1.Hash) (dir string, unlock func(), err error) {
	if dir, err = s.path("images", digest.Hex); err != nil {
		return "", nil, err
	}
	if err := cache.Hold(dir); err != nil {
		return "", nil, err
	}
	waiting := func() { s.notice("wait for another process that fetches %s", digest) }
	if unlock, err = cache.Lock(ctx, dir+".lock", waiting); err != nil {
		return "", nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		unlock()
		return "", nil, err
	}
	return dir, unlock, nil
}

// unpackParts unpacks an artifact of ours: only the layers that are needed.
func (s *Store) unpackParts(ctx context.Context, img *image, dir string) (*kernel.Kernel, error) {
	release := img.manifest.Annotations[artifact.ReleaseAnnotation]
	// It becomes part of a path.
	if release == "" || strings.ContainsAny(release, "/\x00") || release == ".." {
		return nil, fmt.Errorf("read manifest: annotation %s is %q, want a kernel release", artifact.ReleaseAnnotation, release)
	}
	layers := map[artifact.Part]v1.Descriptor{}
	for _, d := range img.manifest.Layers {
		layers[artifact.Part(d.Annotations[artifact.PartAnnotation])] = d
	}
	image := artifact.VMLinux
	if _, ok := layers[image]; !ok {
		image = artifact.Kernel
	}
	if _, ok := layers[image]; !ok {
		return nil, fmt.Errorf("it holds no kernel: no layer is a %s or a %s", artifact.Kernel, artifact.VMLinux)
	}
	paths := map[artifact.Part]string{}
	parts := append([]artifact.Part{image, artifact.Config, artifact.Modules}, s.Parts...)
	if _, local := img.origin.(onDisk); local { // it costs no download, which may be large
		parts = append(parts, artifact.Debug)
	}
	for _, part := range parts {
		d, ok := layers[part]
		if !ok {
			continue
		}
		path, err := s.unpackPart(ctx, img, d, part, filepath.Join(dir, string(part)), release)
		if err != nil {
			return nil, err
		}
		paths[part] = path
	}
	k := &kernel.Kernel{
		Release: release, Image: paths[image], Config: paths[artifact.Config],
		Modules: paths[artifact.Modules], Initramfs: paths[artifact.Initramfs],
	}
	if dir, ok := paths[artifact.Debug]; ok {
		k.Debug = []string{filepath.Join(dir, "vmlinux")}
	}
	return k, nil
}

// unpackPart unpacks one layer, unless that was done, and returns the path of
// what it holds.
func (s *Store) unpackPart(ctx context.Context, img *image, d v1.Descriptor, part artifact.Part, dir, release string) (string, error) {
	want := part.Path(release)
	path := filepath.Join(dir, want)
	if _, err := os.Stat(dir); err == nil {
		return path, nil
	}
	err := s.stage(dir, func(tmp string) error {
		if err := s.unpackLayer(ctx, img, d, string(part), tmp, artifact.Extraction{}); err != nil {
			return err
		}
		info, err := os.Lstat(filepath.Join(tmp, want))
		if err != nil || info.IsDir() != part.IsTree() {
			return fmt.Errorf("unpack %s %s: there is no /%s in it", part, d.Digest, want)
		}
		return nil
	})
	return path, err
}

// unpackRoot unpacks another project's image: of all layers, what may belong
// to a kernel.
func (s *Store) unpackRoot(ctx context.Context, img *image, dir string) (*kernel.Kernel, error) {
	if _, err := os.Stat(dir); err == nil {
		return locate(dir)
	}
	err := s.stage(dir, func(tmp string) error {
		for _, d := range img.manifest.Layers {
			if err := s.unpackLayer(ctx, img, d, "layer", tmp, artifact.Extraction{Keep: ofKernel, Links: true}); err != nil {
				return err
			}
		}
		k, err := locate(tmp)
		if err != nil {
			return err
		}
		if k.Modules != "" && !isFile(filepath.Join(k.Modules, "modules.dep")) {
			return distro.Depmod(ctx, k.Modules)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return locate(dir)
}

// stage fills a directory beside dir and gives it dir's name once it is
// complete. It is called with the image's lock.
func (s *Store) stage(dir string, fill func(tmp string) error) error {
	tmp := dir + ".tmp"
	if err := os.RemoveAll(tmp); err != nil { // what a killed run left
		return err
	}
	defer os.RemoveAll(tmp)
	if err := os.Mkdir(tmp, 0o755); err != nil {
		return err
	}
	if err := fill(tmp); err != nil {
		return err
	}
	s.grown.Store(true)
	return os.Rename(tmp, dir)
}

func (s *Store) unpackLayer(ctx context.Context, img *image, d v1.Descriptor, what, dir string, how artifact.Extraction) error {
	b, err := s.blob(ctx, img.origin, d, what, s.meter(what, d.Size))
	if err != nil {
		return err
	}
	if err := how.Extract(ctx, b, dir); err != nil {
		return errors.Join(fmt.Errorf("unpack %s %s: %w", what, d.Digest, err), b.Close())
	}
	return b.Close()
}
