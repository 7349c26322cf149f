package artifact

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// archive makes a tar archive of the entries; files hold their own name.
func archive(t *testing.T, entries ...tar.Header) *bytes.Buffer {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range entries {
		h.Mode = 0o6755
		content := []byte(nil)
		if h.Typeflag == 0 {
			h.Typeflag, content = tar.TypeReg, []byte(h.Name)
		}
		h.Size = int64(len(content))
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return &b
}

// tree lists what is below the directory, links with their target.
func tree(t *testing.T, dir string) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		if d.Type()&fs.ModeSymlink != 0 {
			target, _ := os.Readlink(path)
			name += " -> " + target
		}
		names = append(names, name)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestExtractUnsafe(t *testing.T) {
	for name, entries := range map[string][]tar.Header{
		"parent":         {{Name: "../escaped"}},
		"inner parent":   {{Name: "boot/../../escaped"}},
		"harmless dots":  {{Name: "boot/../boot/vmlinuz"}},
		"absolute":       {{Name: "/escaped"}},
		"device":         {{Name: "boot/vmlinuz", Typeflag: tar.TypeChar}},
		"block device":   {{Name: "boot/vmlinuz", Typeflag: tar.TypeBlock}},
		"fifo":           {{Name: "boot/vmlinuz", Typeflag: tar.TypeFifo}},
		"hard link":      {{Name: "boot/vmlinuz", Typeflag: tar.TypeLink, Linkname: "/etc/passwd"}},
		"link":           {{Name: "boot/vmlinuz", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"}},
		"link inside":    {{Name: "boot/vmlinuz", Typeflag: tar.TypeSymlink, Linkname: "vmlinux"}},
		"bad whiteout":   {{Name: "boot/.wh..."}},
		"empty whiteout": {{Name: "boot/.wh."}},
	} {
		parent := t.TempDir()
		dir := filepath.Join(parent, "dir")
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		err := Extraction{}.Extract(context.Background(), archive(t, entries...), dir)
		var unsafe *UnsafeError
		if !errors.As(err, &unsafe) {
			t.Errorf("%s: error %v, want an UnsafeError", name, err)
		}
		for _, f := range tree(t, parent) {
			if f != "dir" && f != "dir/boot" {
				t.Errorf("%s: wrote %s", name, f)
			}
		}
	}
}

// With links allowed, none leads out, and none is followed out.
func TestExtractLinks(t *testing.T) {
	parent := t.TempDir()
	outside, dir := filepath.Join(parent, "outside"), filepath.Join(parent, "dir")
	for _, d := range []string{outside, dir} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	// A link that an earlier version left, which the archive writes through.
	if err := os.Symlink(outside, filepath.Join(dir, "planted")); err != nil {
		t.Fatal(err)
	}
	extract := func(entries ...tar.Header) error {
		return Extraction{Links: true}.Extract(context.Background(), archive(t, entries...), dir)
	}
	err := extract(
		tar.Header{Name: "boot/vmlinuz-6.6"},
		tar.Header{Name: "boot/vmlinuz", Typeflag: tar.TypeSymlink, Linkname: "vmlinuz-6.6"},
		tar.Header{Name: "lib", Typeflag: tar.TypeSymlink, Linkname: "usr/lib"},
		tar.Header{Name: "usr/lib/modules/6.6/build", Typeflag: tar.TypeSymlink, Linkname: "/usr/src/linux"},
		tar.Header{Name: "usr/lib/modules/6.6/source", Typeflag: tar.TypeSymlink, Linkname: "../../../../../outside"},
		tar.Header{Name: "lib/modules/6.6/modules.dep"},
	)
	if err != nil {
		t.Error(err)
	}
	for _, name := range []string{"planted/file", "planted/dir/file"} {
		if err := extract(tar.Header{Name: name}); err == nil {
			t.Errorf("wrote %s", name)
		}
	}
	want := []string{
		"dir", "dir/boot", "dir/boot/vmlinuz -> vmlinuz-6.6", "dir/boot/vmlinuz-6.6",
		"dir/lib -> usr/lib", "dir/planted -> " + outside,
		"dir/usr", "dir/usr/lib", "dir/usr/lib/modules", "dir/usr/lib/modules/6.6", "dir/usr/lib/modules/6.6/modules.dep",
		"outside",
	}
	if diff := cmp.Diff(want, tree(t, parent)); diff != "" {
		t.Errorf("tree (-want +got):\n%s", diff)
	}
}

// Layers on top of each other replace and remove files.
func TestExtractLayers(t *testing.T) {
	dir := t.TempDir()
	keep := func(name string) bool { return strings.HasPrefix(name, "boot/") }
	for _, layer := range [][]tar.Header{
		{{Name: "./boot/vmlinuz"}, {Name: "boot/config"}, {Name: "boot/old/a"}, {Name: "boot/old/b"}, {Name: "etc/passwd"}, {Name: "dev/null", Typeflag: tar.TypeChar}},
		{{Name: "boot/vmlinuz"}, {Name: "boot/.wh.config"}, {Name: "boot/old/.wh..wh..opq"}, {Name: "boot/old/c"}},
	} {
		if err := (Extraction{Keep: keep}).Extract(context.Background(), archive(t, layer...), dir); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]string{"boot", "boot/old", "boot/old/c", "boot/vmlinuz"}, tree(t, dir)); diff != "" {
		t.Errorf("tree (-want +got):\n%s", diff)
	}
	info, err := os.Stat(filepath.Join(dir, "boot/vmlinuz"))
	if err != nil || info.Mode() != 0o755 {
		t.Errorf("mode is %v, %v, want 0755 without setuid", info.Mode(), err)
	}
}

func TestExtractBad(t *testing.T) {
	whole := archive(t, tar.Header{Name: "boot/vmlinuz"}, tar.Header{Name: "boot/config"}).Bytes()
	for name, c := range map[string]struct {
		layer []byte
		limit int64
	}{
		"cut short":      {whole[:1100], 0},
		"not an archive": {[]byte(strings.Repeat("kernel", 200)), 0},
		"bad gzip":       {[]byte("\x1f\x8b garbage"), 0},
		"bad zstd":       {[]byte("\x28\xb5\x2f\xfd garbage"), 0},
		"too large":      {whole, 13},
	} {
		if err := (Extraction{Limit: c.limit}).Extract(context.Background(), bytes.NewReader(c.layer), t.TempDir()); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := (Extraction{}).Extract(ctx, bytes.NewReader(whole), t.TempDir()); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}
