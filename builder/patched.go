package builder

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/bpf-vmtest/bpf-vmtest/builder/patch"
	"github.com/bpf-vmtest/bpf-vmtest/kconfig"
)

// stagePatches finds out whether the patches fit. That takes copies of a few
// files, so it is done before a finished kernel is looked for.
func (b *build) stagePatches(ctx context.Context) error {
	b.staged = &patch.Staged{}
	if len(b.Patches) == 0 {
		return nil
	}
	b.phase("check patches")
	dir, err := os.MkdirTemp("", "vmtest-patches-")
	if err != nil {
		return fmt.Errorf("make directory for patched files: %w", err)
	}
	b.cleanup = append(b.cleanup, func() { os.RemoveAll(dir) })
	b.staged, err = patch.Stage(ctx, b.tree.dir, dir, b.Patches)
	if err != nil {
		return err
	}
	for _, p := range b.staged.Upstream {
		b.Notice(fmt.Sprintf("patch %s is in the source already", p))
	}
	return nil
}

// readVersion reads the version of the source, which a patch may change.
func (b *build) readVersion() (err error) {
	dir := b.tree.dir
	if b.staged.Touches("Makefile") {
		dir = b.staged.Dir
	}
	b.version, err = kconfig.SourceVersion(dir)
	return err
}

// patchTree replaces the tree by a copy with the patches applied, which is
// removed with the build. The tree that is kept in the cache, or is the
// user's, stays as it is. The copy is in the cache like an unpacked source, so
// that ccache's objects are good for it, and is below the tree's lock.
func (b *build) patchTree(ctx context.Context) error {
	if len(b.staged.Applied) == 0 {
		return nil
	}
	b.phase("patch source")
	parent := filepath.Join(b.Dir, "sources")
	dir := filepath.Join(parent, strings.ReplaceAll(b.tree.digest, ":", "-")+".patched")
	if err := os.RemoveAll(dir); err != nil { // what a killed build left
		return err
	}
	if err := needSpace(parent, sourceSpace); err != nil {
		return err
	}
	b.cleanup = append(b.cleanup, func() { os.RemoveAll(dir) })
	err := copyTree(ctx, b.tree.dir, dir)
	if err == nil {
		err = b.staged.Lay(dir)
	}
	if err != nil {
		return fmt.Errorf("patch source %q: %w", b.tree.name, err)
	}
	b.tree.dir, b.tree.builds = dir, dir
	return nil
}

// copyTree copies a source tree, without git's own files and without builds.
func copyTree(ctx context.Context, from, to string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err := errors.Join(err, ctx.Err()); err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rel)
		switch {
		case d.Name() == ".git", strings.HasPrefix(rel, buildPrefix):
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		case d.IsDir():
			return os.Mkdir(target, 0o755)
		case d.Type() == fs.ModeSymlink:
			link, err := os.Readlink(path)
			if err != nil {
				return err
			}
			return os.Symlink(link, target)
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if err := copyFile(path, target); err != nil {
			return err
		}
		return os.Chmod(target, info.Mode().Perm())
	})
}
