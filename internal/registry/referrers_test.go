package registry

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"cuelabs.dev/go/oci/ociregistry/ocimem"
	"cuelabs.dev/go/oci/ociregistry/ociserver"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// plain is a registry that keeps no list of referrers, as ghcr.io.
func plain() http.Handler { return registry.New(registry.Logger(log.New(io.Discard, "", 0))) }

// deaf is one that says it does.
func deaf() http.Handler {
	inner := plain()
	return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if strings.Contains(q.URL.Path, "/referrers/") {
			w.Header().Set("Content-Type", string(types.OCIImageIndex))
			io.WriteString(w, `{"schemaVersion":2,"mediaType":"`+string(types.OCIImageIndex)+`","manifests":[]}`)
			return
		}
		inner.ServeHTTP(w, q)
	})
}

// attach pushes an image with two manifests attached to it.
func attach(t *testing.T, c *testClient, host string) (image v1.Hash) {
	t.Helper()
	w, err := c.Writer(t.Context(), host+"/org/kernels")
	if err != nil {
		t.Fatal(err)
	}
	empty := v1.Descriptor{MediaType: "application/vnd.oci.empty.v1+json", Size: 2, Digest: digest([]byte("{}"))}
	open := func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("{}")), nil }
	if err := w.Upload(t.Context(), empty, open, nothing); err != nil {
		t.Fatal(err)
	}
	manifest := `{"schemaVersion":2,"mediaType":"` + string(types.OCIManifestSchema1) + `","config":{"mediaType":"` + string(empty.MediaType) + `","size":2,"digest":"` + empty.Digest.String() + `"},"layers":[]}`
	image = digest([]byte(manifest))
	if err := w.Put(t.Context(), w.Name.Digest(image.String()), types.OCIManifestSchema1, []byte(manifest)); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"application/a", "application/b"} {
		err := w.Attach(t.Context(), v1.Manifest{
			SchemaVersion: 2, MediaType: types.OCIManifestSchema1, ArtifactType: kind, Config: empty, Layers: []v1.Descriptor{},
			Subject:     &v1.Descriptor{MediaType: types.OCIManifestSchema1, Size: int64(len(manifest)), Digest: image},
			Annotations: map[string]string{"kind": kind},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return image
}

func checkReferrers(t *testing.T, r *Repository, image v1.Hash) {
	t.Helper()
	found, at, err := r.Referrers(t.Context(), image)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	for _, d := range found {
		if _, err := at.Manifest(t.Context(), d.Digest); err != nil {
			t.Error(err)
		}
		got[d.ArtifactType+" "+d.Annotations["kind"]] = true
	}
	if len(found) != 2 || !got["application/a application/a"] || !got["application/b application/b"] {
		t.Errorf("referrers are %+v", found)
	}
}

// What is attached is found, whatever the registry knows of it.
func TestReferrers(t *testing.T) {
	for name, handler := range map[string]http.Handler{"a list": ociserver.New(ocimem.New(), nil), "no list": plain(), "an empty list": deaf()} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(handler)
			t.Cleanup(server.Close)
			c, host := newClient(t), strings.TrimPrefix(server.URL, "http://")
			r := c.repository(t, host)
			image := attach(t, c, host)
			checkReferrers(t, r, image)
			if found, _, err := r.Referrers(t.Context(), digest([]byte("other"))); err != nil || len(found) > 0 {
				t.Errorf("of another image: %v, %v", found, err)
			}
		})
	}
}

// A mirror that knows of none, or fails, has not the last word, and stays good
// for the rest; one that knows is enough.
func TestReferrersOfMirrors(t *testing.T) {
	for name, mirrored := range map[string]http.Handler{
		"without": plain(),
		"failing": http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
			if strings.Contains(q.URL.Path, "/referrers/") {
				w.WriteHeader(http.StatusInternalServerError)
			}
		}),
		"complete": nil,
	} {
		t.Run(name, func(t *testing.T) {
			inner := plain()
			if mirrored == nil {
				mirrored = inner
			}
			var asked atomic.Int32
			origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
				asked.Add(1)
				inner.ServeHTTP(w, q)
			}))
			t.Cleanup(origin.Close)
			mirror := httptest.NewServer(mirrored)
			t.Cleanup(mirror.Close)
			host := strings.TrimPrefix(origin.URL, "http://")
			c := newClient(t, registryTable{Prefix: host, Location: host, Mirrors: []mirrorTable{{Location: strings.TrimPrefix(mirror.URL, "http://"), Pull: byAny}}})
			image := attach(t, c, host)
			asked.Store(0)
			checkReferrers(t, c.repository(t, host), image)
			if n := asked.Load(); (n == 0) != (name == "complete") {
				t.Errorf("the registry was asked %d times", n)
			}
			for _, warning := range c.warnings {
				if strings.Contains(warning, "left out") {
					t.Errorf("warning %q", warning)
				}
			}
		})
	}
}
