package builder

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/bpf-vmtest/bpf-vmtest/internal/cache"
	"github.com/bpf-vmtest/bpf-vmtest/internal/distro"
	"github.com/bpf-vmtest/bpf-vmtest/internal/kver"
)

// A Source is where a kernel's source comes from: [Debian], [Tarball],
// [Directory] or [Git].
type Source interface {
	open(ctx context.Context, o Options) (*tree, error)
}

// A tree is a kernel's source on disk, locked against other builds.
type tree struct {
	dir    string
	name   string // for people; it is in the artifact and must not hold a path
	digest string // of the content, with its kind: sha256:…, git-tree:…
	// revision is the commit, where the source came out of git.
	revision string
	// builds is where build directories are made. For a tree in the cache it
	// is the tree itself: only then are all paths that reach the compiler
	// relative, and ccache's objects good for any cache and any source.
	builds string
	unlock func()
}

func (t *tree) close() {
	if t.unlock != nil {
		t.unlock()
	}
}

// Debian is the linux-source package of a series, fetched and verified by apt.
type Debian struct {
	Series kver.Version // such as 6.12
	Suite  string       // confines the search, such as bookworm-backports
	SHA256 string       // of the package, in hexadecimal; empty for any that apt has verified
}

// A PinError is a package that is not the one that was pinned.
type PinError struct{ Package, Version, Got, Want string }

func (e *PinError) Error() string {
	return fmt.Sprintf("check package %s %s: its SHA-256 is %s, the catalogue pins %s", e.Package, e.Version, e.Got, e.Want)
}

// Hint says that Debian moves on.
func (e *PinError) Hint() string {
	return "Debian has another version by now: pin that one, or pin none, since apt verifies what it fetches"
}

func (d Debian) open(ctx context.Context, o Options) (*tree, error) {
	pkg, err := o.apt().Fetch(ctx, distro.Query{
		Distribution: "debian",
		Package:      "linux-source-" + d.Series.Series().String(),
		Version:      d.Series,
		Suite:        d.Suite,
	})
	if err != nil {
		return nil, fmt.Errorf("fetch source of linux %s: %w", d.Series, err)
	}
	if d.SHA256 != "" && d.SHA256 != pkg.SHA256 {
		return nil, &PinError{Package: pkg.Name, Version: pkg.Version, Got: pkg.SHA256, Want: d.SHA256}
	}
	return unpack(ctx, o, archive{
		name:   pkg.Name + " " + pkg.Version,
		digest: "sha256:" + pkg.SHA256,
		extract: func(ctx context.Context, dir string) error {
			return extractDebian(ctx, pkg.Path, pkg.Name, dir)
		},
	})
}

// apt fetches Debian's packages into the cache.
func (o Options) apt() *distro.Apt {
	return &distro.Apt{Dir: o.Dir, Progress: func(p distro.Progress) {
		o.Progress(Progress{Phase: "fetch " + p.What, Done: p.Done, Total: p.Total, Unit: "bytes"})
	}}
}

// extractDebian takes the tarball out of the package, and the source out of
// the tarball.
func extractDebian(ctx context.Context, deb, name, dir string) error {
	outer := dir + ".deb"
	defer os.RemoveAll(outer)
	if err := run(exec.CommandContext(ctx, "dpkg-deb", "--extract", deb, outer)); err != nil {
		return err
	}
	return extractTar(ctx, filepath.Join(outer, "usr/src", name+".tar.xz"), dir)
}

// Tarball is a tar file, compressed in any way tar knows, with the source in
// its single top directory, as kernel.org publishes them.
type Tarball struct {
	Path string
}

func (t Tarball) open(ctx context.Context, o Options) (*tree, error) {
	digest, err := cache.Digest(t.Path)
	if err != nil {
		return nil, fmt.Errorf("read source %q: %w", t.Path, err)
	}
	return unpack(ctx, o, archive{
		name:    filepath.Base(t.Path),
		digest:  "sha256:" + digest,
		extract: func(ctx context.Context, dir string) error { return extractTar(ctx, t.Path, dir) },
	})
}

func extractTar(ctx context.Context, tarball, dir string) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	return run(exec.CommandContext(ctx, "tar", "--extract", "--file", tarball, "--directory", dir, "--strip-components=1", "--no-same-owner"))
}

// Git is a commit of a git repository on disk; the repository's working tree
// plays no part.
type Git struct {
	Dir string
	Rev string // anything git knows as a commit, by default HEAD
}

func (g Git) open(ctx context.Context, o Options) (*tree, error) {
	rev := g.Rev
	if rev == "" {
		rev = "HEAD"
	}
	commit, err := g.resolve(ctx, rev+"^{commit}")
	if err != nil {
		return nil, err
	}
	content, err := g.resolve(ctx, rev+"^{tree}")
	if err != nil {
		return nil, err
	}
	return unpack(ctx, o, archive{
		name:     fmt.Sprintf("commit %.12s", commit),
		digest:   "git-tree:" + content,
		revision: commit,
		extract: func(ctx context.Context, dir string) error {
			tarball := dir + ".tar"
			defer os.Remove(tarball)
			cmd := exec.CommandContext(ctx, "git", "-C", g.Dir, "archive", "--format=tar", "--prefix=linux/", "--output", tarball, commit)
			if err := run(cmd); err != nil {
				return err
			}
			return extractTar(ctx, tarball, dir)
		},
	})
}

func (g Git) resolve(ctx context.Context, rev string) (string, error) {
	out, err := output(exec.CommandContext(ctx, "git", "-C", g.Dir, "rev-parse", "--verify", "--end-of-options", rev))
	if err != nil {
		return "", fmt.Errorf("read git repository %q: %w", g.Dir, err)
	}
	return strings.TrimSpace(out), nil
}

// Directory is a source tree of the user's. It is read, never written to.
type Directory struct {
	Path string
}

// A DirtyTreeError is a directory in which a kernel has been configured or
// built: the kernel's makefile refuses to build it into another place.
type DirtyTreeError struct{ Path, Found string }

func (e *DirtyTreeError) Error() string {
	return fmt.Sprintf("build directory %q: it holds %s of a build in place", e.Path, e.Found)
}

// Hint says how to get a clean tree.
func (e *DirtyTreeError) Hint() string {
	return "run make mrproper there, or build a commit of it from git"
}

// ExitCode marks a usage error.
func (e *DirtyTreeError) ExitCode() int { return 2 }

func (d Directory) open(ctx context.Context, o Options) (*tree, error) {
	dir, err := realPath(d.Path)
	if err != nil {
		return nil, fmt.Errorf("read source %q: %w", d.Path, err)
	}
	// What the makefile's own check looks for.
	for _, leftover := range []string{".config", "include/config", "arch/x86/include/generated", "arch/arm64/include/generated"} {
		if _, err := os.Stat(filepath.Join(dir, leftover)); err == nil {
			return nil, &DirtyTreeError{Path: d.Path, Found: leftover}
		}
	}
	o.Progress(Progress{Phase: "read source"})
	digest, err := hashTree(ctx, dir)
	if err != nil {
		return nil, fmt.Errorf("read source %q: %w", d.Path, err)
	}
	entry := filepath.Join(o.Dir, "sources", "sha256-"+digest)
	builds := entry + ".builds"
	if err := os.MkdirAll(builds, 0o755); err != nil {
		return nil, fmt.Errorf("make source cache: %w", err)
	}
	if err := cache.Hold(entry); err != nil {
		return nil, err
	}
	unlock, err := lockTree(ctx, o, builds)
	if err != nil {
		return nil, err
	}
	return &tree{dir: dir, name: "a directory", digest: "sha256:" + digest, builds: builds, unlock: unlock}, nil
}

// hashTree is the digest of the names, kinds and contents of all files below
// dir, git's own left out: some 10 s for a kernel.
func hashTree(ctx context.Context, dir string) (string, error) {
	h := sha256.New()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err := errors.Join(err, ctx.Err()); err != nil {
			return err
		}
		if d.IsDir() && d.Name() == ".git" {
			return fs.SkipDir
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		var content string
		switch {
		case d.Type().IsRegular():
			content, err = cache.Digest(path)
		case d.Type() == fs.ModeSymlink:
			content, err = os.Readlink(path)
		case d.IsDir():
			return nil
		default:
			err = fmt.Errorf("%s is neither a file nor a directory nor a link", rel)
		}
		info, infoErr := d.Info()
		if err := errors.Join(err, infoErr); err != nil {
			return err
		}
		fmt.Fprintf(h, "%q %v %q\n", rel, info.Mode()&(fs.ModeType|0o111), content)
		return nil
	})
	return hex.EncodeToString(h.Sum(nil)), err
}
