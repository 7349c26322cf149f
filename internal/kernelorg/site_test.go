package kernelorg

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bpf-vmtest/bpf-vmtest/internal/kernelorg/kernelorgtest"
	"github.com/bpf-vmtest/bpf-vmtest/internal/kver"
)

func version(t *testing.T, s string) kver.Version {
	t.Helper()
	v, err := kver.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// newSite is a site with two releases, and a cache of its own.
func newSite(t *testing.T) (*kernelorgtest.Server, *Site) {
	t.Helper()
	server := kernelorgtest.New(t)
	server.Release("6.12.94", tarball("6.12.94"))
	server.Release("6.12", tarball("6.12"))
	return server, &Site{Dir: t.TempDir(), BaseURL: server.URL, Fingerprint: server.Key.Fingerprint(), pause: time.Millisecond}
}

func tarball(version string) []byte { return bytes.Repeat([]byte(version+"\n"), 100_000) }

const sums6 = "/pub/linux/kernel/v6.x/sha256sums.asc"

func TestTarball(t *testing.T) {
	server, s := newSite(t)
	var last Progress
	s.Progress = func(p Progress) { last = p }
	v := version(t, "6.12.94")
	got, err := s.Tarball(t.Context(), v, "")
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(got.Path)
	if err != nil || !bytes.Equal(data, tarball("6.12.94")) || got.Name != "linux-6.12.94.tar.xz" {
		t.Errorf("got %+v, %d bytes, %v", got, len(data), err)
	}
	if want := (Progress{"linux-6.12.94.tar.xz", 800_000, 800_000}); last != want {
		t.Errorf("the last progress is %+v, want %+v", last, want)
	}
	// Once there, it is there, with or without a network and a pin; and so
	// are the checksums of the other release.
	asked := server.Asked()
	if !slices.Contains(asked, wellKnownKey[:strings.Index(wellKnownKey, "?")]) {
		t.Errorf("asked for %q, want the key among them", asked)
	}
	server.Before(func(w http.ResponseWriter, _ *http.Request) bool {
		http.Error(w, "off", http.StatusServiceUnavailable)
		return true
	})
	again, err := s.Tarball(t.Context(), v, got.SHA256)
	if err != nil || *again != *got {
		t.Errorf("again: %+v, %v", again, err)
	}
	if sum, err := s.Checksum(t.Context(), version(t, "6.12")); err != nil || len(sum) != 64 {
		t.Errorf("checksum of 6.12: %q, %v", sum, err)
	}
	if asked := server.Asked(); len(asked) > 0 {
		t.Errorf("asked again for %q", asked)
	}
}

// A newer release than the list that was kept.
func TestNewRelease(t *testing.T) {
	server, s := newSite(t)
	if _, err := s.Tarball(t.Context(), version(t, "6.12.94"), ""); err != nil {
		t.Fatal(err)
	}
	server.Release("6.12.95", tarball("6.12.95"))
	if _, err := s.Tarball(t.Context(), version(t, "6.12.95"), ""); err != nil {
		t.Error(err)
	}
}

func TestResume(t *testing.T) {
	for name, part := range map[string][]byte{
		"its beginning":  tarball("6.12.94")[:300_001],
		"something else": bytes.Repeat([]byte("x"), 300_001),
		"all of it":      tarball("6.12.94"),
		"too much":       append(tarball("6.12.94"), '\n'),
	} {
		t.Run(name, func(t *testing.T) {
			server, s := newSite(t)
			v := version(t, "6.12.94")
			sum, err := s.Checksum(t.Context(), v)
			if err != nil {
				t.Fatal(err)
			}
			dir := filepath.Join(s.Dir, "tarballs", sum)
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "linux-6.12.94.tar.xz.part"), part, 0o644); err != nil {
				t.Fatal(err)
			}
			var ranges []string
			server.Before(func(_ http.ResponseWriter, r *http.Request) bool {
				ranges = append(ranges, r.Header.Get("Range"))
				return false
			})
			if _, err := s.Tarball(t.Context(), v, ""); err != nil {
				t.Error(err)
			}
			if len(ranges) == 0 || !strings.HasPrefix(ranges[0], "bytes=") {
				t.Errorf("asked for the ranges %q", ranges)
			}
			if name == "its beginning" && !slices.Equal(ranges, []string{"bytes=300001-"}) {
				t.Errorf("asked for the ranges %q", ranges)
			}
		})
	}
}

// cutAfter ends each connection for a tarball after so many bytes.
func cutAfter(data []byte, n int) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, ".tar.xz") {
			return false
		}
		http.ServeContent(&cut{w, n}, r, "", time.Time{}, bytes.NewReader(data))
		return true
	}
}

type cut struct {
	http.ResponseWriter
	left int
}

func (c *cut) Write(p []byte) (int, error) {
	if len(p) >= c.left {
		c.ResponseWriter.Write(p[:c.left])
		panic(http.ErrAbortHandler)
	}
	c.left -= len(p)
	return c.ResponseWriter.Write(p)
}

// Connections that end early are taken up again, as long as that leads
// anywhere.
func TestTruncated(t *testing.T) {
	server, s := newSite(t)
	data := tarball("6.12.94")
	server.Before(cutAfter(data, 250_000))
	if _, err := s.Tarball(t.Context(), version(t, "6.12.94"), ""); err != nil {
		t.Errorf("four short connections: %v", err)
	}
	server, s = newSite(t)
	server.Before(cutAfter(data, 10_000))
	_, err := s.Tarball(t.Context(), version(t, "6.12.94"), "")
	var truncated *TruncatedError
	if !errors.As(err, &truncated) || truncated.Got != 50_000 || truncated.Want != 800_000 {
		t.Fatalf("error = %v, want five connections of 10000 bytes", err)
	}
	if !strings.Contains(truncated.Hint(), "what has arrived is kept") {
		t.Errorf("hint = %q", truncated.Hint())
	}
	// The next run goes on where this one ended.
	server.Before(nil)
	if _, err := s.Tarball(t.Context(), version(t, "6.12.94"), ""); err != nil {
		t.Error(err)
	}
}

func TestOverloaded(t *testing.T) {
	server, s := newSite(t)
	refusals := 0
	server.Before(func(w http.ResponseWriter, r *http.Request) bool {
		if refusals++; refusals > 3 {
			return false
		}
		w.WriteHeader([]int{http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable}[refusals-1])
		return true
	})
	if _, err := s.Checksum(t.Context(), version(t, "6.12")); err != nil {
		t.Error(err)
	}
	server.Before(func(w http.ResponseWriter, r *http.Request) bool {
		w.WriteHeader(http.StatusTooManyRequests)
		return true
	})
	_, err := s.Tarball(t.Context(), version(t, "6.12"), "")
	var status *StatusError
	if !errors.As(err, &status) || status.Status != http.StatusTooManyRequests {
		t.Errorf("error = %v, want a status", err)
	}
}

// Whatever is wrong has an error of its own, and nothing wrong is kept.
func TestErrors(t *testing.T) {
	const v = "6.12.94"
	good := func(s *kernelorgtest.Server) string { return s.Checksums("/pub/linux/kernel/v6.x/") }
	for name, c := range map[string]struct {
		version, pinned string
		spoil           func(t *testing.T, server *kernelorgtest.Server, s *Site)
		want            any
		message         string
	}{
		"wrong tarball": {v, "", func(t *testing.T, server *kernelorgtest.Server, s *Site) {
			server.Put("/pub/linux/kernel/v6.x/linux-6.12.94.tar.xz", []byte("another"))
		}, new(*ChecksumError), "kernel.org says"},
		"altered checksum": {v, "", func(t *testing.T, server *kernelorgtest.Server, s *Site) {
			signed := server.Key.Sign(good(server))
			i := bytes.Index(signed, []byte("linux-6.12.94")) - 10
			signed[i] ^= 1
			server.Put(sums6, signed)
		}, new(*SignatureError), "signature"},
		"foreign key": {v, "", func(t *testing.T, server *kernelorgtest.Server, s *Site) {
			server.Put(sums6, kernelorgtest.NewKey(t).Sign(good(server)))
		}, new(*ForeignKeyError), "not by kernel.org's"},
		"no signature": {v, "", func(t *testing.T, server *kernelorgtest.Server, s *Site) {
			server.Put(sums6, []byte(good(server)))
		}, new(*SignatureError), "not a clear-signed message"},
		"text after the signature": {v, "", func(t *testing.T, server *kernelorgtest.Server, s *Site) {
			server.Put(sums6, append(server.Key.Sign(good(server)), "00  linux-6.12.94.tar.xz\n"...))
		}, new(*SignatureError), "text after the signature"},
		"another key is published": {v, "", func(t *testing.T, server *kernelorgtest.Server, s *Site) {
			server.Put(wellKnownKey[:strings.Index(wellKnownKey, "?")], kernelorgtest.NewKey(t).Public())
		}, new(*KeyError), "it holds "},
		"another key in the keyring": {v, "", func(t *testing.T, server *kernelorgtest.Server, s *Site) {
			s.Keyring = filepath.Join(t.TempDir(), "keys")
			if err := os.WriteFile(s.Keyring, kernelorgtest.NewKey(t).Public(), 0o644); err != nil {
				t.Fatal(err)
			}
		}, new(*KeyError), "find key "},
		"no keyring": {v, "", func(t *testing.T, server *kernelorgtest.Server, s *Site) {
			s.Keyring = filepath.Join(t.TempDir(), "none")
		}, new(*os.PathError), "read keyring"},
		"not a keyring": {v, "", func(t *testing.T, server *kernelorgtest.Server, s *Site) {
			s.Keyring = filepath.Join(t.TempDir(), "text")
			if err := os.WriteFile(s.Keyring, []byte("hello"), 0o644); err != nil {
				t.Fatal(err)
			}
		}, new(*KeyError), "read keys of"},
		"no such release":   {"6.12.999", "", nil, new(*MissingError), "linux-6.12.999.tar.xz"},
		"no such directory": {"9.1", "", nil, new(*StatusError), "404 Not Found"},
		"signed, and gone": {v, "", func(t *testing.T, server *kernelorgtest.Server, s *Site) {
			server.Put("/pub/linux/kernel/v6.x/linux-6.12.94.tar.xz", nil)
		}, new(*StatusError), "404 Not Found"},
		"another pin":     {v, strings.Repeat("0", 64), nil, new(*DisagreementError), "the catalogue pins"},
		"no pin for a rc": {"7.3-rc7", "", nil, new(*UnsignedError), "no checksum of it is pinned"},
		"wrong pin for a rc": {"7.3-rc7", strings.Repeat("0", 64), func(t *testing.T, server *kernelorgtest.Server, s *Site) {
			server.Candidate("7.3-rc7", []byte("candidate"))
		}, new(*ChecksumError), "the catalogue says"},
		"nonsense, signed": {v, "", func(t *testing.T, server *kernelorgtest.Server, s *Site) {
			server.Put(sums6, server.Key.Sign("hello\n"))
		}, nil, "line 1 is not a checksum"},
		"two checksums, signed": {v, "", func(t *testing.T, server *kernelorgtest.Server, s *Site) {
			server.Put(sums6, server.Key.Sign(good(server)+strings.Repeat("0", 64)+"  linux-6.12.94.tar.xz\n"))
		}, nil, "a second checksum of linux-6.12.94.tar.xz"},
	} {
		t.Run(name, func(t *testing.T) {
			server, s := newSite(t)
			if c.spoil != nil {
				c.spoil(t, server, s)
			}
			got, err := s.Tarball(t.Context(), version(t, c.version), c.pinned)
			if err == nil {
				t.Fatalf("no error, but %+v", got)
			}
			if c.want != nil && !errors.As(err, c.want) || !strings.Contains(err.Error(), c.message) {
				t.Errorf("error = %v, want a %T that says %q", err, c.want, c.message)
			}
			var hint interface{ Hint() string }
			if c.want != nil && name != "no keyring" && (!errors.As(err, &hint) || hint.Hint() == "") {
				t.Errorf("%v has no hint", err)
			}
			if kept, _ := filepath.Glob(filepath.Join(s.Dir, "tarballs/*/linux*")); len(kept) > 0 && c.version == v && name != "signed, and gone" {
				t.Errorf("kept %q", kept)
			}
			if kept, _ := filepath.Glob(filepath.Join(s.Dir, "kernelorg/v6.x/*")); len(kept) > 0 && errors.As(err, new(*SignatureError)) {
				t.Errorf("kept %q", kept)
			}
		})
	}
}

// A key in a file, armored or not, with others beside it, is as good as a
// published one.
func TestKeyring(t *testing.T) {
	server, s := newSite(t)
	server.Put(wellKnownKey[:strings.Index(wellKnownKey, "?")], nil)
	both := append(kernelorgtest.NewKey(t).Public(), server.Key.Public()...)
	s.Keyring = filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(s.Keyring, both, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Checksum(t.Context(), version(t, "6.12")); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(s.Keyring, server.Key.Armored(), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Checksum(t.Context(), version(t, "6.12")); err != nil {
		t.Error(err)
	}
	t.Setenv("VMTEST_KERNEL_KEYRING", s.Keyring)
	t.Setenv("VMTEST_KERNEL_MIRROR", server.URL+"/")
	fromEnvironment := &Site{Dir: t.TempDir(), Fingerprint: s.Fingerprint}
	if _, err := fromEnvironment.Checksum(t.Context(), version(t, "6.12")); err != nil {
		t.Error(err)
	}
}

func TestCandidate(t *testing.T) {
	server, s := newSite(t)
	server.Candidate("7.3-rc7", tarball("7.3-rc7"))
	v := version(t, "7.3-rc7")
	sum, err := s.Digest(t.Context(), v)
	if err != nil {
		t.Fatal(err)
	}
	got, err := s.Tarball(t.Context(), v, sum)
	if err != nil || got.Name != "linux-7.3-rc7.tar.gz" || got.SHA256 != sum {
		t.Errorf("got %+v, %v", got, err)
	}
	if left, _ := filepath.Glob(filepath.Join(s.Dir, "tarballs/candidate*")); len(left) > 0 {
		t.Errorf("left over: %q", left)
	}
	if _, err := s.Checksum(t.Context(), v); !errors.As(err, new(*UnsignedError)) {
		t.Errorf("checksum of a candidate: %v", err)
	}
}

func TestCancel(t *testing.T) {
	server, s := newSite(t)
	s.pause = time.Hour
	ctx, cancel := context.WithCancel(t.Context())
	server.Before(func(w http.ResponseWriter, r *http.Request) bool {
		cancel()
		w.WriteHeader(http.StatusBadGateway)
		return true
	})
	if _, err := s.Releases(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error = %v", err)
	}
}

func TestSilence(t *testing.T) {
	server, s := newSite(t)
	s.silence = 10 * time.Millisecond
	server.Before(func(w http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, ".tar.xz") {
			w.Write([]byte("6.12"))
			w.(http.Flusher).Flush()
		}
		<-r.Context().Done()
		return true
	})
	if _, err := s.Releases(t.Context()); err == nil || !strings.Contains(err.Error(), "the server has said nothing for 10ms") {
		t.Errorf("no answer: %v", err)
	}
	if _, err := s.Digest(t.Context(), version(t, "6.12")); err == nil || !strings.Contains(err.Error(), "the server has said nothing for 10ms") {
		t.Errorf("half an answer: %v", err)
	}
}

// A server that is not there: one line, without the address twice.
func TestUnreachable(t *testing.T) {
	s := &Site{Dir: t.TempDir(), BaseURL: "http://127.0.0.1:1", pause: time.Millisecond}
	_, err := s.Releases(t.Context())
	var unreachable *UnreachableError
	if !errors.As(err, &unreachable) || unreachable.Hint() == "" || strings.Count(err.Error(), "127.0.0.1:1/releases.json") != 1 {
		t.Errorf("error = %v", err)
	}
}

// Without a mirror, each path has its host.
func TestURLs(t *testing.T) {
	t.Setenv("VMTEST_KERNEL_MIRROR", "")
	s := &Site{}
	for v, want := range map[string]string{
		"6.12":    "https://cdn.kernel.org/pub/linux/kernel/v6.x/linux-6.12.tar.xz",
		"6.12.94": "https://cdn.kernel.org/pub/linux/kernel/v6.x/linux-6.12.94.tar.xz",
		"7.3-rc7": "https://git.kernel.org/torvalds/t/linux-7.3-rc7.tar.gz",
	} {
		if got := s.tarballURL(version(t, v)); got != want {
			t.Errorf("%s is at %s, want %s", v, got, want)
		}
	}
}

func TestReleases(t *testing.T) {
	server, s := newSite(t)
	server.Put("/releases.json", []byte(`{
		"latest_stable": {"version": "7.2.9"},
		"releases": [
			{"iseol": false, "version": "7.3-rc7", "moniker": "mainline", "source": "https://git.kernel.org/torvalds/t/linux-7.3-rc7.tar.gz", "pgp": null,
			 "released": {"timestamp": 1794000000, "isodate": "2026-11-08"}, "patch": {"full": "x", "incremental": null}},
			{"iseol": false, "version": "7.2.9", "moniker": "stable"},
			{"iseol": true, "version": "6.17.13", "moniker": "stable"},
			{"iseol": false, "version": "6.12.111", "moniker": "longterm"},
			{"iseol": false, "version": "next-20261120", "moniker": "linux-next", "source": null}
		]}`))
	index, err := s.Releases(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if index.LatestStable != version(t, "7.2.9") || len(index.Releases) != 4 {
		t.Errorf("index = %+v", index)
	}
	if r := index.Releases[2]; r != (Release{"stable", version(t, "6.17.13"), true}) {
		t.Errorf("release = %+v", r)
	}
	for _, bad := range []string{"<html>", "{}", `{"latest_stable": {"version": "7.2"}, "releases": [{"moniker": "stable", "version": "x"}]}`, `{"latest_stable": {"version": "7.2"}}`} {
		server.Put("/releases.json", []byte(bad))
		if index, err := s.Releases(t.Context()); err == nil || !strings.Contains(err.Error(), "read release index "+server.URL) {
			t.Errorf("%s: %+v, %v", bad, index, err)
		}
	}
}
