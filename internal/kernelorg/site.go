// Package kernelorg fetches Linux releases from kernel.org, or from a mirror of
// it. A release is believed when its checksum is one that kernel.org's
// autosigner has signed, or one that the caller has pinned; with both, they
// have to agree.
package kernelorg

import (
	"cmp"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/bpf-vmtest/bpf-vmtest/internal/kver"
)

// Autosigner is the fingerprint of the key that signs the checksums of
// everything in a directory of kernel.org: "Kernel.org checksum autosigner
// <autosigner@kernel.org>", of 2013.
const Autosigner = "B8868C80BA62A1FFFAF5FDA9632D3A06589DA6B1"

// A Site is kernel.org as this machine sees it. Only Dir must be set. It may be
// used by several goroutines and processes at once, also with the same Dir.
type Site struct {
	// Dir is the cache: tarballs, checksums and the autosigner's key.
	Dir string
	// BaseURL is that of a mirror, to which all paths are appended, on
	// whichever of kernel.org's hosts they are; by default
	// VMTEST_KERNEL_MIRROR in the environment, or kernel.org itself.
	BaseURL string
	// Keyring is an OpenPGP file that holds the autosigner's key, by default
	// VMTEST_KERNEL_KEYRING in the environment. Without it the key is asked
	// for at kernel.org, which publishes it, and kept.
	Keyring string
	// Fingerprint is that of the key that must have signed, in upper case
	// hexadecimal digits; by default [Autosigner].
	Fingerprint string
	// Client talks to the site, by default as Go does.
	Client *http.Client
	// Progress, when set, is called during downloads.
	Progress func(Progress)

	// pause is how long to wait before trying again, by default a second;
	// later pauses are longer. silence is how long a server may say nothing,
	// by default a minute.
	pause, silence time.Duration
}

// Progress is the state of one download.
type Progress struct {
	What        string // the file being downloaded
	Done, Total int64  // bytes; Total is 0 while unknown
}

// kernel.org's hosts, and what is on them. A mirror that has the first path
// only will do for releases.
const (
	tarballHost = "cdn.kernel.org" // /pub/linux/kernel/vN.x/
	gitHost     = "git.kernel.org" // /torvalds/t/
	webHost     = "www.kernel.org" // /releases.json
	keyHost     = "kernel.org"     // /.well-known/openpgpkey/
)

func (s *Site) url(host, path string) string {
	if base := cmp.Or(s.BaseURL, os.Getenv("VMTEST_KERNEL_MIRROR")); base != "" {
		return strings.TrimSuffix(base, "/") + path
	}
	return "https://" + host + path
}

func (s *Site) keyring() string     { return cmp.Or(s.Keyring, os.Getenv("VMTEST_KERNEL_KEYRING")) }
func (s *Site) fingerprint() string { return cmp.Or(s.Fingerprint, Autosigner) }

func (s *Site) client() *http.Client {
	if s.Client != nil {
		return s.Client
	}
	return http.DefaultClient
}

// path is a path in the cache; its directory is made.
func (s *Site) path(elem ...string) (string, error) {
	dir, err := filepath.Abs(s.Dir)
	if err != nil {
		return "", err
	}
	p := filepath.Join(append([]string{dir}, elem...)...)
	return p, os.MkdirAll(filepath.Dir(p), 0o755)
}

// directory is where releases of a version are: v6.x.
func directory(v kver.Version) string { return fmt.Sprintf("v%d.x", v.Major) }

// tarballName is the name of a release's file. Those of candidates are made by
// the git server, which cannot compress with xz.
func tarballName(v kver.Version) string {
	if v.RC > 0 {
		return "linux-" + v.String() + ".tar.gz"
	}
	return "linux-" + v.String() + ".tar.xz"
}

func (s *Site) tarballURL(v kver.Version) string {
	if v.RC > 0 {
		return s.url(gitHost, "/torvalds/t/"+tarballName(v))
	}
	return s.url(tarballHost, "/pub/linux/kernel/"+directory(v)+"/"+tarballName(v))
}
