// Package registry reads from OCI registries, and writes to them: with the
// credentials that docker or podman keeps, through the mirrors that
// registries.conf names, and again where that may help.
package registry

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/authn/github"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// Client is the way to registries. The zero value is ready. It may be used by
// several goroutines at once.
type Client struct {
	// Keychain has the credentials, by default those of docker's or
	// podman's configuration and, for ghcr.io, GITHUB_TOKEN.
	Keychain authn.Keychain
	// Mirrors are by default those of the machine's registries.conf.
	Mirrors *Mirrors
	// Transport reaches registries, by default as Go does.
	Transport http.RoundTripper
	// Warn, when set, is called with what the user should know although
	// the work goes on.
	Warn func(message string)
	// Pause is how long to wait before a request is sent again, by default
	// a second. Later pauses are longer.
	Pause time.Duration
	// Silence is how long a server may say nothing, by default 30 s.
	Silence time.Duration

	mu   sync.Mutex
	seen map[string]bool // what happened and matters once
}

// attempts is how often a request is sent, or a download begun, at most.
const attempts = 4

func (c *Client) pause() time.Duration   { return cmp.Or(c.Pause, time.Second) }
func (c *Client) silence() time.Duration { return cmp.Or(c.Silence, 30*time.Second) }

func (c *Client) keychain() authn.Keychain {
	if c.Keychain == nil {
		return authn.NewMultiKeychain(authn.DefaultKeychain, github.Keychain)
	}
	return c.Keychain
}

func (c *Client) warn(format string, args ...any) {
	if c.Warn != nil {
		c.Warn(fmt.Sprintf(format, args...))
	}
}

// once reports whether it is called for the first time with this.
func (c *Client) once(what string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.seen[what] {
		return false
	}
	if c.seen == nil {
		c.seen = map[string]bool{}
	}
	c.seen[what] = true
	return true
}

// transport sends requests, again where that may help.
func (c *Client) transport(insecure bool) http.RoundTripper {
	return &persistent{inner: c.base(insecure, c.silence()), client: c}
}

// base sends requests once, and waits so long for the beginning of an answer.
func (c *Client) base(insecure bool, wait time.Duration) http.RoundTripper {
	if c.Transport != nil {
		return c.Transport
	}
	t := remote.DefaultTransport.(*http.Transport).Clone()
	t.ResponseHeaderTimeout = wait // for ever otherwise
	if insecure {
		t.TLSClientConfig = &tls.Config{InsecureSkipVerify: true}
	}
	return t
}

// Repository is one repository of a registry, and its mirrors.
type Repository struct {
	Name    name.Repository
	client  *Client
	sources []*source // mirrors first, the registry itself last
}

// Repository finds out where a repository, HOST/REPOSITORY, is to be read from.
// Nothing is asked yet.
func (c *Client) Repository(path string) (*Repository, error) {
	n, err := name.NewRepository(path, name.StrictValidation)
	if err != nil {
		return nil, err
	}
	mirrors := c.Mirrors
	if mirrors == nil {
		if mirrors, err = SystemMirrors(); err != nil {
			return nil, err
		}
	}
	places, err := mirrors.places(path)
	if err != nil {
		return nil, err
	}
	r := &Repository{Name: n, client: c}
	for _, p := range places {
		s := &source{client: c, place: p}
		options := []name.Option{name.StrictValidation}
		if p.insecure {
			options = append(options, name.Insecure)
		}
		if s.name, err = name.NewRepository(p.path, options...); err != nil {
			return nil, fmt.Errorf("read %q: mirror %q: %w", mirrors.file, p.path, err)
		}
		r.sources = append(r.sources, s)
	}
	return r, nil
}

// Tag asks what the tag is now.
func (r *Repository) Tag(ctx context.Context, tag string) (*remote.Descriptor, error) {
	var got *remote.Descriptor
	err := r.try(ctx, byTag, func(ctx context.Context, s *source) (err error) {
		got, err = s.get(ctx, s.name.Tag(tag))
		return err
	})
	return got, err
}

// Manifest reads a manifest or an index, which is what the digest says.
func (r *Repository) Manifest(ctx context.Context, digest v1.Hash) ([]byte, error) {
	var got *remote.Descriptor
	err := r.try(ctx, byDigest, func(ctx context.Context, s *source) (err error) {
		got, err = s.get(ctx, s.name.Digest(digest.String()))
		return err
	})
	if err != nil {
		return nil, err
	}
	return got.Manifest, nil
}

// try asks the repository's mirrors, one after the other, and then itself. A
// mirror that fails is not asked again, for anything.
func (r *Repository) try(ctx context.Context, by reading, ask func(context.Context, *source) error) error {
	for _, s := range r.sources {
		if !s.mirrors {
			return ask(ctx, s)
		}
		if !s.serves(by) || r.client.left(s.path) {
			continue
		}
		// There is somewhere else to go.
		err := ask(Hasty(ctx), s)
		if err == nil || ctx.Err() != nil {
			return err
		}
		if r.client.once("leave " + s.path) {
			r.client.warn("mirror %s is left out: %v", s.path, err)
		}
	}
	return errors.New("it has no sources") // the last one is no mirror
}

// left reports whether the mirror has failed before.
func (c *Client) left(mirror string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.seen["leave "+mirror]
}
