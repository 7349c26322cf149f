package kernelorg

import (
	"fmt"
	"net/http"
	"strings"
)

// A StatusError is a server that answered, but not with what was asked for.
type StatusError struct {
	URL    string
	Status int // HTTP's
}

func (e *StatusError) Error() string {
	return fmt.Sprintf("fetch %q: the server says %d %s", e.URL, e.Status, http.StatusText(e.Status))
}

// Hint says what is likely wrong.
func (e *StatusError) Hint() string {
	if e.Status == http.StatusNotFound {
		return "that release does not exist, or the mirror in VMTEST_KERNEL_MIRROR does not have it"
	}
	return "try again later, or name another mirror in VMTEST_KERNEL_MIRROR"
}

// An UnreachableError is a server that did not answer, or not to the end.
type UnreachableError struct {
	URL   string
	Cause error
}

func (e *UnreachableError) Error() string { return fmt.Sprintf("fetch %q: %v", e.URL, e.Cause) }
func (e *UnreachableError) Unwrap() error { return e.Cause }

// Hint says where else it may be had.
func (e *UnreachableError) Hint() string {
	return "see whether this machine has a network, or name another mirror in VMTEST_KERNEL_MIRROR"
}

// A TruncatedError is a download that ended too early, again and again.
type TruncatedError struct {
	URL       string
	Got, Want int64 // bytes
}

func (e *TruncatedError) Error() string {
	if e.Want <= 0 { // the server did not say
		return fmt.Sprintf("fetch %q: the connection ended early, after %d bytes", e.URL, e.Got)
	}
	return fmt.Sprintf("fetch %q: the connection ended after %d of %d bytes", e.URL, e.Got, e.Want)
}

// Hint says that the next attempt goes on from there.
func (e *TruncatedError) Hint() string {
	return "run the command again: what has arrived is kept; or name another mirror in VMTEST_KERNEL_MIRROR"
}

// A ChecksumError is a tarball that is not the one asked for.
type ChecksumError struct {
	Name, URL string
	Got, Want string // SHA-256 in hexadecimal
	By        string // who says what it should be
}

func (e *ChecksumError) Error() string {
	return fmt.Sprintf("check %s: the SHA-256 of what %s sent is %s, %s says %s", e.Name, e.URL, e.Got, e.By, e.Want)
}

// Hint says whom not to believe.
func (e *ChecksumError) Hint() string {
	return "nothing of it was kept; if it stays so, the server or something on the way to it alters files: name another mirror in VMTEST_KERNEL_MIRROR"
}

// A DisagreementError is a pinned checksum other than the signed one.
type DisagreementError struct{ Name, Pinned, Signed string }

func (e *DisagreementError) Error() string {
	return fmt.Sprintf("check %s: the catalogue pins SHA-256 %s, kernel.org has signed %s", e.Name, e.Pinned, e.Signed)
}

// Hint says how to mend the catalogue.
func (e *DisagreementError) Hint() string {
	return "kernel.org never changes a release: correct the catalogue, or let `vmtest kernel update` do it"
}

// A MissingError is a release whose checksum kernel.org has not signed.
type MissingError struct{ Name, URL string }

func (e *MissingError) Error() string {
	return fmt.Sprintf("find checksum of %s: it is not in %s", e.Name, e.URL)
}

// Hint says why that may be.
func (e *MissingError) Hint() string {
	return "there is no such release, or it is so new that the mirror does not have it yet; see https://www.kernel.org/"
}

// An UnsignedError is a release candidate that nobody vouches for.
type UnsignedError struct{ Name string }

func (e *UnsignedError) Error() string {
	return fmt.Sprintf("check %s: kernel.org signs no release candidates, and no checksum of it is pinned", e.Name)
}

// Hint says how to pin one.
func (e *UnsignedError) Hint() string {
	return "write its sha256 into the catalogue, or let `vmtest kernel update` do it"
}

// A SignatureError is a list of checksums that must not be believed.
type SignatureError struct {
	URL   string
	Cause error
}

func (e *SignatureError) Error() string {
	return fmt.Sprintf("verify signature of %s: %v", e.URL, e.Cause)
}
func (e *SignatureError) Unwrap() error { return e.Cause }

// Hint says whom not to believe.
func (e *SignatureError) Hint() string {
	return "the server, or something on the way to it, has altered the file: name another mirror in VMTEST_KERNEL_MIRROR"
}

// A ForeignKeyError is a signature by somebody else than kernel.org.
type ForeignKeyError struct {
	KeyID string // of the signer, 16 hexadecimal digits; empty if not said
	Want  string // fingerprint
}

func (e *ForeignKeyError) Error() string {
	by := "an unknown key"
	if e.KeyID != "" {
		by = "key " + e.KeyID
	}
	return fmt.Sprintf("signed by %s, not by kernel.org's %s", by, e.Want)
}

// A KeyError is a key that is not the one kernel.org signs with.
type KeyError struct {
	Source string   // a file or a URL
	Found  []string // fingerprints
	Want   string
	Cause  error // why none could be read, or nil
}

func (e *KeyError) Error() string {
	switch {
	case e.Cause != nil:
		return fmt.Sprintf("read keys of %s: %v", e.Source, e.Cause)
	case len(e.Found) == 0:
		return fmt.Sprintf("find key %s in %s: it holds none", e.Want, e.Source)
	}
	return fmt.Sprintf("find key %s in %s: it holds %s", e.Want, e.Source, strings.Join(e.Found, ", "))
}
func (e *KeyError) Unwrap() error { return e.Cause }

// Hint says how to get the key.
func (e *KeyError) Hint() string {
	return "`gpg --locate-keys autosigner@kernel.org && gpg --export " + e.Want + " >FILE` gets the key; name it with -keyring FILE or in VMTEST_KERNEL_KEYRING"
}
