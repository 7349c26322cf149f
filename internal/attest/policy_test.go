package attest

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bpf-vmtest/bpf-vmtest/internal/configfile"
)

func writePolicy(t *testing.T, text string) (file string, key *PrivateKey) {
	t.Helper()
	key, public := newKey(t)
	dir := t.TempDir()
	content, err := os.ReadFile(public)
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{"policy.yaml": text, "org.pub": string(content), "text": "no key"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "policy.yaml"), key
}

func TestPolicy(t *testing.T) {
	file, key := writePolicy(t, `# ours
- repository: ghcr.io/org/kernels-test
  accept: true
- repository: [ghcr.io/org/*, "docker.io/org/**"]
  key: [org.pub]
- repository: localhost:5000/**
  keyless:
    issuer: https://token.actions.githubusercontent.com
    identity: https://github.com/org/*/.github/workflows/*
    trusted-root: root.json
- repository: ghcr.io/bpf-vmtest/**
  accept: true
`)
	p, err := ReadPolicy(file)
	if err != nil {
		t.Fatal(err)
	}
	const anyone = "anyone"
	keyed := "key " + key.Public().String()
	keyless := "https://github.com/org/*/.github/workflows/* (https://token.actions.githubusercontent.com), root " + filepath.Join(filepath.Dir(file), "root.json")
	want := map[string]string{
		"ghcr.io/org/kernels-test":   anyone,
		"ghcr.io/org/kernels":        keyed,
		"ghcr.io/org/kernels/debug":  anyone, // * is not a /
		"ghcr.io/organ/kernels":      anyone,
		"xghcr.io/org/kernels":       anyone,
		"index.docker.io/org/a/b":    keyed,
		"localhost:5000/k":           keyless,
		"localhost:5001/k":           anyone,
		"ghcr.io/bpf-vmtest/kernels": anyone, // before ours
	}
	got := map[string]string{}
	for repository := range want {
		got[repository] = anyone
		if trust := p.Trust(repository); trust != nil {
			got[repository] = trust.String()
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("trust (-want +got):\n%s", diff)
	}
}

func TestDefaultPolicy(t *testing.T) {
	p, err := ReadUserPolicy(filepath.Join(t.TempDir(), "policy.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	const want = "https://github.com/bpf-vmtest/bpf-vmtest/.github/workflows/kernels.yml@refs/heads/main (https://token.actions.githubusercontent.com)"
	if trust := p.Trust("ghcr.io/bpf-vmtest/kernels"); trust == nil || trust.String() != want {
		t.Errorf("our own repository: %v", trust)
	}
	for _, repository := range []string{"ghcr.io/cilium/ci-kernels", "ghcr.io/bpf-vmtest/kernels-fork", "localhost/bpf-vmtest/kernels"} {
		if trust := p.Trust(repository); trust != nil {
			t.Errorf("%s: %v", repository, trust)
		}
	}
	if p, err := ReadPolicy(filepath.Join(t.TempDir(), "policy.yaml")); err == nil {
		t.Errorf("a policy that was named and is not there: %v", p)
	}
}

func TestPolicyErrors(t *testing.T) {
	const rule = "- repository: ghcr.io/org/k\n  "
	for name, c := range map[string]struct{ text, want string }{
		"no list":            {"repository: x", "1:1: not a list"},
		"no rule":            {"- ghcr.io/org/k", "1:3: not a rule"},
		"an unknown field":   {rule + "keys: org.pub", `2:3: unknown field "keys"`},
		"no repository":      {"- key: org.pub", "1:3: rule without a repository"},
		"nothing to do":      {"- repository: ghcr.io/org/k", "1:3: rule with 0 of key"},
		"too much to do":     {rule + "accept: true\n  key: org.pub", "1:3: rule with 2 of key"},
		"a tag":              {"- repository: ghcr.io/org/k:6.12\n  accept: true", `1:15: "ghcr.io/org/k:6.12" has a tag`},
		"a digest":           {"- repository: ghcr.io/org/k@sha256\n  accept: true", `1:15: "ghcr.io/org/k@sha256" is no repository`},
		"a host alone":       {"- repository: ghcr.io\n  accept: true", "has no host"},
		"no host":            {"- repository: org/k\n  accept: true", `"org" is not the name of a registry`},
		"accept: false":      {rule + "accept: false", "2:11: accept: false"},
		"accept: a mapping":  {rule + "accept: {}", "2:11: not a plain value"},
		"no such key":        {rule + "key: missing.pub", "2:8: open "},
		"no key":             {rule + "key: text", "2:8: read key "},
		"a key twice":        {rule + "key: org.pub\n  key: org.pub", `3:3: field "key" is given twice`},
		"keyless: a word":    {rule + "keyless: me", "2:12: keyless is not a mapping"},
		"no identity":        {rule + "keyless: {issuer: https://x.org}", "2:12: keyless without identity"},
		"no issuer":          {rule + "keyless: {identity: a@b.org}", "2:12: keyless without issuer"},
		"a bad issuer":       {rule + "keyless: {issuer: x.org, identity: a@b.org}", `issuer "x.org" is not an https URL`},
		"an identity of all": {rule + `keyless: {issuer: https://x.org, identity: "*"}`, `identity "*" would be anyone`},
		"an empty identity":  {rule + `keyless: {issuer: https://x.org, identity: ""}`, `identity "" would be anyone`},
		"a tab":              {"- repository: ghcr.io/org/k\n\tkey: org.pub", "2:1: tab in the indentation"},
	} {
		t.Run(name, func(t *testing.T) {
			file, _ := writePolicy(t, c.text)
			p, err := ReadPolicy(file)
			var errs configfile.Errors
			if !errors.As(err, &errs) || !strings.Contains(err.Error(), file+":") || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("policy %v, error %v, want one with %q", p, err, c.want)
			}
			if errs.Hint() == "" {
				t.Errorf("%v has no hint", err)
			}
		})
	}
}
