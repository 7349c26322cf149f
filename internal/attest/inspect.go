package attest

import (
	"context"
	"errors"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/bpf-vmtest/bpf-vmtest/internal/registry"
)

// A Finding is what came of checking one bundle that is attached to an image.
type Finding struct {
	Predicate PredicateType
	// Err is why the bundle does not hold, a *[Fault], or nil.
	Err error
	// Signer and Statement are set if it does.
	Signer    string
	Statement *Statement
}

// Inspect checks every bundle attached to an image. The error is for what kept
// it from doing so.
func Inspect(ctx context.Context, from *registry.Repository, image v1.Hash, t Trust, roots *Roots) ([]Finding, error) {
	return inspect(ctx, from, image, t, roots, func(PredicateType) bool { return true }, func(Finding) bool { return false })
}

// inspect checks the bundles that are wanted until one is enough.
func inspect(ctx context.Context, from *registry.Repository, image v1.Hash, t Trust, roots *Roots, want func(PredicateType) bool, enough func(Finding) bool) ([]Finding, error) {
	var findings []Finding
	for a, err := range attestations(ctx, from, image, want) {
		f := Finding{Err: err}
		if err == nil {
			f = check(ctx, a, image, t, roots)
		}
		var fault *Fault
		if f.Err != nil && (!errors.As(f.Err, &fault) || fault.Kind == NoRoot) {
			return findings, f.Err
		}
		findings = append(findings, f)
		if enough(f) {
			break
		}
	}
	return findings, nil
}

// check finds out whether a bundle was made by who is trusted, about the image.
func check(ctx context.Context, a *attestation, image v1.Hash, t Trust, roots *Roots) Finding {
	f := Finding{Predicate: PredicateType(printable(string(a.statement.PredicateType)))}
	if f.Signer, f.Err = t.verify(ctx, a.Bundle, roots); f.Err != nil {
		return f
	}
	if !a.statement.about(image) {
		f.Err = faultf(OtherDigest, "somebody has attached the signature of another image to this one: do not use it, and tell who publishes it",
			"it is signed by %s, but about %s", f.Signer, a.statement.subjects())
		f.Signer = ""
		return f
	}
	f.Statement = a.statement
	return f
}
