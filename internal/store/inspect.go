package store

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/bpf-vmtest/bpf-vmtest/internal/artifact"
	"github.com/bpf-vmtest/bpf-vmtest/internal/kernelref"
)

// An Image is what a reference to an image names. Nothing of it but manifests
// and configurations has been fetched.
type Image struct {
	// Digest is the index's, or the manifest's where there is no index, as
	// "sha256:…"; empty if a layout has several manifests and no index.
	Digest      string
	Annotations map[string]string    // the index's
	Kernels     []*artifact.Manifest // one for each architecture

	store *Store
	from  origin
}

// Inspect finds the image that a reference names, for all architectures.
func (s *Store) Inspect(ctx context.Context, ref kernelref.Ref) (*Image, error) {
	image, err := s.inspect(ctx, ref)
	if err != nil {
		return nil, fmt.Errorf("inspect kernel %q: %w", ref, err)
	}
	return image, nil
}

func (s *Store) inspect(ctx context.Context, ref kernelref.Ref) (*Image, error) {
	var from origin
	var found []v1.Descriptor
	var err error
	switch source := ref.Source().(type) {
	case kernelref.Registry:
		from, found, err = s.findInRegistry(ctx, source)
	case kernelref.Layout:
		from, found, err = findInLayout(source)
	default:
		err = ErrNoImage
	}
	if err != nil {
		return nil, err
	}
	image := &Image{store: s, from: from}
	found = slices.CompactFunc(slices.SortedFunc(slices.Values(found), byDigest), func(a, b v1.Descriptor) bool { return a.Digest == b.Digest })
	if len(found) == 1 {
		image.Digest = found[0].Digest.String()
	}
	for _, d := range found {
		if err := image.add(ctx, d); err != nil {
			return nil, err
		}
	}
	return image, nil
}

// byDigest brings what has several tags together.
func byDigest(a, b v1.Descriptor) int { return cmp.Compare(a.Digest.Hex, b.Digest.Hex) }

// ErrNoImage is the error about a kernel that is no image.
var ErrNoImage = errors.New("it is no image, but a kernel of another kind")

// add adds what a descriptor names.
func (i *Image) add(ctx context.Context, d v1.Descriptor) error {
	content, err := i.store.manifest(ctx, i.from, d)
	if err != nil {
		return err
	}
	if !isIndex(d.MediaType, content) {
		return i.addManifest(ctx, d, content)
	}
	var index v1.IndexManifest
	if err := json.Unmarshal(content, &index); err != nil {
		return fmt.Errorf("parse index %s: %w", d.Digest, err)
	}
	i.Annotations = index.Annotations
	for _, d := range index.Manifests {
		// Build tools put attestations of platform unknown beside images.
		if d.MediaType.IsIndex() || d.Platform != nil && d.Platform.OS != "linux" {
			continue
		}
		content, err := i.store.manifest(ctx, i.from, d)
		if err != nil {
			return err
		}
		if err := i.addManifest(ctx, d, content); err != nil {
			return err
		}
	}
	return nil
}

func (i *Image) addManifest(ctx context.Context, d v1.Descriptor, content []byte) error {
	var raw v1.Manifest
	if err := json.Unmarshal(content, &raw); err != nil {
		return fmt.Errorf("parse manifest %s: %w", d.Digest, err)
	}
	config, err := i.store.configuration(ctx, &image{origin: i.from, manifest: raw})
	if err != nil {
		return err
	}
	m, err := artifact.ParseManifest(d, content, config)
	if err == nil {
		i.Kernels = append(i.Kernels, m)
	}
	return err
}

// Kernel is the one for an architecture, by default this machine's.
func (i *Image) Kernel(arch string) (*artifact.Manifest, error) {
	var others []string
	for _, m := range i.Kernels {
		if m.Arch == cmp.Or(arch, runtime.GOARCH) {
			return m, nil
		}
		others = append(others, m.Arch)
	}
	return nil, fmt.Errorf("there is no kernel for %s, only for %v", cmp.Or(arch, runtime.GOARCH), others)
}

// ReadFile reads a part that is one small file, which the kernel must have.
func (i *Image) ReadFile(ctx context.Context, m *artifact.Manifest, part artifact.Part) ([]byte, error) {
	layer, ok := m.Layer(part)
	if !ok {
		return nil, fmt.Errorf("read %s of %s: there is none", part, m.Digest())
	}
	if err := i.verify(ctx, m); err != nil {
		return nil, err
	}
	dir, unlock, err := i.store.lockImage(ctx, m.Descriptor.Digest)
	if err != nil {
		return nil, err
	}
	defer unlock()
	path, err := i.store.unpackPart(ctx, i.image(m), layer.Descriptor, part, filepath.Join(dir, string(part)), m.Release)
	if err != nil {
		return nil, err
	}
	return os.ReadFile(path)
}

// Extract unpacks all that belongs to the kernel into a directory that exists,
// with the paths that it has in the image.
func (i *Image) Extract(ctx context.Context, m *artifact.Manifest, dir string) error {
	if err := i.verify(ctx, m); err != nil {
		return err
	}
	var how artifact.Extraction
	if !m.IsTyped() {
		how = artifact.Extraction{Keep: ofKernel, Links: true}
	}
	for _, l := range m.Layers {
		what := string(l.Part)
		if what == "" {
			what = "layer"
		}
		if err := i.store.unpackLayer(ctx, i.image(m), l.Descriptor, what, dir, how); err != nil {
			return err
		}
	}
	return nil
}

func (i *Image) verify(ctx context.Context, m *artifact.Manifest) error {
	digests := []v1.Hash{m.Descriptor.Digest}
	if h, err := v1.NewHash(i.Digest); err == nil {
		digests = append(digests, h)
	}
	return i.store.verify(ctx, i.from, digests...)
}

func (i *Image) image(m *artifact.Manifest) *image {
	return &image{origin: i.from, digest: m.Descriptor.Digest}
}
