package attest

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/sigstore/sigstore-go/pkg/testing/data"
)

// A workflow signs without a key, and who it is can be required.
func TestKeyless(t *testing.T) {
	k := publish(t, openRegistry(t, plainRegistry()))
	s := newSigstore(t)
	s.sign(t, k)
	key, _ := newKey(t)
	forger := newSigstore(t) // gives certificates to the same names
	for name, c := range map[string]struct {
		trust Trust
		kind  Kind // "" if it is accepted
		want  string
	}{
		"the workflow":     {Keyless{GitHubActions, workflow, s.trustedRoot}, "", ""},
		"any tag of it":    {Keyless{GitHubActions, "https://github.com/bpf-vmtest/bpf-vmtest/.github/workflows/kernels.yml@*", s.trustedRoot}, "", ""},
		"another workflow": {Keyless{GitHubActions, strings.Replace(workflow, "kernels", "tests", 1), s.trustedRoot}, OtherIdentity, "it is signed by " + workflow},
		"a part of it":     {Keyless{GitHubActions, strings.TrimSuffix(workflow, "main"), s.trustedRoot}, OtherIdentity, "it is signed by " + workflow},
		"another issuer":   {Keyless{"https://accounts.google.com", workflow, s.trustedRoot}, OtherIdentity, "(" + GitHubActions + ")"},
		"a key":            {key.trust(), OtherKey, "it is signed by " + workflow},
		"another root":     {Keyless{GitHubActions, workflow, forger.trustedRoot}, Untrusted, "is not one of the trusted root"},
		"an expired root":  {Keyless{GitHubActions, workflow, s.writeRoot(t, time.Now().Add(-30*time.Minute))}, Untrusted, "is not one of the trusted root"},
	} {
		t.Run(name, func(t *testing.T) {
			v := &Verifier{Policy: TrustPolicy(c.trust), Mode: Auto, Roots: &Roots{Dir: t.TempDir()}, Dir: t.TempDir()}
			err := v.Verify(t.Context(), k.Repository, k.amd64)
			if c.kind == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			var refused *RefusedError
			if !errors.As(err, &refused) || !only(refused, c.kind) || !strings.Contains(err.Error(), c.want) || refused.Hint() == "" {
				t.Errorf("error %v, want one of kind %s with %q and a hint", err, c.kind, c.want)
			}
		})
	}
}

// A bundle of a key, and one changed, where a workflow is wanted.
func TestKeylessRefused(t *testing.T) {
	s := newSigstore(t)
	w := s.workflow(t)
	key, _ := newKey(t)
	image := v1.Hash{Algorithm: "sha256", Hex: strings.Repeat("1", 64)}
	other := v1.Hash{Algorithm: "sha256", Hex: strings.Repeat("2", 64)}
	good := statement(t, w, image, Signature)
	for name, c := range map[string]struct {
		bundle []byte
		kind   Kind
	}{
		"good":            {good, ""},
		"another image":   {statement(t, w, other, Signature), OtherDigest},
		"of a key":        {statement(t, key, image, Signature), OtherIdentity},
		"another payload": {change(t, good, "payload", func(any) any { return payloadOf(t, statement(t, key, other, Signature)) }), Tampered},
		"not in the log":  {changeMaterial(t, good, func(m map[string]any) { delete(m, "tlogEntries") }), Untrusted},
		"another's entry in the log": {changeMaterial(t, good, func(m map[string]any) {
			m["tlogEntries"] = material(t, statement(t, w, other, Signature))["tlogEntries"]
		}), Untrusted},
	} {
		a, err := parseAttestation(c.bundle)
		if err != nil {
			t.Fatal(name, err)
		}
		f := check(t.Context(), a, image, w.trust(), w.roots)
		var fault *Fault
		switch {
		case c.kind == "" && (f.Err != nil || f.Signer != workflow+" ("+GitHubActions+")"):
			t.Errorf("%s: %+v", name, f)
		case c.kind != "" && (!errors.As(f.Err, &fault) || fault.Kind != c.kind):
			t.Errorf("%s: %v, want %s", name, f.Err, c.kind)
		}
	}
}

func payloadOf(t *testing.T, bundle []byte) (payload any) {
	change(t, bundle, "payload", func(p any) any { payload = p; return p })
	return payload
}

func material(t *testing.T, bundle []byte) (m map[string]any) {
	changeMaterial(t, bundle, func(have map[string]any) { m = have })
	return m
}

func changeMaterial(t *testing.T, bundle []byte, change func(map[string]any)) []byte {
	t.Helper()
	var b map[string]any
	if err := json.Unmarshal(bundle, &b); err != nil {
		t.Fatal(err)
	}
	change(b["verificationMaterial"].(map[string]any))
	changed, err := json.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	return changed
}

// A real bundle, which GitHub made for an npm package, with the public
// sigstore's root: logs of certificates and of signatures are checked as well.
func TestPublicSigstore(t *testing.T) {
	trusted, err := data.TrustedRoot(t, "public-good.json").MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	file := writeFile(t, "trusted_root.json", trusted)
	encoded, err := data.Bundle(t, "sigstore.js@2.0.0-provenance.sigstore.json").MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	a, err := parseAttestation(encoded)
	if err != nil {
		t.Fatal(err)
	}
	image := v1.Hash{Algorithm: "sha512", Hex: a.statement.Subject[0].Digest["sha512"]}
	const signer = "https://github.com/sigstore/sigstore-js/.github/workflows/release.yml@refs/heads/main"
	for identity, kind := range map[string]Kind{signer: "", strings.Replace(signer, "main", "next", 1): OtherIdentity} {
		f := check(t.Context(), a, image, Keyless{GitHubActions, identity, file}, &Roots{})
		var fault *Fault
		if kind == "" && f.Err != nil || kind != "" && (!errors.As(f.Err, &fault) || fault.Kind != kind) {
			t.Errorf("%s: %+v", identity, f)
		}
	}
}

func TestWorkflowErrors(t *testing.T) {
	s := newSigstore(t)
	refusing := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(refusing.Close)
	for name, c := range map[string]struct {
		change func(*Workflow, map[string]string)
		want   string
	}{
		"not allowed":    {func(_ *Workflow, e map[string]string) { e["ACTIONS_ID_TOKEN_REQUEST_TOKEN"] = "x" }, "get GitHub's token: 401"},
		"no token":       {func(_ *Workflow, e map[string]string) { e["ACTIONS_ID_TOKEN_REQUEST_URL"] = refusing.URL }, "get GitHub's token: 404"},
		"no root":        {func(w *Workflow, _ map[string]string) { w.TrustedRoot = "/missing" }, `read trusted root "/missing"`},
		"no services":    {func(w *Workflow, _ map[string]string) { w.SigningConfig = "/missing" }, `read signing configuration "/missing"`},
		"another's root": {func(w *Workflow, _ map[string]string) { w.TrustedRoot = newSigstore(t).trustedRoot }, "verify"},
	} {
		t.Run(name, func(t *testing.T) {
			w := s.workflow(t)
			environment := map[string]string{}
			for _, name := range []string{"ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN"} {
				environment[name] = w.getenv(name)
			}
			w.getenv = func(name string) string { return environment[name] }
			c.change(w, environment)
			if _, err := w.sign(t.Context(), []byte(`{}`)); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
		})
	}
	w, err := FindWorkflow(func(string) string { return "" }, &Roots{}, Sigstore{})
	if err == nil || !strings.Contains(err.Error(), "ACTIONS_ID_TOKEN_REQUEST_URL is not set") || !strings.Contains(hint(err), "id-token: write") {
		t.Errorf("not in a workflow: %v, %v", w, err)
	}
}
