package attest

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// statement signs one about an image.
func statement(t *testing.T, s Signer, image v1.Hash, kind PredicateType) []byte {
	t.Helper()
	payload, err := newStatement("x/y", image, kind, struct{}{})
	if err != nil {
		t.Fatal(err)
	}
	b, err := s.sign(t.Context(), payload)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// change changes a field of a bundle's envelope, given in base64.
func change(t *testing.T, bundle []byte, field string, change func(any) any) []byte {
	t.Helper()
	var b map[string]any
	if err := json.Unmarshal(bundle, &b); err != nil {
		t.Fatal(err)
	}
	envelope := b["dsseEnvelope"].(map[string]any)
	envelope[field] = change(envelope[field])
	changed, err := json.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	return changed
}

// only reports whether all faults are of the kind.
func only(e *RefusedError, kind Kind) bool {
	return !slices.ContainsFunc(e.Faults, func(f *Fault) bool { return f.Kind != kind })
}

// Every way in which an image may not be signed as it should be is an error of
// its own, with its own advice.
func TestRefused(t *testing.T) {
	key, _ := newKey(t)
	other, _ := newKey(t)
	keyed := func(image v1.Hash) []byte { return statement(t, key, image, Signature) }
	for name, c := range map[string]struct {
		bundles func(k published) [][]byte
		kind    Kind
		want    string // in the message
		hint    string
	}{
		"nothing attached": {func(published) [][]byte { return nil }, Unsigned, "it is unsigned", "accept: true"},
		"an SBOM alone": {func(k published) [][]byte {
			return [][]byte{statement(t, key, k.amd64, SBOM)}
		}, Unsigned, "it is unsigned", "accept: true"},
		"another key": {func(k published) [][]byte {
			return [][]byte{statement(t, other, k.amd64, Signature)}
		}, OtherKey, "signed with key " + other.Public().String(), "if the publisher has a new key"},
		"a key whose name a terminal would obey": {func(k published) [][]byte {
			return [][]byte{changeMaterial(t, statement(t, other, k.amd64, Signature), func(m map[string]any) {
				m["publicKey"] = map[string]any{"hint": "\x1b[2J" + strings.Repeat("x", 100)}
			})}
		}, OtherKey, "signed with key SHA256:\ufffd[2Jxxx", "if the publisher has a new key"},
		"another image": {func(k published) [][]byte {
			return [][]byte{keyed(k.arm64)}
		}, OtherDigest, "but about sha256:", "another image"},
		"another payload": {func(k published) [][]byte {
			to := keyed(k.arm64)
			var b struct{ DsseEnvelope struct{ Payload string } }
			if err := json.Unmarshal(keyed(k.amd64), &b); err != nil {
				t.Fatal(err)
			}
			return [][]byte{change(t, to, "payload", func(any) any { return b.DsseEnvelope.Payload })}
		}, Tampered, "not of what it signs", "changed since it was signed"},
		"another signature": {func(k published) [][]byte {
			return [][]byte{change(t, keyed(k.amd64), "signatures", func(any) any { return []any{map[string]any{"sig": "AAAA"}} })}
		}, Tampered, "not of what it signs", "changed since it was signed"},
		"two signatures": {func(k published) [][]byte {
			return [][]byte{change(t, keyed(k.amd64), "signatures", func(s any) any { return append(s.([]any), s.([]any)...) })}
		}, Tampered, "not of what it signs", "changed since it was signed"},
		"no bundle": {func(published) [][]byte {
			return [][]byte{[]byte(`{"mediaType":"` + bundleType + `"}`)}
		}, Tampered, "no sigstore bundle", ""},
		"no statement": {func(published) [][]byte {
			b, err := key.sign(t.Context(), []byte(`{"_type":"https://example.com/Statement"}`))
			if err != nil {
				t.Fatal(err)
			}
			return [][]byte{b}
		}, Tampered, "signs no statement", ""},
		"several": {func(k published) [][]byte {
			return [][]byte{statement(t, other, k.amd64, Signature), keyed(k.arm64)}
		}, "", "none of 2 signatures holds:\n\t", ""},
	} {
		t.Run(name, func(t *testing.T) {
			k := publish(t, openRegistry(t, plainRegistry()))
			for _, b := range c.bundles(k) {
				k.attach(t, k.amd64, b)
			}
			v := &Verifier{Policy: TrustPolicy(key.trust()), Mode: Auto, Dir: t.TempDir()}
			err := v.Verify(t.Context(), k.Repository, k.amd64)
			var refused *RefusedError
			if !errors.As(err, &refused) || c.kind != "" && !only(refused, c.kind) {
				t.Fatalf("error %v, want one of kind %s", err, c.kind)
			}
			if message := err.Error(); !strings.Contains(message, c.want) || !strings.Contains(message, k.amd64.String()) || !strings.Contains(refused.Hint(), c.hint) {
				t.Errorf("%v\nhint: %s\nwant %q and the hint %q", err, refused.Hint(), c.want, c.hint)
			}
			if left, _ := os.ReadDir(filepath.Join(v.Dir, "verified")); len(left) > 0 {
				t.Errorf("it is remembered: %v", left)
			}
		})
	}
}

// A bundle that names another key, or none, is checked with ours all the same.
func TestHint(t *testing.T) {
	key, _ := newKey(t)
	image := v1.Hash{Algorithm: "sha256", Hex: strings.Repeat("1", 64)}
	for _, hint := range []string{"", "my key"} {
		a, err := parseAttestation(changeMaterial(t, statement(t, key, image, Signature), func(m map[string]any) {
			m["publicKey"] = map[string]any{"hint": hint}
		}))
		if err != nil {
			t.Fatal(err)
		}
		if f := check(t.Context(), a, image, key.trust(), nil); f.Err != nil {
			t.Errorf("hint %q: %v", hint, f.Err)
		}
	}
}

// One signature that holds is enough, whatever else there is, and it may be the
// index's.
func TestOneIsEnough(t *testing.T) {
	key, _ := newKey(t)
	other, _ := newKey(t)
	k := publish(t, openRegistry(t, plainRegistry()))
	for _, c := range []struct {
		image v1.Hash
		b     []byte
	}{
		{k.amd64, statement(t, other, k.amd64, Signature)}, {k.amd64, []byte("nonsense")}, {k.amd64, statement(t, key, k.amd64, Provenance)},
		{k.index, statement(t, key, k.index, Signature)},
	} {
		k.attach(t, c.image, c.b)
	}
	v := &Verifier{Policy: TrustPolicy(key.trust()), Mode: Auto, Dir: t.TempDir()}
	for name, digests := range map[string][]v1.Hash{"manifest": {k.amd64}, "index": {k.arm64, k.index}, "either": {k.amd64, k.index}} {
		if err := v.Verify(t.Context(), k.Repository, digests...); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := v.Verify(t.Context(), k.Repository, k.arm64); err == nil {
		t.Error("a manifest is taken as signed because another is")
	}
}

// What has been verified needs no registry again, unless the policy changes.
func TestRemembered(t *testing.T) {
	key, _ := newKey(t)
	other, _ := newKey(t)
	served, online := plainRegistry(), true
	k := publish(t, openRegistry(t, http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if !online {
			w.WriteHeader(http.StatusServiceUnavailable)
			io.WriteString(w, "gone")
			return
		}
		served.ServeHTTP(w, q)
	})))
	k.attach(t, k.amd64, statement(t, key, k.amd64, Signature))
	dir := t.TempDir()
	verify := func(trust Trust, mode Mode, image v1.Hash) error {
		return (&Verifier{Policy: TrustPolicy(trust), Mode: mode, Dir: dir}).Verify(t.Context(), k.Repository, image)
	}
	if err := verify(key.trust(), Auto, k.amd64); err != nil {
		t.Fatal(err)
	}
	online = false
	if err := verify(key.trust(), Require, k.amd64); err != nil {
		t.Errorf("offline: %v", err)
	}
	for name, err := range map[string]error{
		"another image":  verify(key.trust(), Auto, k.arm64),
		"another policy": verify(other.trust(), Auto, k.amd64),
		"two keys":       verify(Keys{key.Public(), other.Public()}, Auto, k.amd64),
	} {
		if err == nil || !strings.Contains(err.Error(), "503") {
			t.Errorf("%s: %v, want the registry's error", name, err)
		}
	}
	if err := verify(other.trust(), Off, k.arm64); err != nil {
		t.Errorf("off: %v", err)
	}
}

func TestModes(t *testing.T) {
	v := &Verifier{Policy: DefaultPolicy(), Mode: Auto, Dir: t.TempDir()}
	image := v1.Hash{Algorithm: "sha256", Hex: strings.Repeat("1", 64)}
	nowhere := openRepository(t, "ghcr.io/cilium/ci-kernels") // is not asked
	if err := v.Verify(t.Context(), nowhere, image); err != nil {
		t.Errorf("auto: %v", err)
	}
	v.Mode = Require
	err := v.Verify(t.Context(), nowhere, image)
	var refused *RefusedError
	if !errors.As(err, &refused) || !only(refused, NoRule) || !strings.Contains(refused.Hint(), "- repository: ghcr.io/cilium/ci-kernels") {
		t.Errorf("require: %v, want the lack of a rule", err)
	}
	for text, want := range map[string]string{"auto": "", "require": "", "off": "", "": "want auto, require or off", "yes": "want auto, require or off"} {
		var m Mode
		if err := m.UnmarshalText([]byte(text)); (err == nil) != (want == "") || err != nil && err.Error() != want {
			t.Errorf("mode %q: %v", text, err)
		}
	}
}

// A registry that cannot be asked is not one that has nothing.
func TestUnreachable(t *testing.T) {
	key, _ := newKey(t)
	v := &Verifier{Policy: TrustPolicy(key.trust()), Mode: Auto, Dir: t.TempDir()}
	r := openRegistry(t, http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if strings.Contains(q.URL.Path, "/referrers/") {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	err := v.Verify(context.Background(), r, v1.Hash{Algorithm: "sha256", Hex: strings.Repeat("1", 64)})
	var refused *RefusedError
	if err == nil || errors.As(err, &refused) || !strings.Contains(err.Error(), "500") {
		t.Errorf("error %v, want the registry's", err)
	}
}
