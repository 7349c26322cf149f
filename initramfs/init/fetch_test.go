package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/bpf-vmtest/bpf-vmtest/initramfs/wire"
)

// fetched is what the host gets: names and contents, and the last message.
func fetched(t *testing.T, m wire.FetchMsg) (map[string]string, wire.FetchedMsg) {
	t.Helper()
	var b, archive bytes.Buffer
	conn := wire.NewConn(&b)
	fetch(conn, 1, m)
	for {
		f, err := conn.Read()
		if err != nil {
			t.Fatal(err)
		}
		if f.Type == wire.Data {
			archive.Write(f.Payload)
			continue
		}
		var end wire.FetchedMsg
		if err := f.Decode(&end); err != nil {
			t.Fatal(err)
		}
		files := map[string]string{}
		for r := tar.NewReader(&archive); end.Error == ""; {
			h, err := r.Next()
			if err == io.EOF {
				break
			}
			content, readErr := io.ReadAll(r)
			if err := errors.Join(err, readErr); err != nil {
				t.Fatal(err)
			}
			files[h.Name] = string(content)
		}
		return files, end
	}
}

func TestFetch(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "7")
	err := errors.Join(
		os.MkdirAll(filepath.Join(dir, "TestX", "empty"), 0o755),
		os.WriteFile(filepath.Join(dir, "TestX", "log"), []byte(strings.Repeat("l", 100_000)), 0),
		os.WriteFile(filepath.Join(dir, "b"), []byte("bb"), 0o600),
		os.WriteFile(filepath.Join(dir, "c"), nil, 0o600),
		os.Symlink("/etc/passwd", filepath.Join(dir, "link")),
		syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600),
	)
	if err != nil {
		t.Fatal(err)
	}
	special := []string{"link: it is not a regular file", "pipe: it is not a regular file"}
	for _, tt := range []struct {
		name  string
		bytes int64
		files int
		want  string
		left  []string
	}{
		{"everything", 0, 0, "7/TestX/log 7/b 7/c", special},
		{"as much as there is", 100_002, 3, "7/TestX/log 7/b 7/c", special},
		{"fewer bytes", 99_999, 0, "7/b 7/c", append([]string{"TestX/log: its 100000 bytes are too many"}, special...)},
		{"not one byte more", 100_000, 0, "7/TestX/log 7/c", append([]string{"b: its 2 bytes are too many"}, special...)},
		{"one file", 0, 1, "7/TestX/log", append([]string{"b: there are too many files", "c: there are too many files"}, special...)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, end := fetched(t, wire.FetchMsg{Path: dir, Bytes: tt.bytes, Files: tt.files})
			if end.Error != "" || strings.Join(end.Left, "\n") != strings.Join(tt.left, "\n") {
				t.Errorf("%+v", end)
			}
			names := strings.Fields(tt.want)
			for _, name := range names {
				if want, _ := os.ReadFile(filepath.Join(filepath.Dir(dir), name)); got[name] != string(want) {
					t.Errorf("%s has %d bytes", name, len(got[name]))
				}
			}
			if len(got) != len(names) {
				t.Errorf("%d files", len(got))
			}
		})
	}
	if got, end := fetched(t, wire.FetchMsg{Path: filepath.Join(dir, "b")}); got["b"] != "bb" || end.Error != "" {
		t.Errorf("a file: %v, %+v", got, end)
	}
	if _, end := fetched(t, wire.FetchMsg{Path: filepath.Join(dir, "none")}); !strings.Contains(end.Error, "no such file") {
		t.Errorf("nothing: %+v", end)
	}
}

// TestFetchRemove removes what was sent, and nothing else.
func TestFetchRemove(t *testing.T) {
	dir := t.TempDir()
	err := errors.Join(
		os.WriteFile(filepath.Join(dir, "a"), []byte("a"), 0o600),
		os.WriteFile(filepath.Join(dir, "too large"), []byte("too large"), 0o600),
		os.Symlink("a", filepath.Join(dir, "link")),
	)
	if err != nil {
		t.Fatal(err)
	}
	if got, end := fetched(t, wire.FetchMsg{Path: dir, Bytes: 5, Remove: true}); len(got) != 1 || len(end.Left) != 2 || end.Error != "" {
		t.Errorf("%v, %+v", got, end)
	}
	left, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(left) != 2 {
		t.Errorf("there is %v, %v", left, err)
	}
}

// TestFetchMany names only some of what is left out.
func TestFetchMany(t *testing.T) {
	dir := t.TempDir()
	for i := range wire.LeftNames + 5 {
		if err := os.Symlink("x", filepath.Join(dir, itoa(i))); err != nil {
			t.Fatal(err)
		}
	}
	if _, end := fetched(t, wire.FetchMsg{Path: dir}); len(end.Left) != wire.LeftNames || end.More != 5 {
		t.Errorf("%+v", end)
	}
}

// TestSendShrinking sends what the header has promised.
func TestSendShrinking(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, []byte("12345"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	s := sender{tar: tar.NewWriter(&b), root: path}
	if err := errors.Join(os.Truncate(path, 2), s.send(f, path, info), s.tar.Close()); err != nil {
		t.Fatal(err)
	}
	r := tar.NewReader(&b)
	if _, err := r.Next(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(r); string(got) != "12\x00\x00\x00" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}
