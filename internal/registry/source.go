package registry

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"sync"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// source is one place that a repository is read from.
type source struct {
	place
	client *Client
	name   name.Repository

	mu        sync.Mutex
	transport http.RoundTripper // knows the registry's tokens, once connected
	user      string            // whose credentials are used; empty if there are none
}

// connect agrees with the registry on how to show credentials. It is done once.
func (s *source) connect(ctx context.Context) (http.RoundTripper, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.transport != nil {
		return s.transport, nil
	}
	auth, err := authn.Resolve(ctx, s.client.keychain(), s.name)
	if err != nil {
		return nil, fmt.Errorf("read credentials for %q: %w", s.name.RegistryStr(), err)
	}
	if s.user, err = user(ctx, auth); err != nil {
		return nil, fmt.Errorf("read credentials for %q: %w", s.name.RegistryStr(), err)
	}
	t := transport.NewUserAgent(s.client.transport(s.insecure), "bpf-vmtest")
	t, err = transport.NewWithContext(ctx, s.name.Registry, auth, t, []string{s.name.Scope(transport.PullScope)})
	if err != nil {
		return nil, s.explain(err)
	}
	s.transport = t
	return t, nil
}

// user is the name that the credentials are shown under.
func user(ctx context.Context, auth authn.Authenticator) (string, error) {
	if auth == authn.Anonymous {
		return "", nil
	}
	config, err := authn.Authorization(ctx, auth)
	if err != nil {
		return "", err
	}
	if config.Username == "" {
		return "token", nil
	}
	return config.Username, nil
}

// get reads a manifest or an index.
func (s *source) get(ctx context.Context, ref name.Reference) (*remote.Descriptor, error) {
	t, err := s.connect(ctx)
	if err != nil {
		return nil, err
	}
	d, err := remote.Get(ref, remote.WithContext(ctx), remote.WithTransport(t))
	if err != nil {
		return nil, s.explain(err)
	}
	return d, nil
}

// do sends a request with the credentials.
func (s *source) do(req *http.Request) (*http.Response, error) {
	t, err := s.connect(req.Context())
	if err != nil {
		return nil, err
	}
	resp, err := (&http.Client{Transport: t, CheckRedirect: checkRedirect}).Do(req)
	if err != nil {
		return nil, s.explain(err)
	}
	return resp, nil
}

// checkRedirect keeps a registry from having us ask the services of our own
// network: its blobs are elsewhere, but not at private addresses.
func checkRedirect(req *http.Request, via []*http.Request) error {
	if len(via) >= 10 {
		return fmt.Errorf("stopped after %d redirects", len(via))
	}
	host := req.URL.Hostname()
	addr, err := netip.ParseAddr(host)
	if host == via[0].URL.Hostname() || err != nil {
		return nil
	}
	if addr.IsPrivate() || addr.IsLoopback() || addr.IsLinkLocalUnicast() || addr.IsUnspecified() {
		return fmt.Errorf("the registry redirects to the private address %s", host)
	}
	return nil
}
