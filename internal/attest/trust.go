package attest

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/fulcio/certificate"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/verify"
	"github.com/sigstore/sigstore/pkg/signature"
)

// A Trust is who may speak for an image: [Keys] or [Keyless].
type Trust interface {
	// verify finds out who signed the bundle. It is a *[Fault] if that is
	// nobody who is trusted, or if the signature does not hold.
	verify(ctx context.Context, b *bundle.Bundle, roots *Roots) (signer string, err error)
	// String tells it from any other.
	String() string
}

const replaced = "the bundle has been changed since it was signed: do not use the image, and tell who publishes it"

// Keys are trusted each for itself.
type Keys []PublicKey

func (k Keys) String() string {
	var names []string
	for _, key := range k {
		names = append(names, key.String())
	}
	return "key " + strings.Join(names, " or ")
}

func (k Keys) verify(_ context.Context, b *bundle.Bundle, _ *Roots) (signer string, err error) {
	const hint = "if the publisher has a new key, get it from them and put it into the policy"
	if leaf := leaf(b); leaf != nil {
		return "", faultf(OtherKey, hint, "it is signed by %s, not with %s", identify(leaf), k)
	}
	name := b.GetVerificationMaterial().GetPublicKey().GetHint()
	named := false // which is only said, not proven
	for _, key := range k {
		if err = key.verify(b); err == nil {
			return "key " + key.String(), nil
		}
		named = named || name == key.hint
	}
	switch {
	case named:
		return "", faultf(Tampered, replaced, "the signature is not of what it signs").because(err)
	case name == "":
		return "", faultf(OtherKey, hint, "it is not signed with %s", k)
	}
	return "", faultf(OtherKey, hint, "it is signed with key %s, not with %s", fingerprint(name), k)
}

func (k PublicKey) verify(b *bundle.Bundle) error {
	v, err := signature.LoadDefaultVerifier(k.key)
	if err != nil {
		return err
	}
	material := root.NewTrustedPublicKeyMaterial(func(string) (root.TimeConstrainedVerifier, error) {
		return &forever{v}, nil
	})
	verifier, err := verify.NewVerifier(material, verify.WithNoObserverTimestamps(), verify.WithoutStatementPredicate())
	if err != nil {
		return err
	}
	_, err = verifier.Verify(b, verify.NewPolicy(verify.WithoutArtifactUnsafe(), verify.WithKey()))
	return err
}

// Keyless trusts certificates that Fulcio has given to an identity.
type Keyless struct {
	// Issuer vouched for the identity, such as GitHub for its workflows.
	Issuer string
	// Identity is the subject's name in the certificate. A * in it stands
	// for any number of characters.
	Identity string
	// TrustedRoot is the file of a trusted root, by default that of the
	// public sigstore, which is fetched.
	TrustedRoot string
}

// GitHubActions is the issuer of the identities of GitHub's workflows.
const GitHubActions = "https://token.actions.githubusercontent.com"

func (k Keyless) String() string {
	s := k.Identity + " (" + k.Issuer + ")"
	if k.TrustedRoot != "" {
		s += ", root " + k.TrustedRoot
	}
	return s
}

func (k Keyless) verify(ctx context.Context, b *bundle.Bundle, roots *Roots) (signer string, err error) {
	const hint = "if that is who publishes the image now, say so in the policy"
	cert := leaf(b)
	if cert == nil {
		name := fingerprint(b.GetVerificationMaterial().GetPublicKey().GetHint())
		return "", faultf(OtherIdentity, hint, "it is signed with key %s, not by %s", name, k)
	}
	// By itself first: then it is known what a later error is about.
	if err := verifyEnvelope(b); err != nil {
		return "", faultf(Tampered, replaced, "the signature is not of what it signs").because(err)
	}
	material, err := roots.load(ctx, k.TrustedRoot)
	if err != nil {
		return "", err
	}
	verifier, err := verify.NewVerifier(material, requirements(material)...)
	if err != nil {
		return "", err
	}
	identity, err := verify.NewShortCertificateIdentity(k.Issuer, "", "", globPattern(k.Identity, ".*"))
	if err != nil {
		return "", err
	}
	_, err = verifier.Verify(b, verify.NewPolicy(verify.WithoutArtifactUnsafe(), verify.WithCertificateIdentity(identity)))
	var other *verify.ErrNoMatchingCertificateIdentity
	switch {
	case errors.As(err, &other):
		return "", faultf(OtherIdentity, hint, "it is signed by %s, not by %s", identify(cert), k)
	case err != nil:
		return "", faultf(Untrusted, "either somebody forged the certificate, or the trusted root is not that of its authority, or too old",
			"its certificate, of %s, is not one of the trusted root", identify(cert)).because(err)
	}
	return identify(cert), nil
}

// requirements are what a sigstore with this root does for each signature: it
// enters certificates into a log, and signatures into another, or at least has
// their time certified.
func requirements(m root.TrustedMaterial) []verify.VerifierOption {
	options := []verify.VerifierOption{verify.WithObserverTimestamps(1), verify.WithoutStatementPredicate()}
	if len(m.RekorLogs()) > 0 {
		options = append(options, verify.WithTransparencyLog(1))
	}
	if len(m.CTLogs()) > 0 {
		options = append(options, verify.WithSignedCertificateTimestamps(1))
	}
	return options
}

// leaf is the certificate of who signed the bundle, or nil if a key did.
func leaf(b *bundle.Bundle) *x509.Certificate {
	content, err := b.VerificationContent()
	if err != nil {
		return nil
	}
	return content.Certificate()
}

// verifyEnvelope compares the signature with the certificate beside it, which
// anyone can make.
func verifyEnvelope(b *bundle.Bundle) error {
	content, err := b.VerificationContent()
	if err != nil {
		return err
	}
	signed, err := b.SignatureContent()
	if err != nil {
		return err
	}
	return verify.VerifySignature(signed, content, &root.BaseTrustedMaterial{})
}

// identify is what a certificate says of its holder.
func identify(cert *x509.Certificate) string {
	summary, err := certificate.SummarizeCertificate(cert)
	if err != nil {
		return "a certificate that cannot be read"
	}
	return printable(fmt.Sprintf("%s (%s)", summary.SubjectAlternativeName, summary.Issuer))
}

// forever is a key without a time of validity.
type forever struct{ signature.Verifier }

func (*forever) ValidAtTime(t time.Time) bool { return true }

// globPattern is the regular expression of a pattern in which * stands for what
// star matches, and ** for anything.
func globPattern(glob, star string) string {
	var b strings.Builder
	for i, part := range strings.Split(glob, "**") {
		if i > 0 {
			b.WriteString(".*")
		}
		for j, literal := range strings.Split(part, "*") {
			if j > 0 {
				b.WriteString(star)
			}
			b.WriteString(regexp.QuoteMeta(literal))
		}
	}
	return "^" + b.String() + "$"
}
