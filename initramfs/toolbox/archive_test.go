package toolbox

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/u-root/u-root/pkg/cpio"
)

// fakeToolbox is all but the program.
func fakeToolbox(t *testing.T) *Toolbox {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "anything")
	if err := os.WriteFile(binary, []byte("program"), 0o700); err != nil {
		t.Fatal(err)
	}
	return &Toolbox{Binary: binary, Commands: []string{"gosh", "init", "ls"}, Bill: Bill{
		Go: "go1.26.8", Modules: []Module{{uRoot, uRootVersion, uRootSum}},
	}}
}

// archived is what an archive holds, read back.
func archived(t *testing.T, write func(io.Writer) error) []cpio.Record {
	t.Helper()
	var first, second bytes.Buffer
	if err := write(&first); err != nil {
		t.Fatal(err)
	}
	if err := write(&second); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first.Bytes(), second.Bytes()) {
		t.Error("the same toolbox gave two different archives")
	}
	records, err := cpio.ReadAllRecords(cpio.EOFReader{RecordReader: cpio.Newc.Reader(bytes.NewReader(first.Bytes()))})
	if err != nil {
		t.Fatal(err)
	}
	return records
}

func recordNames(records []cpio.Record) []string {
	var list []string
	for _, r := range records {
		list = append(list, r.Name)
	}
	return list
}

func TestWriteArchive(t *testing.T) {
	records := archived(t, fakeToolbox(t).WriteArchive)
	want := []string{
		"dev", "dev/console", "dev/null", "dev/tty", "proc", "sys", "tmp", "etc", "etc/toolbox.json", "root",
		"bin", "bin/sh", "init", "bbin", "bbin/sh", "bbin/gosh", "bbin/init", "bbin/ls", "bbin/bb",
	}
	if diff := cmp.Diff(want, recordNames(records)); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
	checkKernelCanUnpack(t, records)
}

// What an archive was made of is read from it; the overlay is ours alone.
func TestReadBill(t *testing.T) {
	box := fakeToolbox(t)
	var archive, overlay bytes.Buffer
	if err := errors.Join(box.WriteArchive(&archive), box.WriteOverlay(&overlay)); err != nil {
		t.Fatal(err)
	}
	got, err := ReadBill(bytes.NewReader(archive.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&box.Bill, got); diff != "" {
		t.Errorf("bill (-want +got):\n%s", diff)
	}
	if got, err := ReadBill(bytes.NewReader(overlay.Bytes())); got != nil || err != nil {
		t.Errorf("the overlay's is %+v, %v, want none", got, err)
	}
	if got, err := ReadBill(strings.NewReader("not an archive, but long enough to hold the header of one: " + strings.Repeat("x", 200))); err == nil {
		t.Errorf("read %+v from what is no archive", got)
	}
}

func TestWriteOverlay(t *testing.T) {
	records := archived(t, fakeToolbox(t).WriteOverlay)
	if diff := cmp.Diff([]string{"bbin", "bbin/sh", "bbin/gosh", "bbin/ls", "bbin/bb"}, recordNames(records)); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
	checkKernelCanUnpack(t, records)
}

// checkKernelCanUnpack checks what the kernel does not do for an archive: make
// parents, or tell about a link to nothing.
func checkKernelCanUnpack(t *testing.T, records []cpio.Record) {
	t.Helper()
	names := recordNames(records)
	for i, r := range records {
		if dir := path.Dir(r.Name); dir != "." && !slices.Contains(names[:i], dir) {
			t.Errorf("%s comes before its directory", r.Name)
		}
		if r.MTime != 0 || r.UID != 0 || r.GID != 0 {
			t.Errorf("%s: time or owner in %+v", r.Name, r.Info)
		}
		switch r.Mode & cpio.S_IFMT {
		case cpio.S_IFLNK:
			content, err := io.ReadAll(io.NewSectionReader(r, 0, int64(r.FileSize)))
			target := path.Join(path.Dir(r.Name), string(content))
			if err != nil || !slices.Contains(names, target) {
				t.Errorf("%s leads to %q, which is not there (%v)", r.Name, target, err)
			}
		case cpio.S_IFREG:
			program := r.Name == "bbin/bb" && r.Mode&0o777 == 0o755 && r.FileSize == uint64(len("program"))
			if !program && r.Name != billPath {
				t.Errorf("file %+v", r.Info)
			}
		}
	}
}

func TestWriteArchiveWithoutBinary(t *testing.T) {
	lost := &Toolbox{Binary: filepath.Join(t.TempDir(), "gone")}
	if err := lost.WriteArchive(io.Discard); err == nil {
		t.Error("no error for a toolbox whose program is gone")
	}
}
