package attest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/tuf"
	"github.com/theupdateframework/go-tuf/v2/metadata/fetcher"
)

// Roots has the trusted roots that keyless signatures are checked against. It
// may be used by several goroutines at once.
type Roots struct {
	// Dir keeps the public sigstore's root, which is fetched by TUF, once a
	// day at most.
	Dir string
	// File, when set, is a trusted root that takes the place of the public
	// sigstore's.
	File string
	// Warn, when set, is called with what the user should know although
	// the work goes on.
	Warn func(message string)

	// options change how sigstore's own root is fetched, in tests.
	options func(*tuf.Options)

	mu     sync.Mutex
	loaded map[string]root.TrustedMaterial
}

// load reads the root in a file, or sigstore's own.
func (r *Roots) load(ctx context.Context, file string) (root.TrustedMaterial, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	file = cmp.Or(file, r.File)
	if m := r.loaded[file]; m != nil {
		return m, nil
	}
	var m *root.TrustedRoot
	var err error
	if file != "" {
		m, err = readRoot(file)
	} else {
		m, err = r.fetch(ctx)
	}
	if err != nil {
		return nil, err
	}
	if r.loaded == nil {
		r.loaded = map[string]root.TrustedMaterial{}
	}
	r.loaded[file] = m
	return m, nil
}

func readRoot(file string) (*root.TrustedRoot, error) {
	data, err := os.ReadFile(file)
	if err == nil {
		var m *root.TrustedRoot
		if m, err = root.NewTrustedRootFromJSON(data); err == nil {
			return m, nil
		}
	}
	const hint = "want a file as `cosign trusted-root create` or `gh attestation trusted-root` writes it"
	return nil, faultf(NoRoot, hint, "read trusted root %q", file).because(err)
}

// fetch gets the public sigstore's root. What was fetched before serves for a
// day, and longer, until it expires, if it cannot be fetched again.
func (r *Roots) fetch(ctx context.Context) (*root.TrustedRoot, error) {
	const hint = "it is needed to check keyless signatures and needs the network once, then again when it has expired; " +
		"or name a file in the policy: trusted-root: FILE"
	m, err := root.FetchTrustedRootWithOptions(r.tuf(ctx).WithCacheValidity(1))
	if err == nil {
		return m, nil
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	ended, end := context.WithCancel(ctx)
	end() // what is not in the cache is not waited for again
	m, cachedErr := root.FetchTrustedRootWithOptions(r.tuf(ended).WithForceCache())
	if cachedErr != nil {
		return nil, faultf(NoRoot, hint, "fetch sigstore's trusted root").because(request(err))
	}
	if r.Warn != nil {
		r.Warn(fmt.Sprintf("sigstore's trusted root cannot be fetched, the last one has not expired and is used: %v", request(err)))
	}
	return m, nil
}

func (r *Roots) tuf(ctx context.Context) *tuf.Options {
	f := fetcher.NewDefaultFetcher()
	f.SetHTTPClient(requests{ctx})
	o := tuf.DefaultOptions().WithFetcher(f).WithCachePath(filepath.Join(r.Dir, "sigstore"))
	if r.options != nil {
		r.options(o)
	}
	return o
}

// requests end with the context, which the library's own do not.
type requests struct{ ctx context.Context }

func (r requests) Do(req *http.Request) (*http.Response, error) {
	return (&http.Client{Timeout: 30 * time.Second}).Do(req.WithContext(r.ctx))
}

// request is the error of the request that failed, without the library's
// surroundings, if it was one.
func request(err error) error {
	var failed *url.Error
	if errors.As(err, &failed) {
		return failed
	}
	return err
}

// signingConfig reads where a sigstore's services are from a file, or fetches
// that of the public one.
func (r *Roots) signingConfig(ctx context.Context, file string) (*root.SigningConfig, error) {
	if file != "" {
		config, err := root.NewSigningConfigFromPath(file)
		if err != nil {
			return nil, fmt.Errorf("read signing configuration %q: %w", file, err)
		}
		return config, nil
	}
	config, err := root.FetchSigningConfigWithOptions(r.tuf(ctx).WithCacheValidity(1))
	if err != nil {
		return nil, fmt.Errorf("fetch sigstore's signing configuration: %w", request(err))
	}
	return config, nil
}
