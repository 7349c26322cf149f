package artifact

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Whatever a layer holds, nothing leaves the directory it is unpacked into, and no
// link in it does.
func FuzzExtract(f *testing.F) {
	add := func(entries ...tar.Header) {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		for _, h := range entries {
			if h.Typeflag == tar.TypeReg {
				h.Size = 1
			}
			if err := w.WriteHeader(&h); err != nil {
				f.Fatal(err)
			}
			_, _ = w.Write(make([]byte, h.Size))
		}
		if err := w.Close(); err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes())
		var z bytes.Buffer
		g := gzip.NewWriter(&z)
		_, _ = g.Write(b.Bytes())
		_ = g.Close()
		f.Add(z.Bytes())
	}
	add(tar.Header{Name: "boot/vmlinuz", Typeflag: tar.TypeReg}, tar.Header{Name: "boot/.wh.vmlinuz", Typeflag: tar.TypeReg})
	add(tar.Header{Name: "a", Typeflag: tar.TypeSymlink, Linkname: ".."}, tar.Header{Name: "a/x", Typeflag: tar.TypeReg})
	add(tar.Header{Name: "a", Typeflag: tar.TypeSymlink, Linkname: "b/../.."}, tar.Header{Name: "b", Typeflag: tar.TypeDir}, tar.Header{Name: "a/x", Typeflag: tar.TypeReg})
	add(tar.Header{Name: ".wh..wh..opq", Typeflag: tar.TypeReg}, tar.Header{Name: ".wh...", Typeflag: tar.TypeReg}, tar.Header{Name: "d", Typeflag: tar.TypeBlock})
	f.Fuzz(func(t *testing.T, b []byte) {
		parent := t.TempDir()
		dir := filepath.Join(parent, "dir")
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		_ = Extraction{Limit: 1 << 20}.Extract(t.Context(), bytes.NewReader(b), dir)
		if entries, err := os.ReadDir(parent); err != nil || len(entries) != 1 || entries[0].Name() != "dir" {
			t.Errorf("beside the directory: %v, %v", entries, err)
		}
		_ = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() || d.Type().IsRegular() {
				return err
			}
			target, err := os.Readlink(path)
			if err != nil {
				t.Errorf("%s is neither a file, a directory nor a link", path)
			} else if !filepath.IsAbs(target) && !strings.HasPrefix(filepath.Join(filepath.Dir(path), target)+"/", dir+"/") {
				t.Errorf("%s leads out: %s", path, target)
			} else if filepath.IsAbs(target) {
				t.Errorf("%s is absolute: %s", path, target)
			}
			return nil
		})
	})
}
