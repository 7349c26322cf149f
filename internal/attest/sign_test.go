package attest

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// What was signed is found and verified, whatever the registry knows of
// referrers, and is not signed again.
func TestSignAndVerify(t *testing.T) {
	for name, handler := range registries {
		t.Run(name, func(t *testing.T) {
			k := publish(t, openRegistry(t, handler()))
			key, _ := newKey(t)
			var done []string
			sign := func() []string {
				done = nil
				s := Signing{Signer: key, Builder: FindBuilder(os.Getenv, "test"), Done: func(a Attached) {
					line := a.What + " " + string(a.Predicate)
					if a.Before {
						line += " before"
					}
					done = append(done, line)
				}}
				if err := k.sign(t, s, k.index); err != nil {
					t.Fatal(err)
				}
				return done
			}
			want := []string{
				"6.12.95 amd64 https://cyclonedx.org/bom", "6.12.95 amd64 https://slsa.dev/provenance/v1", "6.12.95 amd64 https://sigstore.dev/cosign/sign/v1",
				"6.12.95 arm64 https://cyclonedx.org/bom", "6.12.95 arm64 https://slsa.dev/provenance/v1", "6.12.95 arm64 https://sigstore.dev/cosign/sign/v1",
				"index https://slsa.dev/provenance/v1", "index https://sigstore.dev/cosign/sign/v1",
			}
			if diff := cmp.Diff(want, sign()); diff != "" {
				t.Errorf("attached (-want +got):\n%s", diff)
			}
			for i := range want {
				want[i] += " before"
			}
			if diff := cmp.Diff(want, sign()); diff != "" {
				t.Errorf("attached again (-want +got):\n%s", diff)
			}
			for digest, n := range map[v1.Hash]int{k.index: 2, k.amd64: 3, k.arm64: 3} {
				checkSigned(t, k, digest, key, n)
			}
		})
	}
}

func checkSigned(t *testing.T, k published, digest v1.Hash, key *PrivateKey, n int) {
	t.Helper()
	findings, err := Inspect(context.Background(), k.Repository, digest, key.trust(), nil)
	if err != nil || len(findings) != n {
		t.Errorf("%s: %d findings, %v, want %d", digest, len(findings), err, n)
	}
	for _, f := range findings {
		if f.Err != nil || f.Signer != "key "+key.Public().String() {
			t.Errorf("%s: %s by %s: %v", digest, f.Predicate, f.Signer, f.Err)
		}
	}
	v := &Verifier{Policy: TrustPolicy(key.trust()), Mode: Auto, Dir: t.TempDir()}
	if err := v.Verify(context.Background(), k.Repository, digest); err != nil {
		t.Error(err)
	}
}

// What other tools read of an attached bundle: the specification's and cosign's
// fields.
func TestAttached(t *testing.T) {
	ctx, k := context.Background(), publish(t, openRegistry(t, registries["that lists referrers"]()))
	key, _ := newKey(t)
	if err := k.sign(t, Signing{Signer: key}, k.amd64); err != nil {
		t.Fatal(err)
	}
	referrers, _, err := k.Referrers(ctx, k.amd64)
	if err != nil || len(referrers) != 3 {
		t.Fatalf("referrers are %v, %v", referrers, err)
	}
	slices.SortFunc(referrers, func(a, b v1.Descriptor) int { return rank(a) - rank(b) })
	content, err := k.Manifest(ctx, referrers[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	var m v1.Manifest
	if err := json.Unmarshal(content, &m); err != nil {
		t.Fatal(err)
	}
	subject, err := k.Manifest(ctx, k.amd64)
	if err != nil {
		t.Fatal(err)
	}
	const empty = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a" // of {}
	got := []any{m.ArtifactType, referrers[0].ArtifactType, string(m.Config.MediaType), m.Config.Digest.String(), string(m.Layers[0].MediaType), m.Annotations, m.Subject.Digest, m.Subject.Size}
	want := []any{bundleType, bundleType, "application/vnd.oci.empty.v1+json", empty, bundleType, map[string]string{
		"dev.sigstore.bundle.content": "dsse-envelope", "dev.sigstore.bundle.predicateType": "https://sigstore.dev/cosign/sign/v1",
	}, k.amd64, int64(len(subject))}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("manifest (-want +got):\n%s", diff)
	}
	data, err := readBlob(ctx, k.Repository, m.Layers[0], bundleLimit)
	if err != nil {
		t.Fatal(err)
	}
	var b struct {
		MediaType            string
		VerificationMaterial struct{ PublicKey struct{ Hint string } }
		DSSEEnvelope         struct {
			PayloadType string
			Payload     []byte
		} `json:"dsseEnvelope"`
	}
	if err := json.Unmarshal(data, &b); err != nil {
		t.Fatal(err)
	}
	if b.MediaType != bundleType || b.VerificationMaterial.PublicKey.Hint != key.public.hint || b.DSSEEnvelope.PayloadType != payloadType {
		t.Errorf("bundle %s", data)
	}
	statement := `{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"` + k.Name.Name() + `","digest":{"sha256":"` + k.amd64.Hex +
		`"}}],"predicateType":"https://sigstore.dev/cosign/sign/v1","predicate":{}}`
	if diff := cmp.Diff(statement, string(b.DSSEEnvelope.Payload)); diff != "" {
		t.Errorf("statement (-want +got):\n%s", diff)
	}
}

func TestSignErrors(t *testing.T) {
	served := plainRegistry()
	readOnly := false
	k := publish(t, openRegistry(t, http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if readOnly && q.Method != http.MethodGet && q.Method != http.MethodHead {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		served.ServeHTTP(w, q)
	})))
	foreign, err := random.Image(100, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(k.Name.Tag("foreign"), foreign); err != nil {
		t.Fatal(err)
	}
	other, err := foreign.Digest()
	if err != nil {
		t.Fatal(err)
	}
	readOnly = true
	key, _ := newKey(t)
	for name, c := range map[string]struct {
		digest     v1.Hash
		want, hint string
	}{
		"nothing there":     {v1.Hash{Algorithm: "sha256", Hex: strings.Repeat("1", 64)}, "404", ""},
		"another's image":   {other, "it is not a kernel's", "cosign"},
		"a closed registry": {k.amd64, "403", "docker login " + k.Name.RegistryStr()},
	} {
		err := k.sign(t, Signing{Signer: key}, c.digest)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(hint(err), c.hint) {
			t.Errorf("%s: %v (%s), want an error with %q and a hint with %q", name, err, hint(err), c.want, c.hint)
		}
	}
}

func hint(err error) string {
	var hinted interface{ Hint() string }
	if errors.As(err, &hinted) {
		return hinted.Hint()
	}
	return ""
}
