// Package store turns kernel references into kernels on disk: it finds,
// fetches, checks, unpacks and caches them.
package store

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/bpf-vmtest/bpf-vmtest/internal/artifact"
	"github.com/bpf-vmtest/bpf-vmtest/internal/distro"
	"github.com/bpf-vmtest/bpf-vmtest/internal/kernel"
	"github.com/bpf-vmtest/bpf-vmtest/internal/kernelref"
	"github.com/bpf-vmtest/bpf-vmtest/internal/kver"
	"github.com/bpf-vmtest/bpf-vmtest/internal/lockfile"
	"github.com/bpf-vmtest/bpf-vmtest/internal/registry"
)

// Store resolves references. Only Dir must be set. It may be used by several
// goroutines and processes at once, also with the same Dir.
type Store struct {
	// Dir is the cache. Everything in it is found by the digest of what it
	// holds and appears under its name only when it is complete.
	Dir string
	// Arch is the GOARCH of the kernels, by default this machine's.
	Arch string
	// Parts are fetched with an artifact in addition to the image, the
	// configuration and the modules, if it has them: for a shell, the
	// initramfs.
	Parts []artifact.Part
	// Apt fetches distributions' kernels, by default with this store's Dir,
	// Arch, Progress and Warn.
	Apt *distro.Apt
	// Keychain has the credentials for registries, by default docker's
	// configuration and, for ghcr.io, GITHUB_TOKEN.
	Keychain authn.Keychain
	// Mirrors of registries are by default those of registries.conf.
	Mirrors *registry.Mirrors
	// Transport reaches registries, by default as Go does.
	Transport http.RoundTripper
	// Verify, when set, decides whether an image in a registry may be used,
	// before anything of it but manifests and configurations is fetched. Of the
	// digests one is its manifest's; another may be that of an index.
	Verify func(ctx context.Context, r *registry.Repository, digests ...v1.Hash) error
	// Progress, when set, is called during downloads, from one goroutine at
	// a time for each call of Resolve.
	Progress func(Progress)
	// Warn, when set, is called with what the user should know although
	// the work goes on.
	Warn func(message string)
	// Lock says what references that move stand for, if it is not nil.
	Lock *lockfile.File
	// Limit is how large the cache may grow, in bytes, 0 for any size. What
	// was built here does not count, see [cache.Pruning].
	Limit int64
	// Notice, when set, is called with what a reference stands for, and with
	// what was done to the cache.
	Notice func(message string)

	firstPause, silence time.Duration // of the client's, shorter in tests

	grown atomic.Bool // something has come into the cache

	once       sync.Once
	registries *registry.Client
}

// Progress is the state of one download.
type Progress = distro.Progress

// Resolve finds the kernel and brings it into the cache. What the reference
// names may change (a tag, a suite, a file), unless the lock file says what it
// is; the result's Digest says what was found, and its files no longer change.
func (s *Store) Resolve(ctx context.Context, ref kernelref.Ref) (*kernel.Kernel, error) {
	k, err := s.resolve(ctx, ref)
	if err != nil {
		return nil, fmt.Errorf("resolve kernel %q: %w", ref, err)
	}
	k.Name = ref.String()
	s.trim(ctx)
	return k, nil
}

func (s *Store) resolve(ctx context.Context, ref kernelref.Ref) (*kernel.Kernel, error) {
	if pin, ok := s.Lock.Find(ref, s.arch()); ok {
		return s.fromPin(ctx, ref, pin)
	}
	switch source := ref.Source().(type) {
	case kernelref.Registry:
		return s.fromRegistry(ctx, source)
	case kernelref.Layout:
		return s.fromLayout(ctx, source)
	case kernelref.Distribution:
		return s.fromDistribution(ctx, source)
	case kernelref.Path:
		return s.fromPath(ctx, source.Path)
	}
	return nil, fmt.Errorf("unknown source %T", ref.Source())
}

func (s *Store) fromDistribution(ctx context.Context, d kernelref.Distribution) (*kernel.Kernel, error) {
	found, err := s.apt().Kernel(ctx, query(d))
	if err != nil {
		return nil, err
	}
	return s.unpacked(found)
}

func query(d kernelref.Distribution) distro.Query {
	return distro.Query{Distribution: d.Name, Version: d.Version, Suite: d.Suite}
}

func (s *Store) apt() *distro.Apt {
	if s.Apt != nil {
		return s.Apt
	}
	return &distro.Apt{Dir: s.Dir, Arch: s.arch(), Progress: s.Progress, Warn: s.Warn}
}

// unpacked is the kernel in a distribution's packages.
func (s *Store) unpacked(found *distro.Kernel) (*kernel.Kernel, error) {
	if found.Fresh {
		s.grown.Store(true)
	}
	k, err := locate(found.Dir)
	if err != nil {
		return nil, err
	}
	k.Digest, k.Arch, k.Release = "sha256:"+found.SHA256, s.arch(), found.Release
	return k, nil
}

func (s *Store) arch() string {
	if s.Arch == "" {
		return runtime.GOARCH
	}
	return s.Arch
}

func (s *Store) notice(format string, args ...any) {
	if s.Notice != nil {
		s.Notice(fmt.Sprintf(format, args...))
	}
}

func (s *Store) progress(p Progress) {
	if s.Progress != nil {
		s.Progress(p)
	}
}

func (s *Store) warn(format string, args ...any) {
	if s.Warn != nil {
		s.Warn(fmt.Sprintf(format, args...))
	}
}

// path is an absolute path in the cache; its directory is made.
func (s *Store) path(elem ...string) (string, error) {
	dir, err := filepath.Abs(s.Dir)
	if err != nil {
		return "", err
	}
	p := filepath.Join(append([]string{dir}, elem...)...)
	return p, os.MkdirAll(filepath.Dir(p), 0o755)
}

// checkArch compares a kernel's architecture with the one that is wanted.
func (s *Store) checkArch(arch string) error {
	if arch != s.arch() {
		return fmt.Errorf("it is for %s, want %s", arch, s.arch())
	}
	return nil
}

// isRelease reports whether s looks like what uname -r prints.
func isRelease(s string) bool {
	_, err := kver.FromRelease(s)
	return err == nil
}
