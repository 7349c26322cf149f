package initramfs

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
	"github.com/u-root/u-root/pkg/cpio"
	"github.com/ulikunitz/xz"
)

func write(t *testing.T, path string, data []byte) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// compressed is data as a module with that file name holds it.
func compressed(t *testing.T, name string, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	var w io.WriteCloser
	var err error
	switch filepath.Ext(name) {
	case ".xz":
		w, err = xz.NewWriter(&b)
	case ".gz":
		w = gzip.NewWriter(&b)
	case ".zst":
		w, err = zstd.NewWriter(&b)
	default:
		return data
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// releaseDir makes a modules directory out of modules.dep.
func releaseDir(t *testing.T, deps, builtin string) string {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "modules.dep"), []byte(deps))
	if builtin != "" {
		write(t, filepath.Join(dir, "modules.builtin"), []byte(builtin))
	}
	for line := range strings.Lines(deps) {
		path, _, _ := strings.Cut(line, ":")
		write(t, filepath.Join(dir, path), compressed(t, path, []byte("image of "+moduleName(path))))
	}
	return dir
}

// Like Debian's 6.1, with the compressions of several distributions.
const deps = `kernel/net/9p/9pnet.ko.xz:
kernel/net/9p/9pnet_virtio.ko: kernel/net/9p/9pnet.ko.xz kernel/drivers/virtio/virtio_ring.ko.zst kernel/drivers/virtio/virtio.ko.gz
kernel/fs/9p/9p.ko: kernel/net/9p/9pnet.ko.xz kernel/fs/netfs/netfs.ko
kernel/fs/netfs/netfs.ko:
kernel/fs/overlayfs/overlay.ko:
kernel/drivers/virtio/virtio.ko.gz:
kernel/drivers/virtio/virtio_ring.ko.zst: kernel/drivers/virtio/virtio.ko.gz
kernel/drivers/virtio/virtio_pci.ko: kernel/drivers/virtio/virtio_ring.ko.zst kernel/drivers/virtio/virtio.ko.gz
kernel/drivers/char/virtio_console.ko: kernel/drivers/virtio/virtio_ring.ko.zst kernel/drivers/virtio/virtio.ko.gz
kernel/drivers/net/veth.ko:
`

func TestBootModules(t *testing.T) {
	dir := releaseDir(t, deps, "kernel/drivers/char/hw_random/rng-core.ko\n")
	modules, err := BootModules(dir)
	if err != nil {
		t.Fatal(err)
	}
	at := map[string]int{}
	for i, m := range modules {
		if _, twice := at[m.Name]; twice {
			t.Errorf("%s is loaded twice", m.Name)
		}
		at[m.Name] = i
		image, err := m.read()
		if err != nil || string(image) != "image of "+m.Name {
			t.Errorf("%s holds %q, %v", m.Name, image, err)
		}
	}
	want := []string{"9p", "9pnet", "9pnet_virtio", "netfs", "overlay", "virtio", "virtio_console", "virtio_pci", "virtio_ring"}
	var got []string
	for name := range at {
		got = append(got, name)
	}
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("modules (-want +got):\n%s", diff)
	}
	for _, order := range [][2]string{
		{"virtio", "virtio_ring"}, {"virtio_ring", "virtio_pci"}, {"virtio_ring", "virtio_console"},
		{"9pnet", "9p"}, {"netfs", "9p"}, {"9pnet", "9pnet_virtio"}, {"virtio_ring", "9pnet_virtio"},
	} {
		if at[order[0]] > at[order[1]] {
			t.Errorf("%s is loaded after %s, which needs it", order[0], order[1])
		}
	}
}

func TestBootModulesBuiltIn(t *testing.T) {
	const builtin = "kernel/net/9p/9pnet_virtio.ko\nkernel/fs/9p/9p.ko\nkernel/fs/overlayfs/overlay.ko\nkernel/drivers/char/virtio_console.ko\n"
	modules, err := BootModules(releaseDir(t, "", builtin))
	if err != nil || len(modules) != 0 {
		t.Errorf("all built in: %v, %v", modules, err)
	}
	if modules, err := BootModules(""); err != nil || modules != nil {
		t.Errorf("a kernel without modules: %v, %v", modules, err)
	}
	_, err = BootModules(releaseDir(t, "", strings.Replace(builtin, "kernel/fs/9p/9p.ko\n", "", 1)))
	var missing *MissingModuleError
	if !errors.As(err, &missing) || missing.Name != "9p" || !strings.Contains(missing.Hint(), "9P_FS") {
		t.Errorf("without 9p: %v", err)
	}
}

func TestBrokenModules(t *testing.T) {
	if _, err := BootModules(t.TempDir()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no modules.dep: %v", err)
	}
	dir := t.TempDir()
	write(t, filepath.Join(dir, "modules.dep"), []byte("kernel/a.ko:\nnonsense\n"))
	if _, err := BootModules(dir); err == nil || !strings.Contains(err.Error(), "modules.dep:2") {
		t.Errorf("a broken modules.dep: %v", err)
	}
	for _, name := range []string{"a.ko.xz", "a.ko.gz", "a.ko.zst", "a.ko.lzma"} {
		m := Module{Name: "a", Path: write(t, filepath.Join(dir, name), []byte("not compressed"))}
		if _, err := m.read(); err == nil {
			t.Errorf("%s is read without an error", name)
		}
	}
}

// records reads an archive with u-root's reader.
func records(t *testing.T, archive []byte) map[string]cpio.Record {
	t.Helper()
	all, err := cpio.ReadAllRecords(cpio.Newc.Reader(bytes.NewReader(archive)))
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string]cpio.Record{}
	for _, r := range all {
		if _, twice := byName[r.Name]; twice {
			t.Errorf("%s is there twice", r.Name)
		}
		byName[r.Name] = r
	}
	return byName
}

func TestArchive(t *testing.T) {
	dir := releaseDir(t, deps, "")
	modules, err := BootModules(dir)
	if err != nil {
		t.Fatal(err)
	}
	out := t.TempDir()
	a := Archive{Init: write(t, filepath.Join(out, "init"), []byte("the init")), Modules: modules}
	first, second := filepath.Join(out, "1.cpio"), filepath.Join(out, "2.cpio")
	if err := errors.Join(a.WriteFile(first), os.Chtimes(a.Init, maxTime, maxTime), a.WriteFile(second)); err != nil {
		t.Fatal(err)
	}
	one, _ := os.ReadFile(first)
	two, _ := os.ReadFile(second)
	if !bytes.Equal(one, two) {
		t.Error("the same content gives other bytes")
	}

	got := records(t, one)
	if r := got["init"]; r.Mode&0o7777 != 0o755 || content(t, r) != "the init" {
		t.Errorf("init: %v", r)
	}
	if r := got["dev/console"]; r.Rmajor != 5 || r.Rminor != 1 {
		t.Errorf("dev/console: %v", r)
	}
	var names []string
	for name := range got {
		if strings.HasSuffix(name, ".ko") {
			names = append(names, name)
		}
	}
	slices.Sort(names) // as init does
	for i, name := range names {
		if want := "image of " + modules[i].Name; content(t, got[name]) != want {
			t.Errorf("module %d, %s: %q, want %q", i, name, content(t, got[name]), want)
		}
	}
	if len(names) != len(modules) {
		t.Errorf("%d modules, want %d", len(names), len(modules))
	}
	if left, _ := filepath.Glob(filepath.Join(out, "*")); len(left) != 3 {
		t.Errorf("files left: %v", left)
	}
}

func content(t *testing.T, r cpio.Record) string {
	t.Helper()
	b := make([]byte, r.FileSize)
	if _, err := r.ReadAt(b, 0); err != nil && err != io.EOF {
		t.Fatal(err)
	}
	return string(b)
}

// TestArchiveOverBase is about an archive below, of whatever length: ours must
// begin at a multiple of four for the kernel to find it.
func TestArchiveOverBase(t *testing.T) {
	out := t.TempDir()
	init := write(t, filepath.Join(out, "init"), []byte("the init"))
	for size := 1000; size < 1004; size++ {
		base := write(t, filepath.Join(out, "base"), bytes.Repeat([]byte{'b'}, size))
		path := filepath.Join(out, "out.cpio")
		if err := (Archive{Init: init, Base: base}).WriteFile(path); err != nil {
			t.Fatal(err)
		}
		b, _ := os.ReadFile(path)
		start := (size + 3) &^ 3
		if !bytes.HasPrefix(b[start:], []byte("070701")) || len(bytes.Trim(b[size:start], "\x00")) > 0 {
			t.Errorf("over %d bytes: %q", size, b[size:start+6])
		}
		records(t, b[start:])
	}
}

func TestArchiveErrors(t *testing.T) {
	out := t.TempDir()
	init := write(t, filepath.Join(out, "init"), nil)
	path := filepath.Join(out, "out.cpio")
	for name, a := range map[string]Archive{
		"no init":   {Init: filepath.Join(out, "none")},
		"no base":   {Init: init, Base: filepath.Join(out, "none")},
		"no module": {Init: init, Modules: []Module{{Name: "a", Path: filepath.Join(out, "a.ko")}}},
	} {
		if err := a.WriteFile(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%s: half an archive is left", name)
		}
	}
}
