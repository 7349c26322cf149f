// Package workspace is what a guest is given of the host: the user's code, Go's
// toolchain and caches, and an environment without secrets.
package workspace

import (
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/bpf-vmtest/bpf-vmtest/internal/gotest"
	"github.com/bpf-vmtest/bpf-vmtest/internal/guest"
)

// A Workspace is the part of the host that a command or a test needs.
type Workspace struct {
	Go       gotest.Environment
	Arch     string   // GOARCH of the guest; empty for this machine's
	Dirs     []string // directories of packages and programs; their repositories are shared
	Mounts   []guest.Share
	Hermetic bool     // without the host's programs and libraries
	Env      []string // more variables, NAME=VALUE
}

// Layout is what a guest sees: the repositories, the toolchain, the module cache
// and the build cache at their own paths, for go's caches hold absolute ones. Each
// guest has a host name of its own.
func (w Workspace) Layout() guest.Layout {
	l := guest.Layout{Hostname: hostname()}
	dirs := []string{w.Go.GOMODCACHE}
	if !w.foreign() {
		dirs = append(dirs, w.Go.GOROOT, w.Go.GOCACHE)
	}
	for _, dir := range w.Dirs {
		dirs = append(dirs, Repository(dir))
		l.Dirs = append(l.Dirs, dir)
	}
	if work := w.Go.GOWORK; work != "" && work != "off" {
		dirs = append(dirs, Repository(filepath.Dir(work)))
	}
	for i, dir := range dirs {
		if dir != "" && isDir(dir) {
			l.Shares = append(l.Shares, guest.Share{Path: dir})
			if !slices.Contains(dirs[:i], dir) {
				l.Masks = append(l.Masks, gitConfigs(dir)...)
			}
		}
	}
	l.Shares = append(l.Shares, w.Mounts...)
	switch {
	case w.Hermetic:
		l.AddModprobe()
	case w.foreign():
		l.AddModprobe()
		l.AddToolbox(w.Arch)
	default:
		l.AddSystem()
	}
	l.AddIdentity()
	return l
}

// hostname is a machine's own name.
func hostname() string { return "vmtest-" + strings.ToLower(rand.Text()[:8]) }

// foreign reports whether programs of this machine are of no use to the guest,
// Go's toolchain and what it caches among them.
func (w Workspace) foreign() bool { return w.Arch != "" && w.Arch != runtime.GOARCH }

// Repository is the checkout that holds a directory, because tests read what is
// beside their module; or the module alone, or else the directory alone, where
// there is no checkout. It is empty where that would share the home directory,
// or more.
func Repository(dir string) string {
	home, _ := os.UserHomeDir()
	found := dir
	for d, module := dir, false; !holds(d, home); d = filepath.Dir(d) {
		if !module && exists(filepath.Join(d, "go.mod")) {
			found, module = d, true
		}
		if exists(filepath.Join(d, ".git")) {
			return d
		}
	}
	if holds(found, home) {
		return ""
	}
	return found
}

// holds reports whether dir is the root, the home directory or above it.
func holds(dir, home string) bool {
	rel, err := filepath.Rel(dir, home)
	return dir == "/" || home != "" && home != "/" && err == nil && rel != ".." && !strings.HasPrefix(rel, "../")
}

// A PrivateError says that a package is in a directory that no guest is shown.
type PrivateError struct{ Dir string }

func (e *PrivateError) Error() string {
	return fmt.Sprintf("share %q: its module is the home directory, or holds it", e.Dir)
}

// Hint says how to go on.
func (e *PrivateError) Hint() string {
	return "move the module into a directory of its own, or show all of it with -mount"
}

// ExitCode is that of a usage error.
func (e *PrivateError) ExitCode() int { return 2 }

// CheckShared makes sure that a guest will see each of the directories and what
// is in it. The error is a *PrivateError.
func (w Workspace) CheckShared() error {
	shares := w.Layout().Shares
	for _, dir := range w.Dirs {
		if !slices.ContainsFunc(shares, func(s guest.Share) bool { return holdsPath(s, dir) }) {
			return &PrivateError{Dir: dir}
		}
	}
	return nil
}

func holdsPath(s guest.Share, path string) bool {
	rel, err := filepath.Rel(s.Path, path)
	return err == nil && (s.Target == "" || s.Target == s.Path) && rel != ".." && !strings.HasPrefix(rel, "../")
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// passed are the host's variables that tests may depend on and that hold no
// secrets. Everything else stays behind.
var passed = []string{
	"CGO_ENABLED", "GOARCH", "GOAMD64", "GOARM64", "GODEBUG", "GOEXPERIMENT", "GOFIPS140", "GOGC",
	"GOMAXPROCS", "GOMEMLIMIT", "GORACE", "GOTRACEBACK", "LANG", "LC_ALL", "TZ", "CI",
}

// Environ is the whole environment of a command on a kernel of that name and
// release.
func (w Workspace) Environ(kernel, release string) []string {
	if w.foreign() {
		w.Go.GOROOT, w.Go.GOCACHE = "", ""
	}
	env := []string{
		"PATH=" + guest.Path(w.Go.GOROOT),
		"HOME=/root", "USER=root", "LOGNAME=root", "SHELL=/bin/sh",
		"GOENV=off", "GOPROXY=off", "GOSUMDB=off", "GOTOOLCHAIN=local",
		"GOFLAGS=" + offlineFlags(w.Go.GOFLAGS),
		"VMTEST=1", "VMTEST_KERNEL=" + kernel, "VMTEST_RELEASE=" + release,
	}
	for _, v := range []struct{ name, value string }{
		{"GOROOT", w.Go.GOROOT}, {"GOPATH", w.Go.GOPATH}, {"GOMODCACHE", w.Go.GOMODCACHE},
		{"GOCACHE", w.Go.GOCACHE}, {"GOWORK", w.Go.GOWORK},
	} {
		if v.value != "" {
			env = append(env, v.name+"="+v.value)
		}
	}
	for _, name := range passed {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return append(env, w.Env...)
}

// offlineFlags is the user's GOFLAGS with a -mod that never reaches for the
// network: vendor stays, everything else becomes readonly. Go does not ask git
// about what it compiles, unless the user wants it to: root in the guest does
// not own the repository, and git would refuse.
func offlineFlags(flags string) string {
	kept := []string{}
	mod, vcs := "-mod=readonly", "-buildvcs=false"
	for _, f := range strings.Fields(flags) {
		name, _, _ := strings.Cut(strings.TrimLeft(f, "-"), "=")
		switch {
		case f == "-mod=vendor" || f == "--mod=vendor":
			mod = f
		case name == "mod":
		case name == "buildvcs":
			vcs = f
		default:
			kept = append(kept, f)
		}
	}
	return strings.Join(append([]string{mod, vcs}, kept...), " ")
}
