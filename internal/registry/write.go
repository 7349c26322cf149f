package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Writer writes to one repository of a registry, never to its mirrors.
type Writer struct {
	Name   name.Repository
	source *source
	pusher *remote.Pusher
	puller *remote.Puller
}

// Writer makes itself known to a registry as somebody who writes to a repository,
// HOST/REPOSITORY.
func (c *Client) Writer(ctx context.Context, path string) (*Writer, error) {
	r, err := c.Repository(path)
	if err != nil {
		return nil, err
	}
	w := &Writer{source: r.sources[len(r.sources)-1]}
	w.Name = w.source.name
	t, err := w.connect(ctx)
	if err != nil {
		return nil, err
	}
	options := []remote.Option{
		remote.WithTransport(t),
		remote.WithRetryBackoff(remote.Backoff{Duration: c.pause(), Factor: 3, Jitter: 0.1, Steps: attempts}),
	}
	if w.pusher, err = remote.NewPusher(options...); err != nil {
		return nil, err
	}
	w.puller, err = remote.NewPuller(options...)
	return w, err
}

// connect agrees with the registry on how to show credentials. Some say that a
// repository is forbidden, not that it is missing, to who only wants to read it.
func (w *Writer) connect(ctx context.Context) (http.RoundTripper, error) {
	s, c := w.source, w.source.client
	auth, err := authn.Resolve(ctx, c.keychain(), s.name)
	if err == nil {
		s.user, err = user(ctx, auth)
	}
	if err != nil {
		return nil, fmt.Errorf("read credentials for %q: %w", s.name.RegistryStr(), err)
	}
	t := transport.NewUserAgent(&writing{reads: c.transport(s.insecure), writes: c.base(s.insecure, patience)}, "bpf-vmtest")
	t, err = transport.NewWithContext(ctx, s.name.Registry, auth, t, []string{s.name.Scope(transport.PushScope)})
	if err != nil {
		return nil, w.explain(err)
	}
	return t, nil
}

// writing sends requests that change something once: the library begins an
// upload that failed from its start, which a request sent again cannot. It waits
// longer for their answers, since a registry may copy a blob to another place
// before it gives one.
type writing struct{ reads, writes http.RoundTripper }

func (w *writing) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Method == http.MethodGet || req.Method == http.MethodHead {
		return w.reads.RoundTrip(req)
	}
	return w.writes.RoundTrip(req)
}

// Get reads a manifest or an index that the registry has now, under a tag or a
// digest of the repository.
func (w *Writer) Get(ctx context.Context, ref name.Reference) (*remote.Descriptor, error) {
	d, err := w.puller.Get(ctx, ref)
	if err != nil {
		return nil, w.explain(err)
	}
	return d, nil
}

// Put writes a manifest or an index under its digest or under a tag.
func (w *Writer) Put(ctx context.Context, ref name.Reference, mediaType types.MediaType, content []byte) error {
	if err := w.pusher.Put(ctx, ref, document{mediaType, content}); err != nil {
		return w.explain(err)
	}
	return nil
}

// document is a manifest or an index as the library wants it.
type document struct {
	mediaType types.MediaType
	content   []byte
}

func (d document) RawManifest() ([]byte, error)        { return d.content, nil }
func (d document) MediaType() (types.MediaType, error) { return d.mediaType, nil }

// Upload sends a blob, unless the registry has it. It is opened for each
// attempt. Progress is called with the number of bytes that have gone.
func (w *Writer) Upload(ctx context.Context, d v1.Descriptor, open func() (io.ReadCloser, error), progress func(done int64)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	layer, err := partial.CompressedToLayer(&upload{d, open, progress, cancel})
	if err == nil {
		err = w.pusher.Upload(ctx, w.Name, layer)
	}
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = cause
	}
	if err != nil {
		return w.explain(err)
	}
	return nil
}

func (w *Writer) explain(err error) error {
	err = w.source.explain(err)
	var e *Error
	if errors.As(err, &e) {
		e.Writing = true
	}
	return err
}

// upload is a blob as the library wants it.
type upload struct {
	descriptor v1.Descriptor
	open       func() (io.ReadCloser, error)
	progress   func(done int64)
	cancel     context.CancelCauseFunc
}

func (u *upload) Digest() (v1.Hash, error)            { return u.descriptor.Digest, nil }
func (u *upload) Size() (int64, error)                { return u.descriptor.Size, nil }
func (u *upload) MediaType() (types.MediaType, error) { return u.descriptor.MediaType, nil }

// Compressed begins an attempt.
func (u *upload) Compressed() (io.ReadCloser, error) {
	content, err := u.open()
	if err != nil {
		return nil, err
	}
	return &sending{ReadCloser: content, upload: u, timer: time.AfterFunc(patience, func() {
		u.cancel(fmt.Errorf("the registry has taken nothing for %v", patience))
	})}, nil
}

// sending is a blob on its way.
type sending struct {
	io.ReadCloser
	upload *upload
	timer  *time.Timer
	done   int64
}

func (s *sending) Read(p []byte) (int, error) {
	n, err := s.ReadCloser.Read(p)
	s.timer.Reset(patience)
	s.done += int64(n)
	s.upload.progress(s.done)
	return n, err
}

func (s *sending) Close() error {
	s.timer.Stop()
	return s.ReadCloser.Close()
}
