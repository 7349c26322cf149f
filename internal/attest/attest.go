// Package attest says where a kernel in a registry comes from, and finds out
// who said so. What is said are in-toto statements: that an image is its
// signer's, how it was built (SLSA provenance) and what is in it (a CycloneDX
// SBOM). Each is signed, kept as a sigstore bundle and attached to the image, as
// cosign and GitHub's attestations are. docs/supply-chain.md describes it all.
package attest

import (
	"bytes"
	"context"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/bpf-vmtest/bpf-vmtest/internal/registry"
)

const (
	bundleType = "application/vnd.dev.sigstore.bundle.v0.3+json"
	// bundleTypes begin so, whatever their version.
	bundleTypes = "application/vnd.dev.sigstore.bundle"

	// Annotations of a bundle's manifest, as cosign and GitHub write them.
	contentAnnotation   = "dev.sigstore.bundle.content"
	predicateAnnotation = "dev.sigstore.bundle.predicateType"
)

// attach stores a bundle and attaches it to an image.
func attach(ctx context.Context, w *registry.Writer, image v1.Descriptor, t PredicateType, bundle []byte) error {
	config, err := upload(ctx, w, []byte("{}"), "application/vnd.oci.empty.v1+json")
	if err != nil {
		return err
	}
	layer, err := upload(ctx, w, bundle, bundleType)
	if err != nil {
		return err
	}
	return w.Attach(ctx, v1.Manifest{
		SchemaVersion: 2, MediaType: types.OCIManifestSchema1, ArtifactType: bundleType,
		Config: config, Layers: []v1.Descriptor{layer},
		Subject:     &v1.Descriptor{MediaType: image.MediaType, Size: image.Size, Digest: image.Digest},
		Annotations: map[string]string{contentAnnotation: "dsse-envelope", predicateAnnotation: string(t)},
	})
}

func upload(ctx context.Context, w *registry.Writer, content []byte, mediaType types.MediaType) (d v1.Descriptor, err error) {
	d = v1.Descriptor{MediaType: mediaType, Size: int64(len(content))}
	if d.Digest, _, err = v1.SHA256(bytes.NewReader(content)); err != nil {
		return d, err
	}
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil }
	return d, w.Upload(ctx, d, open, func(int64) {})
}
