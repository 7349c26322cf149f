package patch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Staged is what patches make of a source: the files that they touch, in a
// directory of their own.
type Staged struct {
	Dir      string
	Applied  []Patch
	Upstream []Patch // found in the source already
	touched  map[string]bool
}

// Stage applies the patches in their order to copies of the files they touch,
// which it puts into dir, an empty directory. The source is not written to.
// An error that a user can do something about is a [ConflictError] or an
// [AmbiguousError].
func Stage(ctx context.Context, source, dir string, patches []Patch) (*Staged, error) {
	s := &Staged{Dir: dir, touched: map[string]bool{}}
	for _, p := range patches {
		for _, file := range p.files {
			if err := s.fetch(source, file); err != nil {
				return nil, fmt.Errorf("apply patch %s: %w", p, err)
			}
		}
		if err := s.apply(ctx, p); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// fetch copies a file of the source, if it is there, when it is first touched.
func (s *Staged) fetch(source, file string) error {
	if s.touched[file] {
		return nil
	}
	for dir := filepath.Dir(file); dir != "."; dir = filepath.Dir(dir) {
		if info, err := os.Lstat(filepath.Join(source, dir)); err == nil && !info.IsDir() {
			return fmt.Errorf("%s is below %s, which is not a directory", file, dir)
		}
	}
	err := copyFile(filepath.Join(source, file), filepath.Join(s.Dir, file))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	s.touched[file] = true
	return nil
}

// apply tries the patch in both directions and applies it if that is what the
// source asks for.
func (s *Staged) apply(ctx context.Context, p Patch) error {
	_, forward := git(ctx, s.Dir, p.diff, "apply", "--check", "-")
	_, backward := git(ctx, s.Dir, p.diff, "apply", "--check", "--reverse", "-")
	if err := errors.Join(ctx.Err(), asMissingGit(forward)); err != nil {
		return err
	}
	switch {
	case forward == nil && backward == nil:
		return &AmbiguousError{p}
	case backward == nil:
		s.Upstream = append(s.Upstream, p)
		return nil
	case forward != nil:
		return s.conflict(ctx, p, forward)
	}
	if _, err := git(ctx, s.Dir, p.diff, "apply", "--whitespace=nowarn", "-"); err != nil {
		return fmt.Errorf("apply patch %s: %w", p, err)
	}
	s.Applied = append(s.Applied, p)
	return nil
}

// Touches reports whether a patch reads or writes the file.
func (s *Staged) Touches(file string) bool { return s.touched[file] }

// Lay puts the files as the patches left them into a copy of the source.
func (s *Staged) Lay(tree string) error {
	for file := range s.touched {
		to := filepath.Join(tree, file)
		if err := os.Remove(to); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := copyFile(filepath.Join(s.Dir, file), to); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// copyFile copies a file, or a link as a link, and makes its directory. The
// error is fs.ErrNotExist where there is none.
func copyFile(from, to string) error {
	info, err := os.Lstat(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	if info.Mode()&fs.ModeSymlink != 0 {
		target, err := os.Readlink(from)
		if err != nil {
			return err
		}
		return os.Symlink(target, to)
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is neither a file nor a link", from)
	}
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, info.Mode().Perm())
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// Names lists what is recorded of the patches that were applied: name@digest.
func (s *Staged) Names() []string {
	var names []string
	for _, p := range s.Applied {
		// Lists of such names are separated by commas.
		names = append(names, strings.ReplaceAll(p.Name, ",", "_")+"@"+p.Digest)
	}
	return names
}
