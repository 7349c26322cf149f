package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/renameio/v2"

	"github.com/bpf-vmtest/bpf-vmtest/internal/kernel"
	"github.com/bpf-vmtest/bpf-vmtest/internal/kernelref"
)

// repository is one repository of a registry as an origin.
type repository struct {
	name    name.Repository
	options []remote.Option
}

func (s *Store) openRepository(path string) (*repository, error) {
	n, err := name.NewRepository(path, name.StrictValidation)
	if err != nil {
		return nil, err
	}
	t := s.Transport
	if t == nil {
		// The library's transport waits for ever for a server's answer.
		own := remote.DefaultTransport.(*http.Transport).Clone()
		own.ResponseHeaderTimeout = silence
		t = own
	}
	return &repository{n, []remote.Option{
		remote.WithAuthFromKeychain(s.keychain()),
		remote.WithTransport(t),
		remote.WithUserAgent("bpf-vmtest"),
		// The library itself tries a request again that fails by the
		// network, by too many requests or by the server.
		remote.WithRetryBackoff(remote.Backoff{Duration: s.pause(), Factor: 3, Jitter: 0.1, Steps: 3}),
	}}, nil
}

func (r *repository) opts(ctx context.Context) []remote.Option {
	return append([]remote.Option{remote.WithContext(ctx)}, r.options...)
}

func (r *repository) Manifest(ctx context.Context, d v1.Descriptor) (io.ReadCloser, error) {
	got, err := remote.Get(r.name.Digest(d.Digest.String()), r.opts(ctx)...)
	if err != nil {
		return nil, advise(err, r.name)
	}
	return io.NopCloser(bytes.NewReader(got.Manifest)), nil
}

func (r *repository) Blob(ctx context.Context, d v1.Descriptor) (io.ReadCloser, error) {
	layer, err := remote.Layer(r.name.Digest(d.Digest.String()), r.opts(ctx)...)
	if err != nil {
		return nil, err
	}
	blob, err := layer.Compressed()
	if err != nil {
		return nil, advise(err, r.name)
	}
	return blob, nil
}

func (*repository) Attempts() int { return 4 }

func (s *Store) fromRegistry(ctx context.Context, ref kernelref.Registry) (*kernel.Kernel, error) {
	r, err := s.openRepository(ref.Repository)
	if err != nil {
		return nil, err
	}
	d, err := s.lookUp(ctx, r, ref)
	if err != nil {
		return nil, err
	}
	img, err := s.choose(ctx, r, []v1.Descriptor{d})
	if err != nil {
		return nil, err
	}
	return s.unpack(ctx, img)
}

// lookUp finds what the reference names. A digest needs no question; a tag is
// asked for each time, and when there is no answer it is what it last was.
func (s *Store) lookUp(ctx context.Context, r *repository, ref kernelref.Registry) (v1.Descriptor, error) {
	if ref.Digest != "" {
		h, err := v1.NewHash(ref.Digest)
		return v1.Descriptor{Digest: h}, err
	}
	tag := r.name.Tag(ref.Tag)
	memory, err := s.path("tags", fmt.Sprintf("%x", sha256.Sum256([]byte(tag.String()))))
	if err != nil {
		return v1.Descriptor{}, err
	}
	d, err := remote.Get(tag, r.opts(ctx)...)
	if err == nil {
		return d.Descriptor, s.remember(memory, d)
	}
	if ctx.Err() == nil && !permanent(err) {
		if last, readErr := os.ReadFile(memory); readErr == nil {
			h, hashErr := v1.NewHash(string(last))
			if hashErr == nil {
				s.warn("%s cannot be asked for, using %s, which it was%s: %v", tag, h, since(memory), err)
				return v1.Descriptor{Digest: h}, nil
			}
		}
	}
	return v1.Descriptor{}, advise(err, r.name)
}

// remember keeps what a tag named, and that itself, which has just come along.
func (s *Store) remember(memory string, d *remote.Descriptor) error {
	if err := checkDocument(d.Manifest, d.Digest); err != nil {
		return fmt.Errorf("fetch manifest %s: %w", d.Digest, err)
	}
	cached, err := s.path("documents", d.Digest.Hex)
	if err != nil {
		return err
	}
	if err := renameio.WriteFile(cached, d.Manifest, 0o644); err != nil {
		return err
	}
	return renameio.WriteFile(memory, []byte(d.Digest.String()), 0o644)
}

// since says when the file was written.
func since(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return ""
	}
	return " on " + info.ModTime().Format(time.DateOnly)
}

// permanent reports whether the registry has answered that it will not serve
// this, so that trying again is useless.
func permanent(err error) bool {
	var t *transport.Error
	return errors.As(err, &t) && t.StatusCode >= 400 && t.StatusCode < 500 && !t.Temporary() &&
		t.StatusCode != http.StatusRequestTimeout && t.StatusCode != http.StatusTooManyRequests
}

// advise adds what a user can do about a registry's answer.
func advise(err error, repository name.Repository) error {
	var t *transport.Error
	if !errors.As(err, &t) {
		return err
	}
	switch t.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden:
		return &hinted{err, "if the image exists and is private, log in: docker login " + repository.RegistryStr()}
	case http.StatusNotFound:
		return &hinted{err, strings.TrimSpace("list the tags that exist: crane ls " + repository.String())}
	}
	return err
}
