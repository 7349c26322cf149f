// Package blocklist says which tests not to run, or to expect to fail, on
// which kernels, and why.
//
// Two kinds of files are read: .vmtest/blocklist.yaml, described by [Schema],
// and the DENYLIST and ALLOWLIST files kernel people keep. docs/blocklist.md
// is the manual of both.
package blocklist

import (
	"fmt"
	"time"

	"github.com/bpf-vmtest/bpf-vmtest/internal/configfile"
	"github.com/bpf-vmtest/bpf-vmtest/internal/kver"
)

// A Kernel is what an entry's constraints are held against.
type Kernel struct {
	// Name is the kernel's reference as the user wrote it, like debian:6.12.
	Name string
	// Version is the kernel's version. No range holds the zero Version.
	Version kver.Version
	// Arch is a GOARCH. Empty matches entries for any architecture only.
	Arch string
}

// Expect is what should become of a blocked test.
type Expect string

const (
	Skip  Expect = "skip"  // it is not run
	Fail  Expect = "fail"  // it is run and has to fail
	Flaky Expect = "flaky" // it is run and may fail
)

// Places in a blocklist, and what is wrong there.
type (
	Pos    = configfile.Pos
	Error  = configfile.Error
	Errors = configfile.Errors
)

// An Entry blocks the tests of one pattern. A list of tests under one reason
// in the file is one Entry each.
type Entry struct {
	Pos
	Reason string
	Issue  string // a URL or another name of an issue, or empty
	// Expires is the last day the entry is meant to live, at 0:00 UTC, or
	// the zero time.
	Expires time.Time
	Expect  Expect

	kernels  []kernelPattern // any of them; none is every kernel
	archs    []string        // any of them; none is every one
	packages packagePattern
	test     testPattern // empty is every test of the package
	splat    splatPattern
}

// Test is the entry's test pattern as it was written, or empty where it means
// every test of its packages.
func (e Entry) Test() string { return e.test.text }

// Package is the entry's package pattern as it was written, or empty where it
// means every package.
func (e Entry) Package() string { return e.packages.text }

// what names the entry's subject in a message.
func (e Entry) what() string {
	switch {
	case e.splat.text != "":
		return fmt.Sprintf("splat %q", e.splat.text)
	case e.test.text == "":
		return fmt.Sprintf("package %q", e.packages.text)
	case e.packages.text == "":
		return fmt.Sprintf("test %q", e.test.text)
	default:
		return fmt.Sprintf("test %q of package %q", e.test.text, e.packages.text)
	}
}

func (e Entry) appliesTo(k Kernel) bool {
	return matchAny(e.archs, func(a string) bool { return a == k.Arch }) &&
		matchAny(e.kernels, func(p kernelPattern) bool { return p.match(k) })
}

// expired reports whether the entry's last day is over at the time now.
func (e Entry) expired(now time.Time) bool {
	return !e.Expires.IsZero() && !now.Before(e.Expires.AddDate(0, 0, 1))
}

func matchAny[T any](list []T, match func(T) bool) bool {
	for _, x := range list {
		if match(x) {
			return true
		}
	}
	return len(list) == 0
}

// A List is what all files of a repository say. A nil List blocks nothing.
type List struct {
	// Entries are the blocking entries in the order of the files.
	Entries []Entry
	// Allowed are the only tests to run on a kernel that one of them applies to.
	Allowed []Entry
	// Splats allow faults of kernels.
	Splats []Entry
	// Ignored names files that look like a DENYLIST or an ALLOWLIST and were
	// not read, with the reason.
	Ignored []string
}
