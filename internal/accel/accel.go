// Package accel decides what runs the guest's instructions: KVM where it
// really works, QEMU's own translator (TCG) otherwise, and never silently.
//
// That /dev/kvm exists and opens proves nothing: hosts exist whose KVM accepts
// every ioctl and then emulates the guest's kernel in software, too slowly and
// too incompletely to boot one. [Probe] therefore runs a guest.
package accel

import (
	"context"
	"fmt"
	"runtime"
)

// An Accel is what executes a guest's instructions. The zero value is [Auto].
type Accel int

const (
	// Auto is KVM where it works and TCG elsewhere.
	Auto Accel = iota
	// KVM is the host's hardware virtualisation.
	KVM
	// TCG is QEMU's binary translator: it works everywhere, at a tenth of
	// the speed or less.
	TCG
)

var names = map[Accel]string{Auto: "auto", KVM: "kvm", TCG: "tcg"}

// String returns "auto", "kvm" or "tcg"; the last two are also QEMU's words.
func (a Accel) String() string { return names[a] }

// Parse reads "auto", "kvm" or "tcg". Its error is a [*ParseError].
func Parse(s string) (Accel, error) {
	for a, name := range names {
		if s == name {
			return a, nil
		}
	}
	return Auto, &ParseError{Input: s}
}

// MarshalText and UnmarshalText let an Accel be a flag and a JSON field.
func (a Accel) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText is [Parse].
func (a *Accel) UnmarshalText(text []byte) (err error) {
	*a, err = Parse(string(text))
	return err
}

// A ParseError is a word that names no accelerator.
type ParseError struct{ Input string }

func (e *ParseError) Error() string {
	return fmt.Sprintf("parse accelerator %q: want auto, kvm or tcg", e.Input)
}

// ExitCode is that of a usage error.
func (e *ParseError) ExitCode() int { return 2 }

// A Request says which accelerator is wanted, and for what.
type Request struct {
	// Want is the user's choice. KVM means KVM or an error.
	Want Accel
	// RequireKVM turns the fallback from Auto to TCG into an error.
	RequireKVM bool
	// GuestArch is the guest's GOARCH; empty means the host's.
	GuestArch string
	// CacheDir keeps the probe's verdict between processes, for as long as
	// this boot of the host lasts; empty means in memory only.
	CacheDir string
}

// Choose turns a request into KVM or TCG. The note is empty, or one sentence
// for the user about a fallback to TCG. An unusable KVM that was asked for is
// an [*UnusableError].
func Choose(ctx context.Context, r Request) (a Accel, note string, err error) {
	if r.Want == TCG {
		if r.RequireKVM {
			return Auto, "", &conflictError{}
		}
		return TCG, "", nil
	}
	result, err := Probe(ctx, Options{GuestArch: r.GuestArch, CacheDir: r.CacheDir})
	if err != nil {
		return Auto, "", err
	}
	return choose(r, result)
}

func choose(r Request, result Result) (Accel, string, error) {
	switch {
	case result.Usable:
		return KVM, "", nil
	case r.Want == KVM || r.RequireKVM:
		return Auto, "", &UnusableError{Result: result}
	}
	return TCG, "no KVM, using TCG, which is much slower: " + result.Detail, nil
}

type conflictError struct{}

func (*conflictError) Error() string {
	return "choose accelerator: tcg is asked for and kvm is required"
}
func (*conflictError) ExitCode() int { return 2 }

// An UnusableError says why KVM, which was asked for, cannot be used.
type UnusableError struct{ Result Result }

func (e *UnusableError) Error() string { return "use kvm: " + e.Result.Detail }

// Hint is the probe's.
func (e *UnusableError) Hint() string { return e.Result.Hint }

func orHostArch(arch string) string {
	if arch == "" {
		return runtime.GOARCH
	}
	return arch
}
