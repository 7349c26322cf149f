// Package bundle is the directory that a run leaves for those who look for the
// cause of a failure: of each kernel what it printed, how it was started, what
// its failed tests printed and what its tests wrote.
package bundle

import (
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"strings"
)

// The files of a bundle. docs/bundle.md describes them for users.
const (
	Readme = "README.txt" // at the top

	// Of a kernel, in a directory of its name.
	About   = "kernel.txt"
	Console = "console.log"
	QEMU    = "qemu.sh"
	Config  = "config"
	BTF     = "vmlinux.btf"

	// Of a package, in a directory of its name in a kernel's.
	Artifacts = "artifacts" // a directory
	Cores     = "cores"     // a directory

	// Of a failed test, in a directory of its name in a package's, and of the
	// package as a whole, in the package's own.
	Output = "output.txt"
	Dmesg  = "dmesg.txt"
)

// A Bundle is a directory for one run.
type Bundle struct{ Dir string }

// A DirError says that a directory that was asked for cannot be used.
type DirError struct {
	Dir  string
	Err  error
	Help string
}

func (e *DirError) Error() string { return fmt.Sprintf("keep files in %q: %v", e.Dir, e.Err) }
func (e *DirError) Unwrap() error { return e.Err }

// Hint says what to do.
func (e *DirError) Hint() string { return e.Help }

// ExitCode is that of a usage error.
func (e *DirError) ExitCode() int { return 2 }

// Open makes a directory the bundle of a run that is about to begin. It is made
// where there is none. What an earlier run has left in it is removed; anything
// else in there is an error, a [*DirError].
func Open(dir string) (*Bundle, error) {
	abs, err := filepath.Abs(dir)
	if err == nil {
		err = os.MkdirAll(abs, 0o755)
	}
	if err != nil {
		return nil, &DirError{Dir: dir, Err: err}
	}
	entries, err := os.ReadDir(abs)
	if err != nil {
		return nil, &DirError{Dir: dir, Err: err}
	}
	var old []string
	for _, e := range entries {
		path := filepath.Join(abs, e.Name())
		if !isKernel(path) && !isReadme(path) {
			return nil, &DirError{Dir: dir, Err: fmt.Errorf("it holds %q", e.Name()), Help: "name a new directory, or an empty one"}
		}
		old = append(old, path)
	}
	for _, path := range old {
		if err := os.RemoveAll(path); err != nil {
			return nil, &DirError{Dir: dir, Err: err}
		}
	}
	return &Bundle{Dir: abs}, nil
}

// isKernel reports whether a directory is a kernel's in a bundle.
func isKernel(dir string) bool {
	info, err := os.Lstat(filepath.Join(dir, About))
	return err == nil && info.Mode().IsRegular()
}

// isReadme reports whether a file is the page of a bundle.
func isReadme(path string) bool {
	info, err := os.Lstat(path)
	if err != nil || filepath.Base(path) != Readme || !info.Mode().IsRegular() {
		return false
	}
	b, err := os.ReadFile(path)
	return err == nil && strings.HasPrefix(string(b), title)
}

// Kernel makes the directory of a kernel, where there is none yet. The text about
// it is there from the beginning on: it marks the directory as one of ours.
func (b *Bundle) Kernel(name, about string) (dir string, err error) {
	dir = filepath.Join(b.Dir, name)
	err = os.MkdirAll(dir, 0o755)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, About), []byte(about), 0o644)
	}
	if err != nil {
		return "", fmt.Errorf("keep files: %w", err)
	}
	return dir, nil
}

// Close writes the page that explains what is there.
func (b *Bundle) Close() error {
	var text strings.Builder
	err := Explain(&text, b.Dir)
	if err == nil {
		err = os.WriteFile(filepath.Join(b.Dir, Readme), []byte(text.String()), 0o644)
	}
	if err != nil {
		return fmt.Errorf("explain the files in %q: %w", b.Dir, err)
	}
	return nil
}

// maxName is in bytes: most file systems take 255, and numbers may follow.
const maxName = 120

// FileName makes the name of a kernel, a package or a test that of one file,
// which every file system and every store of CI's artifacts takes. Names that
// differ may become the same.
func FileName(name string) string {
	file := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', strings.ContainsRune(".-_=+@#", r):
			return r
		}
		return '_'
	}, name)
	if len(file) > maxName {
		h := fnv.New32a()
		_, _ = h.Write([]byte(name))
		file = fmt.Sprintf("%s-%08x", file[:maxName-9], h.Sum32())
	}
	if strings.Trim(file, ".") == "" {
		return "_" + file
	}
	return file
}

// ErrTaken says that no directory of that name could be made.
var ErrTaken = errors.New("too many names are alike")

// Mkdir makes a directory for what has that name, which nothing else has yet.
func Mkdir(parent, name string) (string, error) {
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return "", err
	}
	file := FileName(name)
	for n := 1; n < 1000; n++ {
		dir := filepath.Join(parent, file)
		if n > 1 {
			dir = fmt.Sprintf("%s.%d", dir, n)
		}
		err := os.Mkdir(dir, 0o755)
		if !errors.Is(err, os.ErrExist) {
			return dir, err
		}
	}
	return "", fmt.Errorf("mkdir %s: %w", filepath.Join(parent, file), ErrTaken)
}
