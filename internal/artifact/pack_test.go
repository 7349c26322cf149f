package artifact

import (
	"archive/tar"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
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
		SystemMap: write("System.map"), Initramfs: write("initramfs"), Features: write("table"),
		Build:   Build{Source: "linux-source-6.12", Fragments: []string{"base", "bpf"}, Compiler: "gcc 12"},
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

// forArch makes them another architecture's.
func forArch(p Parts, arch string) Parts {
	if p.Arch = arch; arch != "amd64" {
		p.VMLinux = ""
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
		"kernel": {"boot/vmlinuz"}, "vmlinux": {"boot/vmlinux"}, "config": {"boot/config"}, "features": {"boot/features.json"}, "btf": {"boot/vmlinux.btf"},
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

// readImage finds an image in the layout's index, or in one of the indexes that
// it names.
func readImage(t *testing.T, dir, digest string) v1.Image {
	t.Helper()
	h, err := v1.NewHash(digest)
	if err != nil {
		t.Fatal(err)
	}
	top, err := layout.Path(dir).ImageIndex()
	if err != nil {
		t.Fatal(err)
	}
	all, err := top.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	indexes := []v1.ImageIndex{top}
	for _, d := range all.Manifests {
		if d.MediaType.IsIndex() {
			index, err := top.ImageIndex(d.Digest)
			if err != nil {
				t.Fatal(err)
			}
			indexes = append(indexes, index)
		}
	}
	for _, index := range indexes {
		if image, err := index.Image(h); err == nil {
			return image
		}
	}
	t.Fatalf("there is no image %s", digest)
	return nil
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
		"vmlinux for arm64":      func(p *Parts) { p.Arch = "arm64" },
		"no kernel":              func(p *Parts) { p.Kernel, p.VMLinux = "", "" },
		"modules of another":     func(p *Parts) { p.Release = "6.13" },
		"a file that is missing": func(p *Parts) { p.Config += "x" },
		"a directory":            func(p *Parts) { p.BTF = filepath.Dir(p.BTF) },
		"flavour with a dash":    func(p *Parts) { p.Build.Flavour = "a-b" },
		"flavour like a version": func(p *Parts) { p.Build.Flavour = "rc7" },
		"flavour like a series":  func(p *Parts) { p.Build.Flavour = "rc" },
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
	pack := func(release, arch string, tags ...string) string {
		t.Helper()
		p := forArch(testParts(t, release), arch)
		digest, err := Pack(ctx, p, dir, tags...)
		if err != nil {
			t.Fatal(err)
		}
		return digest
	}
	old := pack("6.12.1", "amd64", "6.12")
	stable := pack("6.12.2", "amd64", "stable", "6.12.2")
	arm := pack("6.12.2", "arm64", "6.12")
	current := pack("6.12.2", "amd64", "6.12")
	pack("6.12.2", "amd64", "6.12")
	untagged := pack("6.12.3", "amd64")
	pack("6.12.3", "amd64")
	if current != stable || arm == stable || old == stable {
		t.Errorf("digests %s %s %s %s", old, stable, arm, current)
	}
	l, err := OpenLayout(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		tag, digest string
		want        []string
	}{
		{"6.12", "", []string{current, arm}},
		{"stable", "", []string{stable}},
		{"6.12", arm, []string{arm}},
		{"stable", arm, nil},
		{"", untagged, []string{untagged}},
		{"", old, nil},
		{"missing", "", nil},
		{"", "", []string{stable, arm, untagged}},
	} {
		found, err := l.Kernels(c.tag, c.digest)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, k := range found {
			got = append(got, k.Digest())
			if k.Descriptor.Platform.Architecture != k.Arch {
				t.Errorf("%s is for %s and on the platform %s", k.Digest(), k.Arch, k.Descriptor.Platform)
			}
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("Kernels(%q, %q) (-want +got):\n%s", c.tag, c.digest, diff)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "blobs/sha256", old[len("sha256:"):])); !os.IsNotExist(err) {
		t.Errorf("the replaced manifest is still there: %v", err)
	}
	for _, digest := range []string{arm, current, untagged} {
		checkImage(t, readImage(t, dir, digest))
	}
	if tags, err := l.Tags(); err != nil || !slices.Equal(tags, []string{"stable", "6.12.2", "6.12"}) {
		t.Errorf("tags are %v, %v", tags, err)
	}
}

// An index says what its manifests agree on, and is the same whoever of them
// came first.
func TestIndex(t *testing.T) {
	ctx := context.Background()
	pack := func(arches ...string) v1.IndexManifest {
		dir := t.TempDir()
		for _, arch := range arches {
			p := forArch(testParts(t, "6.12.1"), arch)
			p.Build.Flavour = "debug"
			p.Annotations, p.Revision = map[string]string{createdAnnotation: "of " + arch}, "abc"
			if _, err := Pack(ctx, p, dir, "6.12-debug"); err != nil {
				t.Fatal(err)
			}
		}
		l, err := OpenLayout(dir)
		if err != nil {
			t.Fatal(err)
		}
		found, err := l.Find("6.12-debug", "")
		if err != nil || len(found) != 1 || found[0].ArtifactType != Type {
			t.Fatalf("found %v, %v, want one index", found, err)
		}
		var index v1.IndexManifest
		content, err := l.Document(found[0])
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(content, &index); err != nil {
			t.Fatal(err)
		}
		return index
	}
	index := pack("arm64", "amd64")
	if diff := cmp.Diff(index, pack("amd64", "arm64")); diff != "" {
		t.Errorf("packed in another order:\n%s", diff)
	}
	want := map[string]string{
		"org.opencontainers.image.source": Repository, "org.opencontainers.image.title": "Linux 6.12.1 (debug)",
		"org.opencontainers.image.version": "6.12.1", "org.opencontainers.image.revision": "abc",
		"org.opencontainers.image.licenses": "GPL-2.0-only WITH Linux-syscall-note",
	}
	if diff := cmp.Diff(want, index.Annotations); diff != "" || index.ArtifactType != Type {
		t.Errorf("artifactType %q, annotations (-want +got):\n%s", index.ArtifactType, diff)
	}
}

// Layouts from before tags named indexes are read, and packed into.
func TestOldLayout(t *testing.T) {
	ctx, dir := context.Background(), t.TempDir()
	parts := testParts(t, "6.12.1")
	var old []string
	for _, arch := range []string{"amd64", "arm64"} {
		digest, err := Pack(ctx, forArch(parts, arch), dir)
		if err != nil {
			t.Fatal(err)
		}
		old = append(old, digest)
	}
	l, err := OpenLayout(dir)
	if err != nil {
		t.Fatal(err)
	}
	index, err := l.index()
	if err != nil {
		t.Fatal(err)
	}
	for i := range index.Manifests {
		index.Manifests[i].Annotations = map[string]string{tagAnnotation: "6.12"}
	}
	if err := l.writeIndex(index); err != nil {
		t.Fatal(err)
	}
	digests := func() []string {
		kernels, err := l.Kernels("6.12", "")
		if err != nil {
			t.Fatal(err)
		}
		var digests []string
		for _, k := range kernels {
			digests = append(digests, k.Digest())
		}
		return digests
	}
	if diff := cmp.Diff(old, digests()); diff != "" {
		t.Errorf("as it was (-want +got):\n%s", diff)
	}
	parts = testParts(t, "6.12.2")
	current, err := Pack(ctx, parts, dir, "6.12")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{current, old[1]}, digests()); diff != "" {
		t.Errorf("with a new kernel (-want +got):\n%s", diff)
	}
	if found, err := l.Find("6.12", ""); err != nil || len(found) != 1 {
		t.Errorf("the tag names %v, %v, want one index", found, err)
	}
}

// What Pack was told is what a manifest says.
func TestManifest(t *testing.T) {
	dir, parts := t.TempDir(), testParts(t, "6.12.1")
	parts.Build = Build{
		Flavour: "debug", Source: "linux-source-6.12 6.12.1-1", SourceDigest: "sha256:12", Base: "allnoconfig",
		Fragments: []string{"base", "bpf"}, Patches: []string{"a@sha256:34"},
		Compiler: "gcc (Debian 12.2.0) 12.2.0", Linker: "GNU ld", Pahole: "v1.24",
	}
	digest, err := Pack(context.Background(), parts, dir)
	if err != nil {
		t.Fatal(err)
	}
	l, err := OpenLayout(dir)
	if err != nil {
		t.Fatal(err)
	}
	kernels, err := l.Kernels("", digest)
	if err != nil || len(kernels) != 1 {
		t.Fatal(kernels, err)
	}
	m := kernels[0]
	if diff := cmp.Diff(parts.Build, m.Build); diff != "" {
		t.Errorf("build (-want +got):\n%s", diff)
	}
	config, ok := m.Layer(Config)
	if !ok || m.Release != "6.12.1" || m.Arch != "amd64" || m.Annotations[ConfigAnnotation] == "" {
		t.Errorf("manifest is %+v", m)
	}
	if want := int64(len("content of config")); config.Files != want || config.DiffID == config.Digest {
		t.Errorf("layer is %+v, want %d bytes", config, want)
	}
	image := readImage(t, dir, digest)
	for _, layer := range m.Layers {
		if l, err := image.LayerByDiffID(layer.DiffID); err != nil {
			t.Error(err)
		} else if d, err := l.Digest(); err != nil || d != layer.Digest {
			t.Errorf("%s is %s, %v", layer.Part, d, err)
		}
	}

	// A blob that was tampered with is noticed.
	if err := os.WriteFile(l.blob(m.Config.Digest), []byte(`{"architecture":"arm64"}`), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Kernels("", digest); err == nil || !strings.Contains(err.Error(), m.Config.Digest.String()) {
		t.Errorf("with another configuration: %v", err)
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
	all, err := l.Kernels("", "")
	if err != nil || len(all) != 8 {
		t.Errorf("kernels are %v, %v, want 8", all, err)
	}
	for _, k := range all {
		checkImage(t, readImage(t, dir, k.Digest()))
	}
}
