// Package lockfile is a module's .vmtest/kernels.lock: it says which kernels the
// references that move, such as an image's tag, are to stand for.
//
//   - image: ghcr.io/bpf-vmtest/kernels
//     tag: "6.12"
//     digest: sha256:…
//     release: 6.12.95
//
//   - package: debian:6.12
//     arch: amd64
//     name: linux-image-6.12.107+deb13-amd64
//     version: 6.12.107-1
//     suite: trixie-security
//     digest: sha256:…
//     release: 6.12.107+deb13-amd64
//
// It is YAML with each field on a line of its own, so that programs that update
// pins find them, and so that a change leaves all other lines as they are.
package lockfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/google/renameio/v2"

	"github.com/bpf-vmtest/bpf-vmtest/internal/kernelref"
)

// A Pin says what one reference stands for.
type Pin struct {
	// Of an image.
	Image string // with the host: ghcr.io/org/kernels
	Tag   string
	// Of a distribution's kernel.
	Package string // the reference: debian:6.12
	Arch    string // GOARCH
	Name    string // of the package that holds the kernel's image
	Version string // the package's
	Suite   string // where it is

	Digest  string // of the image's manifest or index, or of the package: sha256:…
	Release string // what uname -r prints, or empty where that is not known
}

// Reference is the reference that the pin is about.
func (p Pin) Reference() string {
	if p.Image != "" {
		return p.Image + ":" + p.Tag
	}
	return p.Package
}

// String is the reference, with the architecture where that matters.
func (p Pin) String() string {
	if p.Image != "" {
		return p.Reference()
	}
	return p.Reference() + " (" + p.Arch + ")"
}

// sameReference reports whether both are about one reference.
func (p Pin) sameReference(q Pin) bool {
	return p.Image == q.Image && p.Tag == q.Tag && p.Package == q.Package && p.Arch == q.Arch
}

// For is a pin without a digest, about the reference on an architecture; ok is
// false if the reference does not move.
func For(ref kernelref.Ref, arch string) (p Pin, ok bool) {
	switch source := ref.Source().(type) {
	case kernelref.Registry:
		return Pin{Image: source.Repository, Tag: source.Tag}, source.Digest == ""
	case kernelref.Distribution:
		return Pin{Package: source.String(), Arch: arch}, true
	}
	return Pin{}, false
}

// A File is a lock file in memory.
type File struct {
	Path  string
	lines []string // without their ends
	pins  []placed
}

// placed is a pin with the numbers of its fields' lines, from 0.
type placed struct {
	Pin
	line map[string]int
}

// Path is where the lock file of the module is that the directory belongs to.
// What is in no module has it in the directory itself.
func Path(dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	root := abs
	for d := abs; ; d = filepath.Dir(d) {
		if info, err := os.Stat(filepath.Join(d, "go.mod")); err == nil && info.Mode().IsRegular() {
			root = d
			break
		}
		if d == filepath.Dir(d) {
			break
		}
	}
	return filepath.Join(root, ".vmtest", "kernels.lock"), nil
}

// Load reads a lock file. One that does not exist has no pins. Of what is wrong
// in it, the error, configfile.Errors, lists everything.
func Load(path string) (*File, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return &File{Path: path}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read lock file: %w", err)
	}
	return parse(path, data)
}

// Pins are the file's, in its order.
func (f *File) Pins() []Pin {
	if f == nil {
		return nil
	}
	var pins []Pin
	for _, p := range f.pins {
		pins = append(pins, p.Pin)
	}
	return pins
}

// Find is what the reference stands for, if the file says so.
func (f *File) Find(ref kernelref.Ref, arch string) (Pin, bool) {
	want, moves := For(ref, arch)
	if f == nil || !moves {
		return Pin{}, false
	}
	i := f.index(want)
	if i < 0 {
		return Pin{}, false
	}
	return f.pins[i].Pin, true
}

func (f *File) index(p Pin) int {
	return slices.IndexFunc(f.pins, func(q placed) bool { return q.sameReference(p) })
}

// A MissingError is a reference that moves and is not in the lock file.
type MissingError struct{ Ref, File string }

func (e *MissingError) Error() string {
	return fmt.Sprintf("find kernel %q in %s: it is not there", e.Ref, e.File)
}

// Hint says how to enter it.
func (e *MissingError) Hint() string { return "vmtest kernel lock " + e.Ref }

// ExitCode is that of a usage error.
func (e *MissingError) ExitCode() int { return 2 }

// Require fails with a *MissingError unless each of the references that move is
// in the file.
func (f *File) Require(refs []kernelref.Ref, arch string) error {
	for _, ref := range refs {
		if _, moves := For(ref, arch); !moves {
			continue
		}
		if _, ok := f.Find(ref, arch); !ok {
			return &MissingError{Ref: ref.String(), File: f.Path}
		}
	}
	return nil
}

// Save writes the file, and its directory where there is none.
func (f *File) Save() error {
	if err := os.MkdirAll(filepath.Dir(f.Path), 0o755); err != nil {
		return fmt.Errorf("write lock file: %w", err)
	}
	if err := renameio.WriteFile(f.Path, f.Text(), 0o644); err != nil {
		return fmt.Errorf("write lock file: %w", err)
	}
	return nil
}
