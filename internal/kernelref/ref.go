// Package kernelref is the one grammar in which kernels are named, in flags,
// files and the Action's inputs.
//
//	6.12  6.12.94  7.3-rc  7.3-rc7  stable  mainline  longterm  next
//	                        a tag in the default repository
//	6.12-debug  6.12.94-20261121  6.12.94-20261121-debug  stable-nobtf
//	                        the same, of a flavour, and of one build
//	HOST/REPOSITORY:TAG     an image in a registry; HOST/REPOSITORY@DIGEST and
//	                        HOST/REPOSITORY:TAG@DIGEST pin it
//	oci:DIR                 the only kernel in an OCI layout on disk;
//	                        oci:DIR:TAG, oci:DIR@DIGEST, oci:DIR:TAG@DIGEST name one
//	debian:6.12             the distribution's newest kernel of that series, or of
//	                        exactly that version (debian:6.12.94); ubuntu: likewise
//	debian:6.12@SUITE       the same from that suite only
//	debian:SUITE            the newest kernel of the suite
//	/PATH  ./PATH  ../PATH  a kernel image file, or a built kernel tree
//
// A DIGEST is sha256: and 64 hexadecimal digits. A DIR whose last element holds
// a colon needs a TAG or DIGEST after it.
package kernelref

import (
	"github.com/bpf-vmtest/bpf-vmtest/internal/kver"
)

// Ref is a parsed reference. It is comparable. The zero Ref names no kernel.
type Ref struct {
	text   string
	source Source
}

// String is the reference as it was written.
func (r Ref) String() string { return r.text }

// Source is where the kernel comes from: a Registry, Layout, Distribution or
// Path.
func (r Ref) Source() Source { return r.source }

// Source is one of this package's source types.
type Source interface{ isSource() }

// Registry is an image in a registry. Tag or Digest, or both, are set; the
// digest decides.
type Registry struct {
	Repository string // with the host: ghcr.io/org/kernels
	Tag        string
	Digest     string // sha256:…
}

// Layout is an image in an OCI layout on disk. Neither Tag nor Digest need be
// set; then the layout must hold only one kernel.
type Layout struct {
	Dir    string // as written
	Tag    string
	Digest string // sha256:…
}

// Distribution is a distribution's kernel package. Version or Suite, or both,
// are set.
type Distribution struct {
	Name    string       // debian or ubuntu
	Version kver.Version // a series, or an exact version when it has a patch level
	Suite   string       // such as trixie-backports
}

// String is the shortest reference to the same.
func (d Distribution) String() string {
	switch {
	case d.Version == kver.Version{}:
		return d.Name + ":" + d.Suite
	case d.Suite == "":
		return d.Name + ":" + d.Version.String()
	}
	return d.Name + ":" + d.Version.String() + "@" + d.Suite
}

// Path is a kernel image or a built tree on disk.
type Path struct {
	Path string // as written
}

func (Registry) isSource()     {}
func (Layout) isSource()       {}
func (Distribution) isSource() {}
func (Path) isSource()         {}

// Error is a reference that cannot be parsed.
type Error struct {
	Input string
	Cause error
}

func (e *Error) Error() string {
	return "parse kernel reference " + quote(e.Input) + ": " + e.Cause.Error()
}

func (e *Error) Unwrap() error { return e.Cause }

// ExitCode says that the user wrote something wrong.
func (e *Error) ExitCode() int { return 2 }

// Hint lists what is accepted.
func (e *Error) Hint() string {
	return "a kernel is a version (6.12, 6.12-debug), stable, mainline, longterm, next, an image (ghcr.io/org/kernels:6.12), " +
		"oci:DIR[:TAG], debian:6.12, ubuntu:6.8, or a path that starts with / or ./"
}
