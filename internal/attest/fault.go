package attest

import (
	"fmt"
	"strings"
	"unicode"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// A Kind of fault tells why an image is refused.
type Kind string

const (
	Unsigned      Kind = "unsigned"       // nobody has signed it
	OtherKey      Kind = "other key"      // signed, but not with a key of the policy's
	OtherIdentity Kind = "other identity" // signed, but not by who the policy names
	OtherDigest   Kind = "other digest"   // what is signed is about another image
	Tampered      Kind = "tampered"       // the signature is not of what it signs
	Untrusted     Kind = "untrusted"      // the certificate is not of the trusted root
	Unreadable    Kind = "unreadable"     // the registry does not have what it lists
	NoRoot        Kind = "no root"        // there is no trusted root to compare with
	NoRule        Kind = "no rule"        // nothing says who has to sign
)

// A Fault is why one bundle does not vouch for an image, or why none does.
type Fault struct {
	Kind  Kind
	msg   string
	hint  string
	cause error
}

func (f *Fault) Error() string {
	if f.cause != nil {
		return printable(f.msg + ": " + f.cause.Error())
	}
	return printable(f.msg)
}

func (f *Fault) Unwrap() error { return f.cause }

// Hint says what to do.
func (f *Fault) Hint() string { return f.hint }

func faultf(kind Kind, hint, format string, args ...any) *Fault {
	return &Fault{Kind: kind, hint: hint, msg: fmt.Sprintf(format, args...)}
}

// because adds a library's error.
func (f *Fault) because(err error) *Fault {
	f.cause = err
	return f
}

// A RefusedError says that an image is not to be used.
type RefusedError struct {
	Image string // REPOSITORY@DIGEST
	// Faults are those of the bundles attached to it, or one of the image's
	// own.
	Faults []*Fault
}

func (e *RefusedError) Error() string {
	if len(e.Faults) == 1 {
		return fmt.Sprintf("verify %q: %v", e.Image, e.Faults[0])
	}
	var b strings.Builder
	fmt.Fprintf(&b, "verify %q: none of %d signatures holds:", e.Image, len(e.Faults))
	for _, f := range e.Faults {
		b.WriteString("\n\t" + f.Error())
	}
	return b.String()
}

// Hint is that of the first fault that has one.
func (e *RefusedError) Hint() string {
	for _, f := range e.Faults {
		if f.hint != "" {
			return f.hint
		}
	}
	return ""
}

// printable is text that came with an image, for a terminal, which would obey
// some characters.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}

func imageName(repository string, digest v1.Hash) string { return repository + "@" + digest.String() }
