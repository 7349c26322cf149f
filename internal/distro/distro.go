// Package distro fetches packages of Debian and Ubuntu, kernels above all, on
// any machine that has apt: it needs no root, leaves the machine's own apt
// alone, and can take them from any suite.
//
// apt itself does what must be trusted: it downloads the indexes, checks their
// signatures with the distribution's keyring, downloads the packages and
// checks those against the indexes. It does so in a private directory (an apt
// root, see root.go) for each suite.
package distro

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/bpf-vmtest/bpf-vmtest/internal/kver"
)

// Apt fetches packages. Only Dir must be set. It may be used by several
// goroutines and processes at once, also with the same Dir.
type Apt struct {
	// Dir is the cache: indexes, packages and unpacked kernels.
	Dir string
	// Arch is the GOARCH of the packages, by default this machine's.
	Arch string
	// MaxAge is how old an index may be before the mirror is asked for a
	// newer one, by default one day. When that fails the old one is used.
	MaxAge time.Duration
	// Mirrors names, for each distribution, the base URL of the mirror for
	// machines whose own apt has none, such as Debian's for an Ubuntu
	// machine. VMTEST_DEBIAN_MIRROR and VMTEST_UBUNTU_MIRROR in the
	// environment come before what the machine's apt says, this after it.
	Mirrors map[string]string
	// Keyrings names, for each distribution, the keyring file its indexes
	// must be signed with, by default the one its keyring package installs.
	Keyrings map[string]string
	// Progress, when set, is called during downloads, from one goroutine
	// at a time for each call that downloads.
	Progress func(Progress)
	// Warn, when set, is called with what the user should know although
	// the work goes on, such as an index that could not be refreshed.
	Warn func(message string)
}

// Progress is the state of one download.
type Progress struct {
	What        string // the package or index being downloaded
	Done, Total int64  // bytes; Total is 0 while unknown
}

// A Query says which package is wanted. The suites are searched in the order
// that Suites gives and the first that holds a match ends the search; of its
// matches the one with the highest version wins.
type Query struct {
	// Distribution is "debian" or "ubuntu".
	Distribution string
	// Package is the package's name, or a pattern as in path.Match.
	Package string
	// Version is the upstream version: 6.12 is any of that series, 6.12.95
	// only that. The zero Version is any.
	Version kver.Version
	// Suite confines the search to one suite, such as "trixie-backports".
	Suite string
}

// A Package is a verified .deb file on disk.
type Package struct {
	Name    string // such as linux-source-6.12
	Version string // the distribution's, such as 6.12.107-1
	Suite   string // where it was found
	SHA256  string // 64 hexadecimal digits
	Size    int64  // bytes
	Path    string // of the .deb, in the cache
}

// Fetch finds the newest package that matches and returns it, from the cache
// where possible.
func (a *Apt) Fetch(ctx context.Context, q Query) (*Package, error) {
	found, err := a.find(ctx, q, exactly(q.Package))
	if err != nil {
		return nil, err
	}
	return a.download(ctx, found.root, found.entries[0])
}

func (a *Apt) arch() string {
	if a.Arch == "" {
		return runtime.GOARCH
	}
	return a.Arch
}

func (a *Apt) maxAge() time.Duration {
	if a.MaxAge == 0 {
		return 24 * time.Hour
	}
	return a.MaxAge
}

func (a *Apt) progress(p Progress) {
	if a.Progress != nil {
		a.Progress(p)
	}
}

func (a *Apt) warn(message string) {
	if a.Warn != nil {
		a.Warn(message)
	}
}

// path is a path in the cache; its directory is made.
func (a *Apt) path(elem ...string) (string, error) {
	dir, err := filepath.Abs(a.Dir)
	if err != nil {
		return "", err
	}
	p := filepath.Join(append([]string{dir}, elem...)...)
	return p, os.MkdirAll(filepath.Dir(p), 0o755)
}
