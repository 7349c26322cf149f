package store

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/bpf-vmtest/bpf-vmtest/internal/cache"
	"github.com/bpf-vmtest/bpf-vmtest/internal/debuginfo"
	"github.com/bpf-vmtest/bpf-vmtest/internal/kernel"
)

// fromPath resolves a kernel image or a built tree.
func (s *Store) fromPath(ctx context.Context, path string) (*kernel.Kernel, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case info.IsDir():
		return s.fromTree(ctx, path)
	case !info.Mode().IsRegular():
		return nil, errNotKernel
	}
	return s.fromImage(ctx, path)
}

// fromImage resolves a kernel image. It is copied, so that a build that goes on
// meanwhile does not change it.
func (s *Store) fromImage(ctx context.Context, path string) (*kernel.Kernel, error) {
	h, err := identify(path)
	if err != nil {
		return nil, err
	}
	if err := s.checkArch(h.arch); err != nil {
		return nil, err
	}
	copied, digest, err := s.keep(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("copy %q: %w", path, err)
	}
	k := &kernel.Kernel{Digest: "sha256:" + digest, Arch: h.arch, Release: h.release, Image: copied}
	if abs, err := filepath.Abs(path); err == nil {
		k.Debug = debugBeside(abs, h.release)
	}
	return k, nil
}

// debugBeside is where the debug information of an image is, if it is a vmlinux
// itself, is one of a built tree's, or was unpacked with everything else.
func debugBeside(image, release string) []string {
	files := []string{image}
	if dir := filepath.Dir(image); filepath.Base(dir) == "boot" {
		files = append(files, filepath.Join(dir, "../../../vmlinux"))
		files = append(files, debuginfo.Files(filepath.Dir(dir), release)...)
	}
	return files
}

// fromTree resolves a kernel built in the tree or in a separate O= directory.
func (s *Store) fromTree(ctx context.Context, dir string) (*kernel.Kernel, error) {
	images := map[string][]string{
		"amd64": {"arch/x86/boot/bzImage", "vmlinux"},
		"arm64": {"arch/arm64/boot/Image", "arch/arm64/boot/Image.gz"},
	}[s.arch()]
	for _, name := range images {
		image := filepath.Join(dir, name)
		if !isFile(image) {
			continue
		}
		k, err := s.fromImage(ctx, image)
		if err != nil {
			return nil, err
		}
		return s.describe(ctx, k, dir)
	}
	if isFile(filepath.Join(dir, "oci-layout")) {
		return nil, &hinted{errors.New("the directory is an OCI layout"), "write oci:" + dir}
	}
	return nil, &hinted{
		fmt.Errorf("the directory holds no built kernel: there is no %s", strings.Join(images, " or ")),
		"build it there with make, or name the image itself",
	}
}

// describe adds what the tree knows of its kernel.
func (s *Store) describe(ctx context.Context, k *kernel.Kernel, dir string) (*kernel.Kernel, error) {
	if release, err := os.ReadFile(filepath.Join(dir, "include/config/kernel.release")); err == nil && k.Release == "" {
		k.Release = strings.TrimSpace(string(release))
	}
	if config := filepath.Join(dir, ".config"); isFile(config) {
		copied, _, err := s.keep(ctx, config)
		if err != nil {
			return nil, fmt.Errorf("copy %q: %w", config, err)
		}
		k.Config = copied
	}
	return k, nil
}

// keep copies a file into the cache, under its SHA-256, which it returns in
// hexadecimal.
func (s *Store) keep(ctx context.Context, path string) (copied, digest string, err error) {
	in, err := os.Open(path)
	if err != nil {
		return "", "", err
	}
	defer in.Close()
	tmp, err := s.temp()
	if err != nil {
		return "", "", err
	}
	defer os.Remove(tmp.Name())
	defer tmp.Close()
	h := sha256.New()
	if _, err := io.Copy(io.MultiWriter(tmp, h), contextReader{ctx, in}); err != nil {
		return "", "", err
	}
	if err := tmp.Sync(); err != nil {
		return "", "", err
	}
	digest = fmt.Sprintf("%x", h.Sum(nil))
	if copied, err = s.path("files", digest); err != nil {
		return "", "", err
	}
	if err := cache.Hold(copied); err != nil {
		return "", "", err
	}
	if _, err := os.Stat(copied); err != nil {
		s.grown.Store(true)
	}
	return copied, digest, os.Rename(tmp.Name(), copied)
}

// contextReader ends with the context's error once that is done.
type contextReader struct {
	ctx context.Context
	io.Reader
}

func (r contextReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.Reader.Read(p)
}
