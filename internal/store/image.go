package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/renameio/v2"

	"github.com/bpf-vmtest/bpf-vmtest/internal/artifact"
)

// origin is where the blobs of an image are: a layout or a registry. What it
// gives is what the digest says, or there is an error.
type origin interface {
	// Manifest reads a manifest or an index.
	Manifest(context.Context, v1.Hash) ([]byte, error)
	// Download completes a file that may hold the beginning of a layer or
	// a configuration.
	Download(context.Context, v1.Descriptor, *os.File, func(done int64)) error
}

// image is a manifest for the wanted architecture.
type image struct {
	origin
	digest   v1.Hash
	manifest v1.Manifest
}

// choose finds the image for the store's architecture among the descriptors of
// manifests and indexes.
func (s *Store) choose(ctx context.Context, from origin, candidates []v1.Descriptor) (*image, error) {
	var others []string
	for _, d := range candidates {
		content, err := s.manifest(ctx, from, d)
		if err != nil {
			return nil, err
		}
		if isIndex(d.MediaType, content) {
			var index v1.IndexManifest
			if err := json.Unmarshal(content, &index); err != nil {
				return nil, fmt.Errorf("parse index %s: %w", d.Digest, err)
			}
			// An index in an index is allowed but nobody writes it; that
			// it is an error here also ends a loop.
			inner := slices.DeleteFunc(index.Manifests, func(d v1.Descriptor) bool { return d.MediaType.IsIndex() || !s.mayRun(d.Platform) })
			if len(inner) > 0 {
				return s.choose(ctx, from, inner)
			}
			for _, d := range index.Manifests {
				others = append(others, platform(d))
			}
			continue
		}
		img := &image{origin: from, digest: d.Digest}
		if err := json.Unmarshal(content, &img.manifest); err != nil {
			return nil, fmt.Errorf("parse manifest %s: %w", d.Digest, err)
		}
		arch, err := s.imageArch(ctx, img)
		if err != nil {
			return nil, err
		}
		if arch == s.arch() {
			return img, nil
		}
		others = append(others, arch)
	}
	return nil, fmt.Errorf("it has no kernel for %s, only for %v", s.arch(), others)
}

func isIndex(mediaType types.MediaType, content []byte) bool {
	if mediaType != "" {
		return mediaType.IsIndex()
	}
	return bytes.Contains(content, []byte(`"manifests"`))
}

// mayRun leaves out other platforms, and what is not an image at all: build
// tools put attestations of platform unknown/unknown beside images.
func (s *Store) mayRun(p *v1.Platform) bool {
	return p == nil || p.OS == "linux" && p.Architecture == s.arch()
}

func platform(d v1.Descriptor) string {
	if d.Platform == nil {
		return "unknown"
	}
	return d.Platform.Architecture
}

// manifest reads a manifest or index.
func (s *Store) manifest(ctx context.Context, from origin, d v1.Descriptor) ([]byte, error) {
	content, err := s.document(d.Digest, func() ([]byte, error) { return from.Manifest(ctx, d.Digest) })
	if err != nil {
		return nil, fmt.Errorf("fetch manifest %s: %w", d.Digest, err)
	}
	return content, nil
}

// configuration reads an image's configuration.
func (s *Store) configuration(ctx context.Context, img *image) ([]byte, error) {
	d := img.manifest.Config
	return s.document(d.Digest, func() ([]byte, error) {
		if d.Size > documentLimit {
			return nil, fmt.Errorf("fetch configuration %s: it is larger than %d bytes", d.Digest, documentLimit)
		}
		b, err := s.blob(ctx, img.origin, d, "configuration", func(int64) {})
		if err != nil {
			return nil, err
		}
		content, err := io.ReadAll(b)
		return content, errors.Join(err, b.Close())
	})
}

// Manifests, indexes and configurations are small; registries allow 4 MiB.
const documentLimit = 4 << 20

// document reads what is small, from the cache where possible: what has been
// seen once is found again without its origin.
func (s *Store) document(digest v1.Hash, fetch func() ([]byte, error)) ([]byte, error) {
	if err := checkDigest(digest); err != nil {
		return nil, err
	}
	cached, err := s.path("documents", digest.Hex)
	if err != nil {
		return nil, err
	}
	if content, err := os.ReadFile(cached); err == nil && checkDocument(content, digest) == nil {
		return content, nil
	}
	content, err := fetch()
	if err == nil {
		err = checkDocument(content, digest)
	}
	if err != nil {
		return nil, err
	}
	return content, renameio.WriteFile(cached, content, 0o644)
}

func checkDocument(content []byte, digest v1.Hash) error {
	if len(content) > documentLimit {
		return fmt.Errorf("it is larger than %d bytes", documentLimit)
	}
	if got := fmt.Sprintf("%x", sha256.Sum256(content)); got != digest.Hex {
		return fmt.Errorf("its content has the digest sha256:%s", got)
	}
	return nil
}

// imageArch is the architecture in the image's configuration.
func (s *Store) imageArch(ctx context.Context, img *image) (string, error) {
	d := img.manifest.Config
	content, err := s.configuration(ctx, img)
	if err != nil {
		return "", err
	}
	var config v1.ConfigFile
	if err := json.Unmarshal(content, &config); err != nil {
		return "", fmt.Errorf("parse configuration %s: %w", d.Digest, err)
	}
	if config.Architecture == "" {
		return "", fmt.Errorf("parse configuration %s: it names no architecture", d.Digest)
	}
	return config.Architecture, nil
}

// typed reports whether the image's layers say what they hold.
func (i *image) typed() bool { return i.manifest.ArtifactType == artifact.Type }

func checkDigest(h v1.Hash) error {
	if h.Algorithm != "sha256" || len(h.Hex) != 64 {
		return fmt.Errorf("check digest %q: want a SHA-256", h)
	}
	return nil
}
