package attest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/sign"
)

// A Workflow signs as the workflow of GitHub's that this process is a step of,
// without a key to keep: Fulcio gives a certificate for a few minutes to who
// shows GitHub's token, and what it signed is entered into Rekor's log.
type Workflow struct {
	getenv func(string) string
	roots  *Roots
	Sigstore
}

// A Sigstore is one other than the public one, by files that describe it.
type Sigstore struct {
	TrustedRoot   string // what to trust
	SigningConfig string // where its services are
}

// FindWorkflow finds out from the environment which workflow this is. What is
// signed is checked at once, against one of the roots.
func FindWorkflow(getenv func(string) string, roots *Roots, at Sigstore) (*Workflow, error) {
	for _, variable := range []string{"ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN", "GITHUB_WORKFLOW_REF"} {
		if getenv(variable) == "" {
			return nil, &noIdentityError{variable}
		}
	}
	return &Workflow{getenv, roots, at}, nil
}

// audience is who GitHub's token is for.
const audience = "sigstore"

// A service is given this long for an answer; Rekor waits for its log.
const patience = 2 * time.Minute

func (w *Workflow) trust() Trust {
	identity := w.getenv("GITHUB_SERVER_URL") + "/" + w.getenv("GITHUB_WORKFLOW_REF")
	return Keyless{Issuer: GitHubActions, Identity: identity, TrustedRoot: w.TrustedRoot}
}

func (w *Workflow) sign(ctx context.Context, statement []byte) ([]byte, error) {
	material, err := w.roots.load(ctx, w.TrustedRoot)
	if err != nil {
		return nil, err
	}
	config, err := w.roots.signingConfig(ctx, w.SigningConfig)
	if err != nil {
		return nil, err
	}
	o, err := services(config)
	if err != nil {
		return nil, err
	}
	token, err := w.token(ctx)
	if err != nil {
		return nil, err
	}
	o.Context, o.TrustedRoot = ctx, material // which it checks the bundle against
	o.CertificateProviderOptions = &sign.CertificateProviderOptions{IDToken: token}
	key, err := sign.NewEphemeralKeypair(nil)
	if err != nil {
		return nil, err
	}
	return makeBundle(statement, key, o)
}

// services are what a sigstore's configuration names for today.
func services(config *root.SigningConfig) (o sign.BundleOptions, err error) {
	now := time.Now()
	fulcio, err := root.SelectService(config.FulcioCertificateAuthorityURLs(), sign.FulcioAPIVersions, now)
	if err != nil {
		return o, fmt.Errorf("choose certificate authority: %w", err)
	}
	o.CertificateProvider = sign.NewFulcio(&sign.FulcioOptions{BaseURL: fulcio.URL, Timeout: patience, Retries: 3})
	if len(config.TimestampAuthorityURLs()) > 0 {
		all, err := root.SelectServices(config.TimestampAuthorityURLs(), config.TimestampAuthorityURLsConfig(), sign.TimestampAuthorityAPIVersions, now)
		if err != nil {
			return o, fmt.Errorf("choose timestamp authority: %w", err)
		}
		for _, s := range all {
			o.TimestampAuthorities = append(o.TimestampAuthorities, sign.NewTimestampAuthority(&sign.TimestampAuthorityOptions{URL: s.URL, Timeout: patience, Retries: 3}))
		}
	}
	if len(config.RekorLogURLs()) > 0 {
		all, err := root.SelectServices(config.RekorLogURLs(), config.RekorLogURLsConfig(), sign.RekorAPIVersions, now)
		if err != nil {
			return o, fmt.Errorf("choose transparency log: %w", err)
		}
		for _, s := range all {
			o.TransparencyLogs = append(o.TransparencyLogs, sign.NewRekor(&sign.RekorOptions{BaseURL: s.URL, Timeout: patience, Retries: 3, Version: s.MajorAPIVersion}))
		}
	}
	return o, nil
}

// token asks GitHub for a token that says which workflow this is:
// https://docs.github.com/actions/reference/openid-connect-reference.
func (w *Workflow) token(ctx context.Context) (string, error) {
	u, err := url.Parse(w.getenv("ACTIONS_ID_TOKEN_REQUEST_URL"))
	if err != nil {
		return "", fmt.Errorf("get GitHub's token: parse ACTIONS_ID_TOKEN_REQUEST_URL: %w", err)
	}
	q := u.Query()
	q.Set("audience", audience)
	u.RawQuery = q.Encode()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return "", err
	}
	req.Header.Set("Authorization", "Bearer "+w.getenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN"))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", fmt.Errorf("get GitHub's token: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("get GitHub's token: %s", resp.Status)
	}
	var answer struct{ Value string }
	if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&answer); err != nil {
		return "", fmt.Errorf("get GitHub's token: parse answer: %w", err)
	}
	if answer.Value == "" {
		return "", errors.New("get GitHub's token: the answer holds none")
	}
	return answer.Value, nil
}

// A noIdentityError says that there is nobody to sign as.
type noIdentityError struct{ variable string }

func (e *noIdentityError) Error() string {
	return "sign without a key: this is not a job of GitHub's that may say which workflow it is: " + e.variable + " is not set"
}

// Hint names both ways.
func (*noIdentityError) Hint() string {
	return "sign with a key: -key FILE; or, in a workflow, give the job `permissions: id-token: write`"
}

// ExitCode is that of a usage error.
func (*noIdentityError) ExitCode() int { return 2 }
