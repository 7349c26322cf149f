package attest

import (
	"crypto"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sigstore/sigstore-go/pkg/tuf"
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// A tufRepository serves a trusted root as sigstore does.
type tufRepository struct {
	root   []byte            // what a client is born with
	files  map[string][]byte // by their paths
	expire func(time.Time) []byte
	server *httptest.Server
}

func newTUF(t *testing.T, trustedRoot string) *tufRepository {
	t.Helper()
	content, err := os.ReadFile(trustedRoot)
	if err != nil {
		t.Fatal(err)
	}
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := signature.LoadSigner(key, crypto.Hash(0))
	if err != nil {
		t.Fatal(err)
	}
	public, err := metadata.KeyFromPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	tomorrow := time.Now().Add(24 * time.Hour).UTC()
	root := metadata.Root(tomorrow)
	for _, role := range metadata.TOP_LEVEL_ROLE_NAMES { // one key for all
		if err := root.Signed.AddKey(public, role); err != nil {
			t.Fatal(err)
		}
	}
	targets := metadata.Targets(tomorrow)
	target, err := metadata.TargetFile().FromBytes("trusted_root.json", content, "sha256")
	if err != nil {
		t.Fatal(err)
	}
	targets.Signed.Targets["trusted_root.json"] = target
	snapshot := metadata.Snapshot(tomorrow)
	timestamp := func(expires time.Time) []byte {
		m := metadata.Timestamp(expires)
		return signed(t, m.Sign, m.ToBytes, signer)
	}
	r := &tufRepository{root: signed(t, root.Sign, root.ToBytes, signer), expire: timestamp}
	r.files = map[string][]byte{
		"1.targets.json":  signed(t, targets.Sign, targets.ToBytes, signer),
		"1.snapshot.json": signed(t, snapshot.Sign, snapshot.ToBytes, signer),
		"timestamp.json":  timestamp(tomorrow),
		fmt.Sprintf("%s.trusted_root.json", target.Hashes["sha256"]): content,
	}
	r.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if content, ok := r.files[path.Base(q.URL.Path)]; ok {
			w.Write(content)
			return
		}
		http.NotFound(w, q)
	}))
	t.Cleanup(r.server.Close)
	return r
}

func signed(t *testing.T, sign func(signature.Signer) (*metadata.Signature, error), encode func(bool) ([]byte, error), s signature.Signer) []byte {
	t.Helper()
	if _, err := sign(s); err != nil {
		t.Fatal(err)
	}
	content, err := encode(false)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// roots is a process's that uses the repository.
func (r *tufRepository) roots(dir string, warnings *[]string) *Roots {
	return &Roots{
		Dir: dir, Warn: func(message string) { *warnings = append(*warnings, message) },
		options: func(o *tuf.Options) { o.WithRoot(r.root).WithRepositoryBaseURL(r.server.URL) },
	}
}

// Sigstore's root is fetched once a day; without a network the last one serves
// until it expires.
func TestFetchRoot(t *testing.T) {
	s := newSigstore(t)
	r := newTUF(t, s.trustedRoot)
	dir := t.TempDir()
	var warnings []string
	load := func() error {
		warnings = nil
		m, err := r.roots(dir, &warnings).load(t.Context(), "")
		if err == nil && len(m.FulcioCertificateAuthorities()) != 1 {
			t.Errorf("another root was loaded: %+v", m)
		}
		return err
	}
	if err := load(); err != nil || warnings != nil {
		t.Fatalf("online: %v, warnings %q", err, warnings)
	}
	r.server.Close()
	if err := load(); err != nil || warnings != nil {
		t.Errorf("on the same day: %v, warnings %q", err, warnings)
	}
	name := filepath.Join(dir, "sigstore", tuf.URLToPath(r.server.URL))
	if err := os.WriteFile(name+".json", []byte(`{"lastTimestamp":"2026-01-01T00:00:00Z"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := load(); err != nil || len(warnings) != 1 || !strings.Contains(warnings[0], "cannot be fetched") {
		t.Errorf("days later: %v, warnings %q, want one", err, warnings)
	}
	if err := os.WriteFile(filepath.Join(name, "timestamp.json"), r.expire(time.Now().Add(-time.Hour)), 0o600); err != nil {
		t.Fatal(err)
	}
	checkNoRoot(t, "expired", load(), "refused")
	dir = t.TempDir()
	checkNoRoot(t, "never fetched", load(), "refused")
}

func checkNoRoot(t *testing.T, when string, err error, want string) {
	t.Helper()
	var fault *Fault
	if !errors.As(err, &fault) || fault.Kind != NoRoot || !strings.Contains(err.Error(), want) || !strings.Contains(fault.Hint(), "trusted-root: FILE") {
		t.Errorf("%s: %v, want the lack of a root and what to do", when, err)
	}
}

// That there is no root is not the image's fault, and nothing is accepted.
func TestNoRoot(t *testing.T) {
	k := publish(t, openRegistry(t, plainRegistry()))
	s := newSigstore(t)
	s.sign(t, k)
	v := &Verifier{
		Policy: TrustPolicy(Keyless{GitHubActions, workflow, "/missing.json"}), Mode: Auto, Roots: &Roots{Dir: t.TempDir()}, Dir: t.TempDir(),
	}
	err := v.Verify(t.Context(), k.Repository, k.amd64)
	var fault *Fault
	var refused *RefusedError
	if !errors.As(err, &fault) || fault.Kind != NoRoot || errors.As(err, &refused) || !strings.Contains(fault.Hint(), "cosign trusted-root create") {
		t.Errorf("error %v, want the lack of a root", err)
	}
}
