package attest

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/bpf-vmtest/bpf-vmtest/internal/artifact"
	"github.com/bpf-vmtest/bpf-vmtest/internal/registry"
)

// A Signing is the signing of kernels.
type Signing struct {
	Signer  Signer
	Builder Builder
	Roots   *Roots
	// Again attaches also what the signer has attached before.
	Again bool
	// Done, when set, is called for each statement.
	Done func(Attached)
}

// Attached is a statement that is now attached to an image.
type Attached struct {
	Image     string // REPOSITORY@DIGEST
	What      string // such as "6.12.95 amd64", or "index"
	Predicate PredicateType
	Before    bool // it was there already
}

// Sign attaches to a kernel's manifest in a repository, HOST/REPOSITORY, its SBOM,
// its provenance and a signature. The digest may be an index's: then that is done
// for each of its kernels, and the index itself gets a provenance and a
// signature. The client is to have no mirrors: they may not yet know the kernel.
func (s Signing) Sign(ctx context.Context, client *registry.Client, repository string, digest v1.Hash) error {
	var p place
	var err error
	if p.Repository, err = client.Repository(repository); err == nil {
		p.writer, err = client.Writer(ctx, repository)
	}
	if err == nil {
		err = s.sign(ctx, p, digest)
	}
	if err != nil {
		return fmt.Errorf("sign %q: %w", imageName(repository, digest), err)
	}
	return nil
}

// A place is where a kernel is read from and what is said of it is put.
type place struct {
	*registry.Repository
	writer *registry.Writer
}

func (s Signing) sign(ctx context.Context, r place, digest v1.Hash) error {
	top, members, err := readIndex(ctx, r.Repository, digest)
	if err != nil {
		return err
	}
	if members == nil {
		m, err := readManifest(ctx, r.Repository, top)
		if err != nil {
			return err
		}
		return s.signKernel(ctx, r, m)
	}
	var kernels []*artifact.Manifest
	for _, d := range members {
		m, err := readManifest(ctx, r.Repository, d)
		if err != nil {
			return err
		}
		kernels = append(kernels, m)
	}
	for _, m := range kernels {
		if err := s.signKernel(ctx, r, m); err != nil {
			return err
		}
	}
	return s.attachAll(ctx, r, top, "index", []predicate{
		{Provenance, func() (any, error) { return NewProvenance(s.Builder, kernels...), nil }},
		{Signature, nothing},
	})
}

func (s Signing) signKernel(ctx context.Context, r place, m *artifact.Manifest) error {
	return s.attachAll(ctx, r, m.Descriptor, m.Release+" "+m.Arch, []predicate{
		{SBOM, func() (any, error) {
			c, err := readContents(ctx, r.Repository, m)
			if err != nil {
				return nil, err
			}
			return NewSBOM(c), nil
		}},
		{Provenance, func() (any, error) { return NewProvenance(s.Builder, m), nil }},
		{Signature, nothing},
	})
}

// A predicate is what is to be said, and how to find it out.
type predicate struct {
	kind  PredicateType
	value func() (any, error)
}

func nothing() (any, error) { return struct{}{}, nil }

// attachAll attaches what the signer has not attached before: a build that gives the same
// digest again does not pile up statements.
func (s Signing) attachAll(ctx context.Context, r place, image v1.Descriptor, what string, all []predicate) error {
	before, err := s.before(ctx, r, image.Digest)
	if err != nil {
		return err
	}
	for _, p := range all {
		done := Attached{imageName(r.Name.Name(), image.Digest), what, p.kind, slices.Contains(before, p.kind)}
		if !done.Before {
			if err := s.attach(ctx, r, image, p); err != nil {
				return fmt.Errorf("attach %s: %w", p.kind, err)
			}
		}
		if s.Done != nil {
			s.Done(done)
		}
	}
	return nil
}

func (s Signing) before(ctx context.Context, r place, image v1.Hash) (kinds []PredicateType, err error) {
	if s.Again {
		return nil, nil
	}
	findings, err := Inspect(ctx, r.Repository, image, s.Signer.trust(), s.Roots)
	for _, f := range findings {
		if f.Err == nil {
			kinds = append(kinds, f.Predicate)
		}
	}
	return kinds, err
}

func (s Signing) attach(ctx context.Context, r place, image v1.Descriptor, p predicate) error {
	value, err := p.value()
	if err != nil {
		return err
	}
	statement, err := newStatement(r.Name.Name(), image.Digest, p.kind, value)
	if err != nil {
		return err
	}
	bundle, err := s.Signer.sign(ctx, statement)
	if err != nil {
		return err
	}
	return attach(ctx, r.writer, image, p.kind, bundle)
}

// readIndex reads what a digest names: the descriptor of a manifest, or that of
// an index and those of its members.
func readIndex(ctx context.Context, from *registry.Repository, digest v1.Hash) (top v1.Descriptor, members []v1.Descriptor, err error) {
	content, err := from.Manifest(ctx, digest)
	if err != nil {
		return top, nil, err
	}
	var index v1.IndexManifest // a manifest's fields of the same name are the same
	if err := json.Unmarshal(content, &index); err != nil {
		return top, nil, fmt.Errorf("parse manifest %s: %w", digest, err)
	}
	top = v1.Descriptor{MediaType: index.MediaType, Size: int64(len(content)), Digest: digest}
	return top, index.Manifests, nil
}
