// Package kernelorgtest is kernel.org in small: a server with its layout, and a
// key of its own that signs the checksums.
package kernelorgtest

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// A Server serves files. They may be changed between requests.
type Server struct {
	URL string
	Key *Key

	mu    sync.Mutex
	files map[string][]byte // by path
	// before, if there is one, may answer instead.
	before func(http.ResponseWriter, *http.Request) bool
	asked  []string
}

// New starts a server, which ends with the test.
func New(t testing.TB) *Server {
	s := &Server{Key: NewKey(t), files: make(map[string][]byte)}
	server := httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(server.Close)
	s.URL = server.URL
	s.Put("/.well-known/openpgpkey/hu/ew8uiogxwri7d3fuioqgt7u1d5sngorx", s.Key.Public())
	return s
}

// Put sets what is at a path; nil means nothing.
func (s *Server) Put(path string, data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.files[path] = data; data == nil {
		delete(s.files, path)
	}
}

// Release puts the tarball of a release where it belongs, and signs the
// checksums of all that are in that directory.
func (s *Server) Release(version string, tarball []byte) {
	dir := "/pub/linux/kernel/v" + strings.SplitN(version, ".", 2)[0] + ".x/"
	s.Put(dir+"linux-"+version+".tar.xz", tarball)
	s.Put(dir+"sha256sums.asc", s.Key.Sign(s.Checksums(dir)))
}

// Candidate puts the tarball of a release candidate where it belongs.
func (s *Server) Candidate(version string, tarball []byte) {
	s.Put("/torvalds/t/linux-"+version+".tar.gz", tarball)
}

// Index puts releases, and an index of them. Each is a moniker and a version,
// and EOL after it where that is so; what they hold is their version. The last
// stable one is the latest.
func (s *Server) Index(releases ...string) {
	var lines []string
	stable := ""
	for _, r := range releases {
		f := strings.Fields(r)
		eol := len(f) > 2
		lines = append(lines, fmt.Sprintf(`{"moniker": %q, "version": %q, "iseol": %v}`, f[0], f[1], eol))
		if f[0] == "stable" && !eol {
			stable = f[1]
		}
		if strings.Contains(f[1], "-rc") {
			s.Candidate(f[1], []byte(f[1]))
		} else {
			s.Release(f[1], []byte(f[1]))
		}
	}
	s.Put("/releases.json", fmt.Appendf(nil, `{"latest_stable": {"version": %q}, "releases": [%s]}`, stable, strings.Join(lines, ", ")))
}

// Checksums are those of the tarballs in a directory, as sha256sum prints them.
func (s *Server) Checksums(dir string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var lines []string
	for path, data := range s.files {
		if name, ok := strings.CutPrefix(path, dir); ok && strings.HasPrefix(name, "linux-") {
			lines = append(lines, fmt.Sprintf("%x  %s\n", sha256.Sum256(data), name))
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}

// Before sets what is asked before a file is served; it reports whether it has
// answered.
func (s *Server) Before(f func(http.ResponseWriter, *http.Request) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before = f
}

// Asked gives the paths of the requests since it was last called.
func (s *Server) Asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	asked := s.asked
	s.asked = nil
	return asked
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	data, ok := s.files[r.URL.Path]
	before := s.before
	s.asked = append(s.asked, r.URL.Path)
	s.mu.Unlock()
	switch {
	case before != nil && before(w, r):
	case !ok:
		http.NotFound(w, r)
	default:
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
	}
}

// A Key signs.
type Key struct {
	t      testing.TB
	entity *openpgp.Entity
}

// NewKey makes one.
func NewKey(t testing.TB) *Key {
	t.Helper()
	e, err := openpgp.NewEntity("autosigner", "", "autosigner@example.org", &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA})
	if err != nil {
		t.Fatal(err)
	}
	return &Key{t, e}
}

// Fingerprint is in upper case hexadecimal digits.
func (k *Key) Fingerprint() string { return fmt.Sprintf("%X", k.entity.PrimaryKey.Fingerprint) }

// Public is what others get of the key.
func (k *Key) Public() []byte {
	k.t.Helper()
	var b bytes.Buffer
	if err := k.entity.Serialize(&b); err != nil {
		k.t.Fatal(err)
	}
	return b.Bytes()
}

// Sign makes a clear-signed message of a text.
func (k *Key) Sign(text string) []byte {
	k.t.Helper()
	var b bytes.Buffer
	w, err := clearsign.Encode(&b, k.entity.PrivateKey, nil)
	if err == nil {
		_, err = w.Write([]byte(text))
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		k.t.Fatal(err)
	}
	return append(b.Bytes(), '\n')
}

// Armored is the same as text.
func (k *Key) Armored() []byte {
	k.t.Helper()
	var b bytes.Buffer
	w, err := armor.Encode(&b, openpgp.PublicKeyType, nil)
	if err == nil {
		_, err = w.Write(k.Public())
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		k.t.Fatal(err)
	}
	return b.Bytes()
}
