package publish

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/authn/github"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/bpf-vmtest/bpf-vmtest/internal/artifact"
)

// Options say how a registry is reached. The zero value is ready.
type Options struct {
	// Keychain has the credentials, by default docker's configuration and,
	// for ghcr.io, GITHUB_TOKEN.
	Keychain authn.Keychain
	// Transport reaches the registry, by default as go-containerregistry does.
	Transport http.RoundTripper
	// Progress, when set, is called while blobs are sent. What the registry
	// has already is not sent.
	Progress func(Progress)

	pause time.Duration // before a second attempt; a test's is shorter
}

// Progress is the state of one upload.
type Progress struct {
	What        string // such as "kernel of 6.12.94 amd64"
	Done, Total int64  // bytes
}

// A Repository is a place for kernels in a registry.
type Repository struct {
	name    name.Repository
	options Options
	pusher  *remote.Pusher
	puller  *remote.Puller
}

// Open prepares to publish to a repository, HOST/REPOSITORY. Nothing is asked
// yet.
func Open(repository string, o Options) (*Repository, error) {
	n, err := name.NewRepository(repository, name.StrictValidation)
	if err != nil {
		return nil, &RepositoryError{Input: repository, Cause: err}
	}
	if o.Keychain == nil {
		o.Keychain = authn.NewMultiKeychain(authn.DefaultKeychain, github.Keychain)
	}
	if o.Transport == nil {
		own := remote.DefaultTransport.(*http.Transport).Clone()
		own.ResponseHeaderTimeout = silence // for ever otherwise
		o.Transport = own
	}
	if o.Progress == nil {
		o.Progress = func(Progress) {}
	}
	options := []remote.Option{
		remote.WithAuthFromKeychain(o.Keychain),
		remote.WithTransport(o.Transport),
		remote.WithUserAgent("bpf-vmtest"),
		// The library sends again what failed by the network, by too many
		// requests or by the server.
		remote.WithRetryBackoff(remote.Backoff{Duration: cmp.Or(o.pause, time.Second), Factor: 3, Jitter: 0.1, Steps: 4}),
	}
	r := &Repository{name: n, options: o}
	if r.pusher, err = remote.NewPusher(options...); err != nil {
		return nil, err
	}
	r.puller, err = remote.NewPuller(options...)
	return r, err
}

// A registry that takes or says nothing for this long is given up. One may
// copy a large blob to another place before it answers.
const silence = 2 * time.Minute

// String is the repository's name with the host.
func (r *Repository) String() string { return r.name.String() }

// Push sends what the registry lacks of the release: layers, configurations and
// manifests, and last the index, all by their digests. No tag changes. A push
// that was interrupted goes on with the blob at which it was.
func (r *Repository) Push(ctx context.Context, release *Release) error {
	for _, k := range release.kernels {
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
		if err := r.put(ctx, r.name.Digest(k.Digest()), document{k.Descriptor.MediaType, manifest}); err != nil {
			return fmt.Errorf("push manifest of %s: %w", describe(k), err)
		}
	}
	if err := r.put(ctx, r.name.Digest(release.Index.Digest.String()), release.document()); err != nil {
		return fmt.Errorf("push index %s: %w", release.Index.Digest, err)
	}
	return nil
}

func (r *Repository) upload(ctx context.Context, k Kernel, d v1.Descriptor, what string) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	b := blob{Descriptor: d, layout: k.Layout, cancel: cancel, progress: func(done int64) {
		r.options.Progress(Progress{fmt.Sprintf("%s of %s %s", what, k.Release, k.Arch), done, d.Size})
	}}
	layer, err := partial.CompressedToLayer(b)
	if err == nil {
		err = r.pusher.Upload(ctx, r.name, layer)
	}
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = cause
	}
	if err != nil {
		return fmt.Errorf("push %s %s: %w", what, d.Digest, r.explain(err))
	}
	return nil
}

// put writes a manifest or an index under its digest or a tag.
func (r *Repository) put(ctx context.Context, ref name.Reference, d document) error {
	return r.explain(r.pusher.Put(ctx, ref, d))
}

// A document is a manifest or an index as it is sent.
type document struct {
	mediaType types.MediaType
	content   []byte
}

func (d document) RawManifest() ([]byte, error)        { return d.content, nil }
func (d document) MediaType() (types.MediaType, error) { return d.mediaType, nil }

func (r *Release) document() document { return document{r.Index.MediaType, r.index} }

// blob is a layer or a configuration in a layout, on its way.
type blob struct {
	v1.Descriptor
	layout   *artifact.Layout
	cancel   context.CancelCauseFunc
	progress func(done int64)
}

func (b blob) Digest() (v1.Hash, error)            { return b.Descriptor.Digest, nil }
func (b blob) Size() (int64, error)                { return b.Descriptor.Size, nil }
func (b blob) MediaType() (types.MediaType, error) { return b.Descriptor.MediaType, nil }

// Compressed opens the blob to be sent, again for each attempt.
func (b blob) Compressed() (io.ReadCloser, error) {
	r, err := b.layout.Blob(context.Background(), b.Descriptor)
	if err != nil {
		return nil, err
	}
	return &watched{ReadCloser: r, blob: b, timer: time.AfterFunc(silence, func() {
		b.cancel(fmt.Errorf("the registry has taken nothing for %v", silence))
	})}, nil
}

// watched is a file that is being sent.
type watched struct {
	io.ReadCloser
	blob  blob
	timer *time.Timer
	done  int64
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.ReadCloser.Read(p)
	w.done += int64(n)
	w.timer.Reset(silence)
	w.blob.progress(w.done)
	return n, err
}

func (w *watched) Close() error {
	w.timer.Stop()
	return w.ReadCloser.Close()
}
