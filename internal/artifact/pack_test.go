package artifact

import (
	"archive/tar"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

// testParts makes a kernel of every part; the files' times differ each time.
func testParts(t *testing.T, release string) Parts {
	dir := t.TempDir()
	write := func(name string) string {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("content of "+name), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, time.Now(), time.Now().Add(-time.Duration(time.Now().Nanosecond())*time.Second)); err != nil {
			t.Fatal(err)
		}
		return path
	}
	p := Parts{
		Release: release, Arch: "amd64",
		Kernel: write("bzImage-" + release), VMLinux: write("vmlinux"), Config: write("config"), BTF: write("btf"),
		SystemMap: write("System.map"), Initramfs: write("initramfs"),
		Modules: filepath.Join(dir, "lib/modules", release),
	}
	for _, name := range []string{"modules.dep", "kernel/net/9p/9pnet.ko", "kernel/fs/overlayfs/overlay.ko.xz"} {
		write(filepath.Join("lib/modules", release, name))
	}
	if err := os.Symlink("/usr/src/linux", filepath.Join(p.Modules, "build")); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPack(t *testing.T) {
	ctx, dir := context.Background(), filepath.Join(t.TempDir(), "a layout, with: punctuation")
	digest, err := Pack(ctx, testParts(t, "6.12.1"), dir, "6.12")
	if err != nil {
		t.Fatal(err)
	}
	again, err := Pack(ctx, testParts(t, "6.12.1"), t.TempDir(), "other")
	if err != nil || again != digest {
		t.Errorf("the same parts packed again: %s, %v, want %s", again, err, digest)
	}

	image := readImage(t, dir, digest)
	checkImage(t, image)
	manifest, err := image.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	if manifest.ArtifactType != Type || manifest.Annotations[ReleaseAnnotation] != "6.12.1" {
		t.Errorf("artifactType is %q, annotations are %v", manifest.ArtifactType, manifest.Annotations)
	}
	layers, err := image.Layers()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string][]string{}
	for i, l := range layers {
		got[manifest.Layers[i].Annotations[PartAnnotation]] = files(t, l)
	}
	want := map[string][]string{
		"kernel": {"boot/vmlinuz"}, "vmlinux": {"boot/vmlinux"}, "config": {"boot/config"}, "btf": {"boot/vmlinux.btf"},
		"system-map": {"boot/System.map"}, "initramfs": {"boot/initramfs"},
		"modules": {
			"usr/lib/modules/6.12.1/kernel/fs/overlayfs/overlay.ko.xz",
			"usr/lib/modules/6.12.1/kernel/net/9p/9pnet.ko",
			"usr/lib/modules/6.12.1/modules.dep",
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

func readImage(t *testing.T, dir, digest string) v1.Image {
	t.Helper()
	h, err := v1.NewHash(digest)
	if err != nil {
		t.Fatal(err)
	}
	image, err := layout.Path(dir).Image(h)
	if err != nil {
		t.Fatal(err)
	}
	return image
}

// checkImage compares the image with what its manifest and its configuration
// say of it.
func checkImage(t *testing.T, image v1.Image) {
	t.Helper()
	if err := validate.Image(image); err != nil {
		t.Error(err)
	}
}

func files(t *testing.T, l v1.Layer) []string {
	t.Helper()
	r, err := l.Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var names []string
	for archive := tar.NewReader(r); ; {
		h, err := archive.Next()
		if err == io.EOF {
			slices.Sort(names)
			return names
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			names = append(names, h.Name)
		}
	}
}

func TestPackErrors(t *testing.T) {
	good := testParts(t, "6.12.1")
	for name, spoil := range map[string]func(*Parts){
		"no release":             func(p *Parts) { p.Release = "" },
		"release with a slash":   func(p *Parts) { p.Release = "../6.12" },
		"no arch":                func(p *Parts) { p.Arch = "" },
		"no kernel":              func(p *Parts) { p.Kernel, p.VMLinux = "", "" },
		"modules of another":     func(p *Parts) { p.Release = "6.13" },
		"a file that is missing": func(p *Parts) { p.Config += "x" },
		"a directory":            func(p *Parts) { p.BTF = filepath.Dir(p.BTF) },
	} {
		parts, dir := good, t.TempDir()
		spoil(&parts)
		if digest, err := Pack(context.Background(), parts, dir, "x"); err == nil {
			t.Errorf("%s: packed as %s, want an error", name, digest)
		}
		if l, err := OpenLayout(dir); err == nil {
			if tags, _ := l.Tags(); len(tags) > 0 {
				t.Errorf("%s: the layout has the tags %v", name, tags)
			}
		}
	}
}

// Tags are given, moved and shared between architectures, and what lost its
// last name goes away.
func TestTags(t *testing.T) {
	ctx, dir := context.Background(), t.TempDir()
	pack := func(release, arch, tag string) string {
		t.Helper()
		p := testParts(t, release)
		p.Arch = arch
		digest, err := Pack(ctx, p, dir, tag)
		if err != nil {
			t.Fatal(err)
		}
		return digest
	}
	old := pack("6.12.1", "amd64", "6.12")
	stable := pack("6.12.2", "amd64", "stable")
	arm := pack("6.12.2", "arm64", "6.12")
	current := pack("6.12.2", "amd64", "6.12")
	pack("6.12.2", "amd64", "6.12")
	if current != stable || arm == stable || old == stable {
		t.Errorf("digests %s %s %s %s", old, stable, arm, current)
	}
	l, err := OpenLayout(dir)
	if err != nil {
		t.Fatal(err)
	}
	find := func(tag, digest string) []string {
		found, err := l.Find(tag, digest)
		if err != nil {
			t.Fatal(err)
		}
		var digests []string
		for _, d := range found {
			digests = append(digests, d.Digest.String())
		}
		return digests
	}
	for _, c := range []struct {
		tag, digest string
		want        []string
	}{
		{"6.12", "", []string{arm, current}},
		{"stable", "", []string{stable}},
		{"6.12", current, []string{current}},
		{"", old, nil},
		{"missing", "", nil},
	} {
		if diff := cmp.Diff(c.want, find(c.tag, c.digest)); diff != "" {
			t.Errorf("Find(%q, %q) (-want +got):\n%s", c.tag, c.digest, diff)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "blobs/sha256", old[len("sha256:"):])); !os.IsNotExist(err) {
		t.Errorf("the replaced manifest is still there: %v", err)
	}
	for _, digest := range []string{arm, current} {
		checkImage(t, readImage(t, dir, digest))
	}
}

func TestPackAtOnce(t *testing.T) {
	dir := t.TempDir()
	// What a killed run leaves.
	if err := os.MkdirAll(filepath.Join(dir, "blobs"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "blobs/.unfinished"), []byte("half a layer"), 0o644); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 8 {
		parts := testParts(t, fmt.Sprintf("6.%d.0", i))
		wg.Go(func() {
			if _, err := Pack(context.Background(), parts, dir, fmt.Sprintf("6.%d", i)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	l, err := OpenLayout(dir)
	if err != nil {
		t.Fatal(err)
	}
	tags, err := l.Tags()
	if err != nil || len(tags) != 8 {
		t.Errorf("tags are %v, %v, want 8", tags, err)
	}
	all, _ := l.Find("", "")
	for _, d := range all {
		checkImage(t, readImage(t, dir, d.Digest.String()))
	}
}
