package attest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"os"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/sigstore/sigstore-go/pkg/bundle"

	"github.com/bpf-vmtest/bpf-vmtest/internal/registry"
)

const (
	// An SBOM of a kernel with some hundred modules has 200 kB.
	bundleLimit = 16 << 20
	// Anyone who may write to a repository may attach to its images. What
	// would take long to look through is not looked through.
	referrersLimit = 128
)

// An attestation is a bundle that is attached to an image. Whether any of it is
// true is not known.
type attestation struct {
	*bundle.Bundle
	statement *Statement
}

// attestations reads the bundles attached to an image: those that vouch for it
// first, as far as their annotations tell. A bundle that cannot be read is an
// error in its place.
func attestations(ctx context.Context, from *registry.Repository, image v1.Hash, want func(PredicateType) bool) iter.Seq2[*attestation, error] {
	return func(yield func(*attestation, error) bool) {
		referrers, from, err := from.Referrers(ctx, image)
		if err != nil {
			yield(nil, fmt.Errorf("list what is attached: %w", err))
			return
		}
		slices.SortStableFunc(referrers, func(a, b v1.Descriptor) int { return rank(a) - rank(b) })
		for i, d := range referrers {
			if i == referrersLimit {
				yield(nil, fmt.Errorf("list what is attached: it is more than %d", referrersLimit))
				return
			}
			if t, ok := d.Annotations[predicateAnnotation]; ok && !want(PredicateType(t)) {
				continue
			}
			a, err := readAttestation(ctx, from, d)
			if err == nil && (a == nil || !want(a.statement.PredicateType)) {
				continue
			}
			if !yield(a, err) {
				return
			}
		}
	}
}

// rank orders bundles by what they are likely to be.
func rank(d v1.Descriptor) int {
	switch PredicateType(d.Annotations[predicateAnnotation]) {
	case Signature:
		return 0
	case Provenance:
		return 1
	case "":
		return 2
	}
	return 3
}

// readAttestation reads the bundle that a manifest holds, or gives nil if it
// holds something else.
func readAttestation(ctx context.Context, from *registry.Repository, d v1.Descriptor) (*attestation, error) {
	content, err := from.Manifest(ctx, d.Digest)
	var answer *registry.Error
	if errors.As(err, &answer) && answer.Missing() {
		return nil, faultf(Unreadable, "", "the registry lists %s, but does not have it", d.Digest)
	}
	if err != nil {
		return nil, fmt.Errorf("read attached manifest %s: %w", d.Digest, err)
	}
	var m v1.Manifest
	if err := json.Unmarshal(content, &m); err != nil {
		return nil, fmt.Errorf("parse attached manifest %s: %w", d.Digest, err)
	}
	// The descriptor's own artifactType is not to be relied on: some
	// registries put the configuration's type there.
	if len(m.Layers) != 1 || !strings.HasPrefix(string(m.Layers[0].MediaType), bundleTypes) {
		return nil, nil
	}
	data, err := readBlob(ctx, from, m.Layers[0], bundleLimit)
	if err != nil {
		return nil, fmt.Errorf("read bundle: %w", err)
	}
	return parseAttestation(data)
}

// parseAttestation reads a bundle, or gives nil if what it signs is no
// statement.
func parseAttestation(data []byte) (*attestation, error) {
	b := &bundle.Bundle{}
	if err := b.UnmarshalJSON(data); err != nil {
		return nil, faultf(Tampered, "", "it is no sigstore bundle").because(err)
	}
	envelope := b.GetDsseEnvelope()
	if envelope == nil || envelope.PayloadType != payloadType {
		return nil, nil
	}
	s, err := parseStatement(envelope.Payload)
	if err != nil {
		return nil, faultf(Tampered, "", "it signs no statement").because(err)
	}
	return &attestation{b, s}, nil
}

// readBlob reads a small blob.
func readBlob(ctx context.Context, from *registry.Repository, d v1.Descriptor, limit int64) ([]byte, error) {
	if d.Size > limit {
		return nil, fmt.Errorf("blob %s has %d bytes, more than %d", d.Digest, d.Size, limit)
	}
	f, err := os.CreateTemp("", "vmtest-blob-")
	if err != nil {
		return nil, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	if err := from.Download(ctx, d, f, func(int64) {}); err != nil {
		return nil, fmt.Errorf("read blob %s: %w", d.Digest, err)
	}
	return os.ReadFile(f.Name())
}
