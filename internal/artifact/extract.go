package artifact

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// Extraction says what Extract takes from a layer.
type Extraction struct {
	// Keep chooses the entries by their clean path without a leading slash
	// (boot/vmlinuz); the others are skipped. Nil keeps all.
	Keep func(name string) bool
	// Links allows symbolic links that stay inside the directory, and
	// leaves out the others, as other projects' images have them beside
	// their modules (build, source). Without it, any link is an error.
	Links bool
	// Limit is the largest sum of file sizes, in bytes; 0 is 4 GiB, several
	// times the largest kernel with debug information.
	Limit int64
}

// UnsafeError is an entry of a layer that a kernel has no use for and an attack
// has.
type UnsafeError struct{ Entry, Problem string }

func (e *UnsafeError) Error() string { return fmt.Sprintf("entry %q %s", e.Entry, e.Problem) }

// Extract unpacks a layer, a tar archive that may be compressed with gzip or
// zstd, into a directory that exists. Nothing is written outside the directory
// whatever the archive holds: names that are absolute or have .. in them,
// devices and links that lead out of the directory are an *UnsafeError.
// Owners, times and permissions other than "executable" are not kept.
func (e Extraction) Extract(ctx context.Context, layer io.Reader, dir string) error {
	root, err := os.OpenRoot(dir) // refuses to leave the directory by itself
	if err != nil {
		return err
	}
	defer root.Close()
	uncompressed, err := decompress(layer)
	if err != nil {
		return err
	}
	defer uncompressed.Close()
	left := e.Limit
	if left == 0 {
		left = 4 << 30
	}
	archive := tar.NewReader(uncompressed)
	for {
		h, err := archive.Next()
		if err == io.EOF {
			return nil
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return fmt.Errorf("read archive: %w", err)
		}
		if left -= h.Size; left < 0 {
			return errors.New("unpack archive: it is too large")
		}
		if err := e.entry(root, h, archive); err != nil {
			return fmt.Errorf("unpack archive: %w", err)
		}
	}
}

func (e Extraction) entry(root *os.Root, h *tar.Header, content io.Reader) error {
	name, err := cleanName(h.Name)
	if err != nil {
		return err
	}
	if name == "." || e.Keep != nil && !e.Keep(name) {
		return nil
	}
	if base, ok := strings.CutPrefix(path.Base(name), ".wh."); ok {
		return whiteout(root, path.Dir(name), base)
	}
	switch h.Typeflag {
	case tar.TypeDir:
		return root.MkdirAll(name, 0o755)
	case tar.TypeReg:
		return writeFile(root, name, fs.FileMode(h.Mode), content)
	case tar.TypeSymlink:
		return e.link(root, name, h.Linkname)
	case tar.TypeXGlobalHeader:
		return nil
	}
	return &UnsafeError{h.Name, "is neither a file nor a directory"}
}

// cleanName is the entry's path below the directory.
func cleanName(name string) (string, error) {
	if !filepath.IsLocal(name) || strings.Contains(name, "\x00") {
		return "", &UnsafeError{name, "leads out of the archive"}
	}
	for elem := range strings.SplitSeq(name, "/") {
		if elem == ".." { // harmless or not, no tool writes such names
			return "", &UnsafeError{name, "has .. in its name"}
		}
	}
	return path.Clean(name), nil
}

// writeFile puts a file in the place of whatever is there.
func writeFile(root *os.Root, name string, mode fs.FileMode, content io.Reader) error {
	if err := prepare(root, name); err != nil {
		return err
	}
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644|mode&0o111)
	if err != nil {
		return err
	}
	if _, err := io.Copy(f, content); err != nil {
		return errors.Join(err, f.Close())
	}
	return f.Close()
}

func (e Extraction) link(root *os.Root, name, target string) error {
	inside := !path.IsAbs(target) && filepath.IsLocal(path.Join(path.Dir(name), target))
	switch {
	case !e.Links:
		return &UnsafeError{name, "is a link"}
	case !inside:
		return nil // it would lead nowhere: what it leads to is not in the archive
	}
	if err := prepare(root, name); err != nil {
		return err
	}
	return root.Symlink(target, name)
}

// prepare makes the entry's directory and removes what an earlier layer put in
// its place.
func prepare(root *os.Root, name string) error {
	if err := root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return err
	}
	if info, err := root.Lstat(name); err != nil || info.IsDir() {
		return nil // a directory in a file's place fails when the file is created
	}
	return root.Remove(name)
}

// whiteout removes what an earlier layer holds, as the image specification
// says: one entry, or with the name .opq all of a directory's.
func whiteout(root *os.Root, dir, base string) error {
	if base != ".wh..opq" {
		if base == "" || base == "." || base == ".." {
			return &UnsafeError{".wh." + base, "is not a whiteout"}
		}
		return root.RemoveAll(path.Join(dir, base))
	}
	if err := root.RemoveAll(dir); err != nil {
		return err
	}
	return root.MkdirAll(dir, 0o755)
}

// decompress recognises what the layer is compressed with by its first bytes,
// since media types are not always right.
func decompress(r io.Reader) (io.ReadCloser, error) {
	b := bufio.NewReader(r)
	magic, err := b.Peek(4)
	if err != nil && err != io.EOF {
		return nil, err
	}
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		return gzip.NewReader(b)
	case bytes.Equal(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		// A window of 128 MB is the largest that zstd -19 --long asks for.
		z, err := zstd.NewReader(b, zstd.WithDecoderMaxWindow(128<<20))
		if err != nil {
			return nil, err
		}
		return z.IOReadCloser(), nil
	}
	return io.NopCloser(b), nil
}
