package registry

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/authn"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// server is a registry with one repository, org/kernels, of one tag and one
// blob, and a switch for faults.
type server struct {
	*httptest.Server
	manifest, blob []byte
	greet          bool // faults are for the greeting, too

	mu    sync.Mutex
	asked []string // METHOD PATH, with the range where one is asked for
	fault func(n int, w http.ResponseWriter, r *http.Request) (handled bool)
	count map[string]int // requests by path
}

func newServer(t *testing.T) *server {
	s := &server{manifest: []byte(`{"schemaVersion":2}`), blob: make([]byte, 3<<20), count: map[string]int{}}
	random := rand.NewChaCha8([32]byte{1})
	random.Read(s.blob)
	s.Server = httptest.NewServer(s)
	s.Config.SetKeepAlivesEnabled(false) // net/http tries again when an old connection breaks
	t.Cleanup(s.Close)
	return s
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	what := r.URL.Path[strings.LastIndex(r.URL.Path, "/v2/")+len("/v2/"):]
	what, _, _ = strings.Cut(strings.TrimPrefix(what, "org/kernels/"), "/sha256:")
	s.asked = append(s.asked, strings.TrimSpace(what+" "+r.Header.Get("Range")))
	s.count[what]++
	n, fault := s.count[what], s.fault
	s.mu.Unlock()
	if fault != nil && (what != "" || s.greet) && fault(n, w, r) {
		return
	}
	switch what {
	case "":
	case "manifests", "manifests/6.12":
		w.Header().Set("Content-Type", string(types.OCIManifestSchema1))
		w.Write(s.manifest)
	case "blobs":
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(s.blob))
	default:
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}`)
	}
}

// requests are what was asked for since the last call, but for the greeting.
func (s *server) requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	asked := slices.DeleteFunc(s.asked, func(a string) bool { return a == "" })
	s.asked = nil
	return asked
}

func (s *server) host() string { return strings.TrimPrefix(s.URL, "http://") }

func (s *server) descriptor() v1.Descriptor {
	return v1.Descriptor{Size: int64(len(s.blob)), Digest: digest(s.blob)}
}

func digest(b []byte) v1.Hash {
	return v1.Hash{Algorithm: "sha256", Hex: fmt.Sprintf("%x", sha256.Sum256(b))}
}

// testClient is one that loses no time and remembers its warnings.
type testClient struct {
	Client
	warnings []string
}

func newClient(t *testing.T, mirrors ...registryTable) *testClient {
	c := &testClient{}
	c.Keychain, c.Mirrors = authn.NewMultiKeychain(), &Mirrors{registries: mirrors}
	c.Pause, c.Silence = time.Millisecond, time.Minute
	c.Warn = func(m string) { c.warnings = append(c.warnings, m) }
	return c
}

func (c *testClient) repository(t *testing.T, host string) *Repository {
	t.Helper()
	r, err := c.Repository(host + "/org/kernels")
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// file is where a blob goes, with what an earlier run left in it.
func file(t *testing.T, content []byte) *os.File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "blob")
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func content(t *testing.T, f *os.File) []byte {
	t.Helper()
	b, err := os.ReadFile(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func nothing(int64) {}

func fail(status int) func(int, http.ResponseWriter, *http.Request) bool {
	return func(_ int, w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(status); return true }
}

// first applies a fault to the first n requests for the same thing.
func first(n int, f func(int, http.ResponseWriter, *http.Request) bool) func(int, http.ResponseWriter, *http.Request) bool {
	return func(i int, w http.ResponseWriter, r *http.Request) bool { return i <= n && f(i, w, r) }
}

// cut sends the first bytes of what was asked for and hangs up.
func (s *server) cut(bytes int) func(int, http.ResponseWriter, *http.Request) bool {
	return func(_ int, w http.ResponseWriter, r *http.Request) bool {
		from := 0
		if _, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &from); err == nil {
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(s.blob)-1, len(s.blob)))
			w.WriteHeader(http.StatusPartialContent)
		}
		w.Write(s.blob[from:min(from+bytes, len(s.blob))])
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
}

// stall sends the blob's first bytes and then nothing more.
func (s *server) stall(_ int, w http.ResponseWriter, r *http.Request) bool {
	if r.Header.Get("Range") != "" {
		w.Header().Set("Content-Range", fmt.Sprintf("bytes 1000-%d/%d", len(s.blob)-1, len(s.blob)))
		w.WriteHeader(http.StatusPartialContent)
	} else {
		w.Write(s.blob[:1000])
	}
	w.(http.Flusher).Flush()
	<-r.Context().Done()
	return true
}

func TestTag(t *testing.T) {
	const manifest = "manifests/6.12"
	for name, c := range map[string]struct {
		fault func(int, http.ResponseWriter, *http.Request) bool
		asked int    // requests
		want  string // in the error, "" for none
		hint  string
	}{
		"well":         {nil, 1, "", ""},
		"503 twice":    {first(2, fail(503)), 3, "", ""},
		"429 once":     {first(1, fail(429)), 2, "", ""},
		"500 always":   {fail(500), 4, "500 Internal Server Error", ""},
		"429 always":   {fail(429), 4, "429 Too Many Requests", "docker login"},
		"401":          {fail(401), 1, "it wants credentials: 401", "docker login"},
		"403":          {fail(403), 1, "403 Forbidden", "docker login"},
		"404":          {fail(404), 1, "404 Not Found", "crane ls"},
		"hung up once": {first(1, func(int, http.ResponseWriter, *http.Request) bool { panic(http.ErrAbortHandler) }), 2, "", ""},
		"hangs up":     {func(int, http.ResponseWriter, *http.Request) bool { panic(http.ErrAbortHandler) }, 4, "EOF", "network"},
		"silent":       {func(_ int, _ http.ResponseWriter, r *http.Request) bool { <-r.Context().Done(); return true }, 4, "nothing came for 1s", "network"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, client := newServer(t), newClient(t)
			s.fault = c.fault
			if name == "silent" {
				client.Silence = time.Second
			}
			d, err := client.repository(t, s.host()).Tag(t.Context(), "6.12")
			if asked := slices.Repeat([]string{manifest}, c.asked); !slices.Equal(s.requests(), asked) {
				t.Errorf("asked %d times, want %d", s.count[manifest], c.asked)
			}
			if c.want == "" {
				if err != nil || d.Digest != digest(s.manifest) {
					t.Errorf("%+v, %v", d, err)
				}
				return
			}
			wantError(t, err, c.want, c.hint)
			if !strings.Contains(err.Error(), s.host()) || strings.Contains(err.Error(), "http:/") {
				t.Errorf("error %q, want one with the registry's name and no URL", err)
			}
		})
	}
}

func wantError(t *testing.T, err error, want, hint string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Fatalf("error %v, want one with %q", err, want)
	}
	var h interface{ Hint() string }
	if hint != "" && (!errors.As(err, &h) || !strings.Contains(h.Hint(), hint)) {
		t.Errorf("no hint with %q", hint)
	}
}

// A server that says when to come back is obeyed, within reason.
func TestRetryAfter(t *testing.T) {
	for value, c := range map[string]struct {
		least time.Duration
		want  string // in the error
	}{
		"0":    {0, ""},
		"1":    {time.Second, ""},
		"3600": {0, "429 Too Many Requests, come back in 1h0m0s"},
		time.Now().Add(2 * time.Second).UTC().Format(http.TimeFormat): {time.Second / 2, ""},
		"soon": {0, ""},
	} {
		t.Run(value, func(t *testing.T) {
			t.Parallel()
			s, client := newServer(t), newClient(t)
			s.fault = first(1, func(_ int, w http.ResponseWriter, _ *http.Request) bool {
				w.Header().Set("Retry-After", value)
				w.WriteHeader(http.StatusTooManyRequests)
				return true
			})
			start := time.Now()
			_, err := client.repository(t, s.host()).Tag(t.Context(), "6.12")
			if took := time.Since(start); took < c.least {
				t.Errorf("came back after %v, want %v", took, c.least)
			}
			if c.want != "" {
				wantError(t, err, c.want, "")
				if got := len(s.requests()); got != 1 {
					t.Errorf("asked %d times, want once", got)
				}
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}

func TestUnreachable(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener.Close()
	client := newClient(t)
	_, err = client.repository(t, listener.Addr().String()).Tag(t.Context(), "6.12")
	wantError(t, err, "connection refused", "network")
	if len(client.warnings) != attempts-1 {
		t.Errorf("warnings %q, want one for each of %d attempts but the last", client.warnings, attempts)
	}
	// Where there is something else to try, it is tried once.
	client.warnings = nil
	if _, err = client.repository(t, listener.Addr().String()).Tag(Hasty(t.Context()), "6.12"); err == nil || len(client.warnings) > 0 {
		t.Errorf("in haste: %v, warnings %q", err, client.warnings)
	}
}

// A certificate that nobody vouches for is an error at once, unless the
// configuration says that it does not matter.
func TestInsecure(t *testing.T) {
	s := newServer(t)
	secure := httptest.NewTLSServer(s)
	defer secure.Close()
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	host := strings.TrimPrefix(secure.URL, "https://")
	for _, insecure := range []bool{false, true} {
		client := newClient(t, registryTable{Prefix: host, Location: host, Insecure: insecure})
		_, err := client.repository(t, host).Tag(t.Context(), "6.12")
		if (err == nil) != insecure {
			t.Errorf("insecure %v: %v", insecure, err)
		}
		if len(client.warnings) > 0 {
			t.Errorf("insecure %v: warnings %q", insecure, client.warnings)
		}
	}
}

func TestDownload(t *testing.T) {
	const all, half = 3 << 20, 3 << 19
	type bytesOf func(blob []byte) []byte
	start := func(blob []byte) []byte { return blob[:half] }
	for name, c := range map[string]struct {
		have  bytesOf // what an earlier run left
		fault func(*server) func(int, http.ResponseWriter, *http.Request) bool
		asked []string // ranges
		want  string
		left  int // bytes in the file after an error
	}{
		"whole":          {asked: []string{"blobs"}},
		"resumed":        {have: start, asked: []string{fmt.Sprintf("blobs bytes=%d-", half)}},
		"complete":       {have: bytes.Clone, asked: nil},
		"longer":         {have: func(b []byte) []byte { return append(bytes.Clone(b), 0) }, asked: []string{"blobs"}},
		"another's half": {have: func(b []byte) []byte { return bytes.Repeat([]byte("x"), half) }, asked: []string{fmt.Sprintf("blobs bytes=%d-", half), "blobs"}},
		"another's":      {have: func(b []byte) []byte { return bytes.Repeat([]byte("x"), all) }, asked: []string{"blobs"}},
		"range ignored": {have: start, asked: []string{fmt.Sprintf("blobs bytes=%d-", half)}, fault: func(s *server) func(int, http.ResponseWriter, *http.Request) bool {
			return func(_ int, w http.ResponseWriter, r *http.Request) bool { w.Write(s.blob); return true }
		}},
		"range refused": {have: start, asked: []string{fmt.Sprintf("blobs bytes=%d-", half), "blobs"}, fault: func(s *server) func(int, http.ResponseWriter, *http.Request) bool {
			return first(1, fail(http.StatusRequestedRangeNotSatisfiable))
		}},
		"another range": {have: start, asked: []string{fmt.Sprintf("blobs bytes=%d-", half), "blobs"}, fault: func(s *server) func(int, http.ResponseWriter, *http.Request) bool {
			return first(1, func(_ int, w http.ResponseWriter, r *http.Request) bool {
				w.Header().Set("Content-Range", "bytes 0-9/10")
				w.WriteHeader(http.StatusPartialContent)
				w.Write(s.blob[:10])
				return true
			})
		}},
		"cut once": {asked: []string{"blobs", "blobs bytes=1000-"}, fault: func(s *server) func(int, http.ResponseWriter, *http.Request) bool {
			return first(1, s.cut(1000))
		}},
		"cut always": {asked: []string{"blobs", "blobs bytes=1000-", "blobs bytes=2000-", "blobs bytes=3000-"}, want: "the connection ended after 4000 of 3145728 bytes", left: 4000,
			fault: func(s *server) func(int, http.ResponseWriter, *http.Request) bool { return s.cut(1000) }},
		// Each connection brings what is worth while: that is progress.
		"cut in megabytes": {asked: []string{"blobs", "blobs bytes=1048576-", "blobs bytes=2097152-"},
			fault: func(s *server) func(int, http.ResponseWriter, *http.Request) bool { return first(2, s.cut(1<<20)) }},
		"stalls once": {asked: []string{"blobs", "blobs bytes=1000-"}, fault: func(s *server) func(int, http.ResponseWriter, *http.Request) bool {
			return first(1, s.stall)
		}},
		"stalls": {asked: slices.Concat([]string{"blobs"}, slices.Repeat([]string{"blobs bytes=1000-"}, 3)), want: "nothing came for 1s after 1000 of", left: 1000,
			fault: func(s *server) func(int, http.ResponseWriter, *http.Request) bool { return s.stall }},
		"tampered": {asked: []string{"blobs"}, want: "other content, with the digest sha256:", fault: func(s *server) func(int, http.ResponseWriter, *http.Request) bool {
			return func(_ int, w http.ResponseWriter, _ *http.Request) bool {
				w.Write(bytes.Repeat([]byte("x"), all))
				return true
			}
		}},
		"too long": {asked: []string{"blobs"}, want: "other content, which is longer", fault: func(s *server) func(int, http.ResponseWriter, *http.Request) bool {
			return func(_ int, w http.ResponseWriter, _ *http.Request) bool {
				w.Write(append(bytes.Clone(s.blob), 0))
				return true
			}
		}},
		"gone": {have: start, asked: []string{fmt.Sprintf("blobs bytes=%d-", half)}, want: "404 Not Found", left: half,
			fault: func(*server) func(int, http.ResponseWriter, *http.Request) bool { return fail(404) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, client := newServer(t), newClient(t)
			if strings.HasPrefix(name, "stalls") {
				client.Silence = time.Second
			}
			var have []byte
			if c.have != nil {
				have = c.have(s.blob)
			}
			if c.fault != nil {
				s.fault = c.fault(s)
			}
			f := file(t, have)
			var done int64
			err := client.repository(t, s.host()).Download(t.Context(), s.descriptor(), f, func(n int64) { done = n })
			asked := s.requests()
			if diff := cmp.Diff(c.asked, asked); diff != "" {
				t.Errorf("asked (-want +got):\n%s", diff)
			}
			if c.want != "" {
				wantError(t, err, c.want, "")
				if got := len(content(t, f)); got != c.left {
					t.Errorf("%d bytes are left, want %d", got, c.left)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(content(t, f), s.blob) || len(asked) > 0 && done != all {
				t.Errorf("%d bytes arrived, %d reported", len(content(t, f)), done)
			}
		})
	}
}

// What the user ends is not tried again.
func TestInterrupted(t *testing.T) {
	s, client := newServer(t), newClient(t)
	s.fault = s.stall
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(100*time.Millisecond, cancel)
	err := client.repository(t, s.host()).Download(ctx, s.descriptor(), file(t, nil), nothing)
	if !errors.Is(err, ctx.Err()) || len(s.requests()) != 1 || len(client.warnings) > 0 {
		t.Errorf("error %v, warnings %q", err, client.warnings)
	}
}
