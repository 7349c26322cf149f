package guest

import (
	"archive/tar"
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// tarOf makes an archive of headers, each regular file holding its name.
func tarOf(t *testing.T, headers ...tar.Header) *bytes.Buffer {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range headers {
		if h.Typeflag == tar.TypeReg {
			h.Size = int64(len(h.Name))
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			if _, err := w.Write([]byte(h.Name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return &b
}

// tree lists the files below dir.
func tree(t *testing.T, dir string) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(dir, path)
			files = append(files, rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestUnpack(t *testing.T) {
	dir := t.TempDir()
	b := tarOf(t, tar.Header{Name: "a", Typeflag: tar.TypeReg}, tar.Header{Name: "./d/e/f", Typeflag: tar.TypeReg}, tar.Header{Name: "a", Typeflag: tar.TypeReg})
	if err := unpack(b, dir); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a", "d/e/f"}, tree(t, dir)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

// TestUnpackHostile is about a guest that tries to write elsewhere.
func TestUnpackHostile(t *testing.T) {
	for name, headers := range map[string][]tar.Header{
		"parent":        {{Name: "../evil", Typeflag: tar.TypeReg}},
		"parent inside": {{Name: "a/../../evil", Typeflag: tar.TypeReg}},
		"absolute":      {{Name: "/tmp/vmtest-evil", Typeflag: tar.TypeReg}},
		"symbolic link": {{Name: "link", Linkname: "/etc", Typeflag: tar.TypeSymlink}, {Name: "link/evil", Typeflag: tar.TypeReg}},
		"hard link":     {{Name: "link", Linkname: "/etc/passwd", Typeflag: tar.TypeLink}},
		"device":        {{Name: "null", Typeflag: tar.TypeChar, Devmajor: 1, Devminor: 3}},
		"FIFO":          {{Name: "fifo", Typeflag: tar.TypeFifo}},
		"existing link": {{Name: "out/evil", Typeflag: tar.TypeReg}},
		"over a link":   {{Name: "file", Typeflag: tar.TypeReg}},
		"the directory": {{Name: ".", Typeflag: tar.TypeReg}},
		"nothing":       {{Name: "", Typeflag: tar.TypeReg}},
	} {
		t.Run(name, func(t *testing.T) {
			outside := t.TempDir()
			dir := filepath.Join(outside, "dir")
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			// Links out of the directory that are there already.
			for link, target := range map[string]string{"out": "..", "file": "../target"} {
				if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
					t.Fatal(err)
				}
			}
			if err := unpack(tarOf(t, headers...), dir); err == nil {
				t.Error("no error")
			}
			if diff := cmp.Diff([]string{"dir/file", "dir/out"}, tree(t, outside)); diff != "" {
				t.Errorf("files (-want +got):\n%s", diff)
			}
			if _, err := os.Stat("/tmp/vmtest-evil"); err == nil {
				t.Error("a file outside has been written")
			}
		})
	}
}

func TestUnpackTorn(t *testing.T) {
	b := tarOf(t, tar.Header{Name: "a", Typeflag: tar.TypeReg}).Bytes()
	if err := unpack(bytes.NewReader(b[:100]), t.TempDir()); err == nil {
		t.Error("a torn archive is taken for a whole one")
	}
}

func collect(t *testing.T, l Limits, headers ...tar.Header) (string, Collected, error) {
	t.Helper()
	c := collector{dir: filepath.Join(t.TempDir(), "new"), limits: l}
	err := c.collect(tarOf(t, headers...))
	return c.dir, c.Collected, err
}

// file is the header of a file in the directory that is asked for.
func file(name string) tar.Header { return tar.Header{Name: "0/" + name, Typeflag: tar.TypeReg} }

func TestCollect(t *testing.T) {
	dir, got, err := collect(t, Limits{Bytes: 1000, Files: 20},
		file("a"), file("a:b"), file("a_b"), file("a?b"), file("TestX/n=1/log.txt"), file("a/under a file"),
		file("../evil"), file("x/../../evil"), file("/tmp/vmtest-evil"), file("."), tar.Header{Name: "evil", Typeflag: tar.TypeReg},
		file("bell\a, \x1b[31m\xff"), file(strings.Repeat("d/", 100)+"deep"))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"TestX/n=1/log.txt", "a", "a_b", "a_b.2", "a_b.3", "a_under a file.2", "bell_, _[31m_"}
	if diff := cmp.Diff(want, tree(t, dir)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	if len(got.Files) != len(want) || len(got.Left) != 6 || got.Bytes < 30 {
		t.Errorf("collected %+v", got)
	}
}

// TestCollectHostile is about an init that is none any more.
func TestCollectHostile(t *testing.T) {
	for name, headers := range map[string][]tar.Header{
		"too large": {file("a"), file("0123456789")},
		"too many":  {file("a"), file("b"), file("c")},
		"bad names": {file("../a"), file("../b"), file("../c")},
		"a link":    {{Name: "0/link", Linkname: "/etc", Typeflag: tar.TypeSymlink}},
		"a device":  {{Name: "0/null", Typeflag: tar.TypeChar}},
	} {
		t.Run(name, func(t *testing.T) {
			dir, got, err := collect(t, Limits{Bytes: 12, Files: 2}, headers...)
			if err == nil {
				t.Errorf("no error, %+v", got)
			}
			if outside := tree(t, filepath.Dir(dir)); len(outside) != len(got.Files) {
				t.Errorf("files: %v", outside)
			}
		})
	}
}

// TestCollectNothing makes no directory.
func TestCollectNothing(t *testing.T) {
	dir, got, err := collect(t, Limits{Bytes: 12, Files: 2})
	if _, statErr := os.Stat(dir); err != nil || !os.IsNotExist(statErr) || len(got.Files) > 0 {
		t.Errorf("%+v, %v, %v", got, err, statErr)
	}
}
