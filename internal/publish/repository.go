package publish

import (
	"context"
	"fmt"
	"io"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/bpf-vmtest/bpf-vmtest/internal/registry"
)

// A Repository is a place for kernels in a registry.
type Repository struct {
	// Progress, when set, is called while blobs are sent. What the registry
	// has already is not sent.
	Progress func(Progress)

	writer *registry.Writer
}

// Progress is the state of one upload.
type Progress struct {
	What        string // such as "kernel of 6.12.94 amd64"
	Done, Total int64  // bytes
}

// Open makes ready to publish to a repository, HOST/REPOSITORY.
func Open(ctx context.Context, client *registry.Client, repository string) (*Repository, error) {
	if _, err := name.NewRepository(repository, name.StrictValidation); err != nil {
		return nil, &RepositoryError{Input: repository, Cause: err}
	}
	w, err := client.Writer(ctx, repository)
	if err != nil {
		return nil, err
	}
	return &Repository{Progress: func(Progress) {}, writer: w}, nil
}

// Push sends what the registry lacks of the release: layers, configurations and
// manifests, and last the index, all by their digests. No tag changes. A push
// that was interrupted goes on with the blob at which it was.
func (r *Repository) Push(ctx context.Context, release *Release) error {
	for _, k := range release.kernels {
		if err := r.pushKernel(ctx, k); err != nil {
			return fmt.Errorf("push %s: %w", describe(k), err)
		}
	}
	if err := r.put(ctx, r.digest(release.Index.Digest), release.document()); err != nil {
		return fmt.Errorf("push index %s: %w", release.Index.Digest, err)
	}
	return nil
}

func (r *Repository) pushKernel(ctx context.Context, k Kernel) error {
	for _, l := range k.Layers {
		if err := r.upload(ctx, k, l.Descriptor, string(l.Part)); err != nil {
			return err
		}
	}
	if err := r.upload(ctx, k, k.Config, "configuration"); err != nil {
		return err
	}
	manifest, err := k.Layout.Document(k.Descriptor)
	if err != nil {
		return err
	}
	if err := r.put(ctx, r.digest(k.Descriptor.Digest), document{k.Descriptor.MediaType, manifest}); err != nil {
		return fmt.Errorf("manifest: %w", err)
	}
	return nil
}

func (r *Repository) upload(ctx context.Context, k Kernel, d v1.Descriptor, what string) error {
	open := func() (io.ReadCloser, error) { return k.Layout.Blob(ctx, d) }
	err := r.writer.Upload(ctx, d, open, func(done int64) {
		r.Progress(Progress{fmt.Sprintf("%s of %s %s", what, k.Release, k.Arch), done, d.Size})
	})
	if err != nil {
		return fmt.Errorf("%s %s: %w", what, d.Digest, err)
	}
	return nil
}

// put writes a manifest or an index under its digest or a tag.
func (r *Repository) put(ctx context.Context, ref name.Reference, d document) error {
	return r.writer.Put(ctx, ref, d.mediaType, d.content)
}

func (r *Repository) digest(h v1.Hash) name.Reference { return r.writer.Name.Digest(h.String()) }

func (r *Repository) tag(tag string) name.Reference { return r.writer.Name.Tag(tag) }

// A document is a manifest or an index as it is sent.
type document struct {
	mediaType types.MediaType
	content   []byte
}

func (r *Release) document() document { return document{r.Index.MediaType, r.index} }
