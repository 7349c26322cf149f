package attest

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/renameio/v2"

	"github.com/bpf-vmtest/bpf-vmtest/internal/registry"
)

// A Mode says how much is verified.
type Mode string

const (
	Auto    Mode = "auto"    // what the policy wants
	Require Mode = "require" // everything; what the policy accepts without a signature is refused
	Off     Mode = "off"     // nothing
)

// UnmarshalText reads a mode.
func (m *Mode) UnmarshalText(text []byte) error {
	switch Mode(text) {
	case Auto, Require, Off:
		*m = Mode(text)
		return nil
	}
	return fmt.Errorf("want %s, %s or %s", Auto, Require, Off)
}

// MarshalText is the inverse of UnmarshalText.
func (m Mode) MarshalText() ([]byte, error) { return []byte(m), nil }

// A Verifier decides whether images may be used.
type Verifier struct {
	Policy *Policy
	Mode   Mode
	Roots  *Roots
	// Dir is the cache. It remembers what was found to hold, so that a
	// kernel that is there can be used without a network.
	Dir string
}

// Verify decides about an image in the repository: by the digest of its manifest
// and, if it was found through one, of the index. One of them has to be signed.
// It is a *[RefusedError] if the image is not to be used.
func (v *Verifier) Verify(ctx context.Context, from *registry.Repository, digests ...v1.Hash) error {
	if v.Mode == Off {
		return nil
	}
	repository := from.Name.Name()
	rule, err := v.rule(repository, digests[0])
	if err != nil || rule.trust == nil {
		return err
	}
	for _, d := range digests {
		if _, err := os.Stat(v.memory(d, rule.trust)); err == nil {
			return nil
		}
	}
	var faults []*Fault
	for _, d := range digests {
		signer, found, err := v.verify(ctx, from, d, rule.trust)
		if err != nil {
			return &unverifiedError{imageName(repository, d), err}
		}
		if signer != "" {
			return v.remember(d, rule.trust, signer)
		}
		faults = append(faults, found...)
	}
	return rule.refuse(repository, digests[0], faults)
}

// An unverifiedError is an image of which it could not be found out whether it
// is signed.
type unverifiedError struct {
	image string
	cause error
}

func (e *unverifiedError) Error() string { return fmt.Sprintf("verify %q: %v", e.image, e.cause) }
func (e *unverifiedError) Unwrap() error { return e.cause }

// Hint is the cause's, but for a registry that does not answer.
func (e *unverifiedError) Hint() string {
	var silent *registry.Error
	var hinted interface{ Hint() string }
	switch {
	case errors.As(e.cause, &silent) && silent.Status == 0:
		return "an image has to be verified once, while its registry can be reached; -verify off uses it as it is"
	case errors.As(e.cause, &hinted):
		return hinted.Hint()
	}
	return ""
}

// rule is the policy's, which has to say who signs if that is required.
func (v *Verifier) rule(repository string, image v1.Hash) (rule, error) {
	r := v.Policy.rule(repository)
	if r.trust == nil && v.Mode == Require {
		hint := "say so in the policy:\n  - repository: " + repository + "\n    key: FILE.pub"
		return r, &RefusedError{imageName(repository, image), []*Fault{faultf(NoRule, hint, "no rule says who has to sign it")}}
	}
	return r, nil
}

// refuse is the error about an image in which there are these faults, or none
// because nobody has signed it.
func (r rule) refuse(repository string, image v1.Hash, faults []*Fault) error {
	if len(faults) == 0 {
		hint := "if you trust it all the same, use -verify off, or say so in the policy:\n  - repository: " + repository + "\n    accept: true"
		faults = []*Fault{faultf(Unsigned, hint, "it is unsigned, but %s wants it to be signed by %s", r.where, r.trust)}
	}
	// One publisher's signatures all have the same fault.
	var different []*Fault
	for _, f := range faults {
		if !slices.ContainsFunc(different, func(have *Fault) bool { return have.Error() == f.Error() }) {
			different = append(different, f)
		}
	}
	return &RefusedError{imageName(repository, image), different}
}

// verify looks for one signature that holds.
func (v *Verifier) verify(ctx context.Context, from *registry.Repository, image v1.Hash, t Trust) (signer string, faults []*Fault, err error) {
	findings, err := inspect(ctx, from, image, t, v.Roots, PredicateType.vouches, func(f Finding) bool { return f.Err == nil })
	if err != nil {
		return "", nil, err
	}
	for _, f := range findings {
		var fault *Fault
		if f.Err == nil {
			return f.Signer, nil, nil
		}
		if errors.As(f.Err, &fault) {
			faults = append(faults, fault)
		}
	}
	return "", faults, nil
}

// memory is the file that says that the image is signed by one of these. The
// first number is raised when verifying means more than before.
func (v *Verifier) memory(image v1.Hash, t Trust) string {
	who := sha256.Sum256([]byte("1 " + t.String()))
	return filepath.Join(v.Dir, "verified", fmt.Sprintf("%s-%x", image.Hex, who[:8]))
}

func (v *Verifier) remember(image v1.Hash, t Trust, signer string) error {
	content, err := json.Marshal(struct {
		Image, Signer, Trust string
		Time                 time.Time
	}{image.String(), signer, t.String(), time.Now().UTC().Truncate(time.Second)})
	if err != nil {
		return err
	}
	file := v.memory(image, t)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return renameio.WriteFile(file, append(content, '\n'), 0o644)
}
