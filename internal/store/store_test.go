package store

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/bpf-vmtest/bpf-vmtest/internal/artifact"
	"github.com/bpf-vmtest/bpf-vmtest/internal/kernel"
	"github.com/bpf-vmtest/bpf-vmtest/internal/kernelref"
)

// newStore makes an empty store for amd64 that logs its warnings.
func newStore(t *testing.T) *Store {
	return &Store{
		Dir: filepath.Join(t.TempDir(), "a cache, empty"), Arch: "amd64", Keychain: authn.NewMultiKeychain(),
		Warn: func(m string) { t.Log("warning:", m) }, firstPause: time.Millisecond,
	}
}

func resolve(t *testing.T, s *Store, format string, args ...any) (*kernel.Kernel, error) {
	t.Helper()
	ref, err := kernelref.Parse(fmt.Sprintf(format, args...), "")
	if err != nil {
		t.Fatal(err)
	}
	return s.Resolve(context.Background(), ref)
}

// fakeImage is the start of a bzImage of the release.
func fakeImage(release string) []byte {
	b := make([]byte, 2048)
	copy(b[0x202:], "HdrS\x0f\x02")
	b[0x20e], b[0x20f] = 0x00, 0x03 // the version is at 0x200 + 0x300
	b[0x236] = 1
	copy(b[0x500:], release+" (builder@host) #1 SMP\x00")
	return b
}

func writeFiles(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// pack packs a kernel of the release with every part but a vmlinux.
func pack(t *testing.T, layoutDir, tag, release, arch string) (digest string) {
	t.Helper()
	dir := t.TempDir()
	writeFiles(t, dir, map[string]string{
		"bzImage": string(fakeImage(release)), "config": "CONFIG_BPF=y\n", "initramfs": "cpio", "btf": "btf",
		"lib/modules/" + release + "/modules.dep": "", "lib/modules/" + release + "/kernel/9p.ko": "module",
	})
	in := func(name string) string { return filepath.Join(dir, name) }
	digest, err := artifact.Pack(context.Background(), artifact.Parts{
		Release: release, Arch: arch, Kernel: in("bzImage"), Config: in("config"), Initramfs: in("initramfs"), BTF: in("btf"),
		Modules: in("lib/modules/" + release),
	}, layoutDir, tag)
	if err != nil {
		t.Fatal(err)
	}
	return digest
}

// TestDebug is about where the debug information is.
func TestDebug(t *testing.T) {
	dir := t.TempDir()
	writeFiles(t, dir, map[string]string{
		"boot/vmlinuz": string(fakeImage("6.12.95")), "config": "", "debug/vmlinux": "lines", "debug/vmlinux-gdb.py": "",
		"linux/vmlinux": "lines", "linux/arch/x86/boot/bzImage": string(fakeImage("6.12.95")),
		"usr/lib/debug/lib/modules/6.12.95/vmlinux": "lines",
	})
	in := func(name string) string { return filepath.Join(dir, name) }
	if _, err := artifact.Pack(t.Context(), artifact.Parts{
		Release: "6.12.95", Arch: "amd64", Kernel: in("boot/vmlinuz"), Config: in("config"), Debug: in("debug"),
	}, in("layout"), "6.12-debug"); err != nil {
		t.Fatal(err)
	}
	for _, ref := range []string{"oci:%s/layout:6.12-debug", "%s/linux", "%s/linux/arch/x86/boot/bzImage", "%s/boot/vmlinuz"} {
		k, err := resolve(t, newStore(t), ref, dir)
		if err != nil {
			t.Fatal(err)
		}
		found := slices.ContainsFunc(k.Debug, func(file string) bool {
			text, err := os.ReadFile(file)
			return err == nil && string(text) == "lines"
		})
		if !found {
			t.Errorf(ref+": the debug information is none of %q", dir, k.Debug)
		}
	}
}

func TestLayout(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "kernels")
	old := pack(t, dir, "6.6", "6.6.80", "amd64")
	digest := pack(t, dir, "6.12", "6.12.95", "amd64")
	pack(t, dir, "6.12", "6.12.95", "arm64")
	s := newStore(t)
	k, err := resolve(t, s, "oci:%s:6.12", dir)
	if err != nil {
		t.Fatal(err)
	}
	root := filepath.Join(s.Dir, "images", digest[len("sha256:"):])
	want := &kernel.Kernel{
		Name: "oci:" + dir + ":6.12", Digest: digest, Arch: "amd64", Release: "6.12.95",
		Image:   filepath.Join(root, "kernel/boot/vmlinuz"),
		Config:  filepath.Join(root, "config/boot/config"),
		Modules: filepath.Join(root, "modules/usr/lib/modules/6.12.95"),
	}
	if diff := cmp.Diff(want, k); diff != "" {
		t.Errorf("kernel (-want +got):\n%s", diff)
	}
	if content, err := os.ReadFile(filepath.Join(k.Modules, "kernel/9p.ko")); err != nil || string(content) != "module" {
		t.Errorf("module holds %q, %v", content, err)
	}

	// Another part is added to what is there, by the digest this time.
	s.Parts = []artifact.Part{artifact.Initramfs}
	k, err = resolve(t, s, "oci:%s@%s", dir, digest)
	if err != nil || k.Initramfs != filepath.Join(root, "initramfs/boot/initramfs") || k.Image != want.Image {
		t.Errorf("with the initramfs: %+v, %v", k, err)
	}

	for ref, want := range map[string]string{
		"oci:" + dir:                    "names none",
		"oci:" + dir + ":6.1":           "no such tag",
		"oci:" + dir + ":6.12@" + old:   `no such digest under the tag "6.12"`,
		"oci:" + filepath.Dir(dir):      "oci-layout",
		dir:                             "OCI layout",
		"oci:" + dir + ":6.6@" + digest: "no such digest",
	} {
		if k, err := resolve(t, newStore(t), "%s", ref); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), fmt.Sprintf("%q", ref)) {
			t.Errorf("%s: %v, %v, want an error with %q and the reference", ref, k, err, want)
		}
	}
	arm := newStore(t)
	arm.Arch = "arm64"
	if k, err := resolve(t, arm, "oci:%s:6.12", dir); err != nil || k.Arch != "arm64" || k.Digest == digest {
		t.Errorf("for arm64: %+v, %v", k, err)
	}
	if _, err := resolve(t, arm, "oci:%s:6.6", dir); err == nil || !strings.Contains(err.Error(), "no kernel for arm64") {
		t.Errorf("6.6 for arm64: %v", err)
	}
}

// server is an in-process registry with a switch for each fault, which holds
// the images of a layout.
type server struct {
	*httptest.Server
	repository string // HOST/REPOSITORY
	requests   atomic.Int64
	fault      atomic.Value // of func(http.ResponseWriter, *http.Request) (handled bool)
}

func newServer(t *testing.T) *server {
	s := &server{}
	r := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		s.requests.Add(1)
		if f, ok := s.fault.Load().(func(http.ResponseWriter, *http.Request) bool); ok && f(w, q) {
			return
		}
		r.ServeHTTP(w, q)
	}))
	t.Cleanup(s.Close)
	s.repository = strings.TrimPrefix(s.URL, "http://") + "/org/kernels"
	return s
}

// push copies the index that the tag names in the layout.
func (s *server) push(t *testing.T, dir, tag string) (digest string) {
	t.Helper()
	l, err := artifact.OpenLayout(dir)
	if err != nil {
		t.Fatal(err)
	}
	found, err := l.Find(tag, "")
	if err != nil || len(found) != 1 {
		t.Fatal(found, err)
	}
	all, err := layout.Path(dir).ImageIndex()
	if err != nil {
		t.Fatal(err)
	}
	index, err := all.ImageIndex(found[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	repository, err := name.NewRepository(s.repository)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.WriteIndex(repository.Tag(tag), index); err != nil {
		t.Fatal(err)
	}
	return found[0].Digest.String()
}

func TestRegistry(t *testing.T) {
	dir, server := t.TempDir(), newServer(t)
	amd := pack(t, dir, "6.12", "6.12.95", "amd64")
	pack(t, dir, "6.12", "6.12.95", "arm64")
	old := pack(t, dir, "6.6", "6.6.80", "amd64")
	index := server.push(t, dir, "6.12")
	single := server.push(t, dir, "6.6")

	s := newStore(t)
	var fetched []string
	s.Progress = func(p Progress) {
		if p.Done == p.Total {
			fetched = append(fetched, p.What)
		}
	}
	k, err := resolve(t, s, "%s:6.12", server.repository)
	if err != nil {
		t.Fatal(err)
	}
	if k.Digest != amd || k.Release != "6.12.95" || k.Initramfs != "" {
		t.Errorf("kernel is %+v, want digest %s", k, amd)
	}
	slices.Sort(fetched)
	if diff := cmp.Diff([]string{"config", "kernel", "modules"}, slices.Compact(fetched)); diff != "" {
		t.Errorf("fetched (-want +got):\n%s", diff)
	}
	again, err := resolve(t, s, "%s:6.12", server.repository)
	if diff := cmp.Diff(k, again); err != nil || diff != "" {
		t.Errorf("again: %v\n%s", err, diff)
	}
	if k, err = resolve(t, s, "%s:6.6@%s", server.repository, single); err != nil || k.Digest != old {
		t.Errorf("by digest: %+v, %v", k, err)
	}

	// Without the server, tags are what they were, and digests need none.
	server.CloseClientConnections()
	server.Close()
	var warnings []string
	s.Warn = func(m string) { warnings = append(warnings, m) }
	for _, ref := range []string{":6.12", ":6.12@" + index, "@" + amd} {
		warnings = nil
		k, err := resolve(t, s, "%s%s", server.repository, ref)
		if err != nil || k.Digest != amd {
			t.Errorf("offline %s: %+v, %v", ref, k, err)
		}
		if asked := ref == ":6.12"; (len(warnings) > 0) != asked {
			t.Errorf("offline %s: warnings %q", ref, warnings)
		}
	}
	if _, err := resolve(t, s, "%s:stable", server.repository); err == nil {
		t.Error("offline, a tag never seen: no error")
	}
}

// What a registry may do wrong: in each case the error names the reference, a
// moment's fault is survived, and nothing is left in the cache that a later
// run would use.
func TestRegistryFaults(t *testing.T) {
	dir := t.TempDir()
	pack(t, dir, "6.12", "6.12.95", "amd64")
	isBlob := func(q *http.Request) bool { return strings.Contains(q.URL.Path, "/blobs/") }
	times := func(n int32, f func(http.ResponseWriter, *http.Request) bool) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, q *http.Request) bool {
			return atomic.AddInt32(&n, -1) >= 0 && f(w, q)
		}
	}
	status := func(code int) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, q *http.Request) bool { w.WriteHeader(code); return true }
	}
	for name, c := range map[string]struct {
		fault func(http.ResponseWriter, *http.Request) bool
		want  string // in the error, "" for none
		hint  string
	}{
		"503 once":   {times(1, status(503)), "", ""},
		"429 once":   {times(1, status(429)), "", ""},
		"404":        {status(404), "404", "crane ls"},
		"401":        {status(401), "401", "docker login"},
		"403":        {status(403), "403", "docker login"},
		"500 always": {status(500), "500", ""},
		"cut blob once": {func() func(http.ResponseWriter, *http.Request) bool {
			cut := times(1, func(w http.ResponseWriter, q *http.Request) bool {
				w.Header().Set("Content-Length", "100000")
				w.Write([]byte("half a layer"))
				return true
			})
			return func(w http.ResponseWriter, q *http.Request) bool { return isBlob(q) && cut(w, q) }
		}(), "", ""},
		"cut blob always": {func(w http.ResponseWriter, q *http.Request) bool {
			if !isBlob(q) {
				return false
			}
			w.Header().Set("Content-Length", "100000")
			w.WriteHeader(http.StatusOK)
			return true
		}, "the connection ended after 0 of", "kept"},
		"other content": {func(w http.ResponseWriter, q *http.Request) bool {
			if isBlob(q) {
				w.Write(bytes.Repeat([]byte("tampered"), 1000))
				return true
			}
			return false
		}, "other content", "changed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, s := newServer(t), newStore(t)
			server.push(t, dir, "6.12")
			server.fault.Store(c.fault)
			ref := server.repository + ":6.12"
			k, err := resolve(t, s, "%s", ref)
			if c.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), ref) {
				t.Fatalf("%+v, %v, want an error with %q and %s", k, err, c.want, ref)
			}
			var h interface{ Hint() string }
			if c.hint != "" && (!errors.As(err, &h) || !strings.Contains(h.Hint(), c.hint)) {
				t.Errorf("no hint with %q", c.hint)
			}
			if left := cached(t, s); len(left) > 0 {
				t.Errorf("in the cache: %v", left)
			}
			server.fault.Store(func(http.ResponseWriter, *http.Request) bool { return false })
			if _, err := resolve(t, s, "%s", ref); err != nil {
				t.Errorf("after the fault: %v", err)
			}
		})
	}
}

// cached lists the files in the cache that stand for content, except
// documents, which are what their digests say.
func cached(t *testing.T, s *Store) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(s.Dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(s.Dir, path)
		if !d.IsDir() && !strings.HasSuffix(name, ".lock") && !strings.HasSuffix(name, ".use") && !strings.HasPrefix(name, "documents/") && !strings.HasPrefix(name, "tags/") {
			files = append(files, name)
		}
		return nil
	})
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return files
}

// A download that broke off goes on where it was, in another run, too; and a
// blob that was complete needs no registry.
func TestResume(t *testing.T) {
	dir, server := t.TempDir(), newServer(t)
	pack(t, dir, "6.12", "6.12.95", "amd64")
	server.push(t, dir, "6.12")
	var ranges []string
	var mu sync.Mutex
	server.fault.Store(func(w http.ResponseWriter, q *http.Request) bool {
		if !strings.Contains(q.URL.Path, "/blobs/") {
			return false
		}
		mu.Lock()
		defer mu.Unlock()
		if r := q.Header.Get("Range"); r != "" {
			ranges = append(ranges, r)
		}
		return false
	})
	ref := server.repository + ":6.12"
	s := newStore(t)
	layers, err := artifact.OpenLayout(dir)
	if err != nil {
		t.Fatal(err)
	}
	found, err := layers.Find("6.12", "")
	if err != nil {
		t.Fatal(err)
	}
	img, err := s.choose(t.Context(), onDisk{layers}, found)
	if err != nil {
		t.Fatal(err)
	}
	// What two runs that were killed may have left: a part, and all.
	for i, keep := range []func([]byte) []byte{func(b []byte) []byte { return b[:10] }, bytes.Clone} {
		content, err := os.ReadFile(filepath.Join(dir, "blobs/sha256", img.manifest.Layers[i].Digest.Hex))
		if err != nil {
			t.Fatal(err)
		}
		writeFiles(t, s.Dir, map[string]string{"blobs/" + img.manifest.Layers[i].Digest.Hex: string(keep(content))})
	}
	if _, err := resolve(t, s, "%s", ref); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"bytes=10-"}, ranges); diff != "" {
		t.Errorf("ranges asked for (-want +got):\n%s", diff)
	}
	if left, _ := filepath.Glob(filepath.Join(s.Dir, "blobs/*")); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// The same reference at once, in one store and in two with one cache.
func TestAtOnce(t *testing.T) {
	dir, server := t.TempDir(), newServer(t)
	digest := pack(t, dir, "6.12", "6.12.95", "amd64")
	server.push(t, dir, "6.12")
	one := newStore(t)
	two := newStore(t)
	two.Dir = one.Dir
	var wg sync.WaitGroup
	for i := range 6 {
		wg.Go(func() {
			s := []*Store{one, two}[i%2]
			if k, err := resolve(t, s, "%s:6.12", server.repository); err != nil || k.Digest != digest {
				t.Errorf("%+v, %v", k, err)
			}
		})
	}
	wg.Wait()
}

// A killed run leaves directories that are not complete; they are not used.
func TestInterrupted(t *testing.T) {
	dir := t.TempDir()
	digest := pack(t, dir, "6.12", "6.12.95", "amd64")
	s := newStore(t)
	writeFiles(t, s.Dir, map[string]string{"images/" + digest[len("sha256:"):] + "/kernel.tmp/boot/vmlinuz": "half"})
	k, err := resolve(t, s, "oci:%s", dir)
	if err != nil {
		t.Fatal(err)
	}
	if content, err := os.ReadFile(k.Image); err != nil || !bytes.Equal(content, fakeImage("6.12.95")) {
		t.Errorf("image holds %d bytes, %v", len(content), err)
	}
}

// A layout that was changed on disk.
func TestTampered(t *testing.T) {
	for name, spoil := range map[string]func(content []byte) []byte{
		"changed": func(b []byte) []byte { b[len(b)/2] ^= 1; return b },
		"cut":     func(b []byte) []byte { return b[:len(b)/2] },
		"longer":  func(b []byte) []byte { return append(b, 0) },
	} {
		dir := t.TempDir()
		pack(t, dir, "6.12", "6.12.95", "amd64")
		blobs, err := filepath.Glob(filepath.Join(dir, "blobs/sha256/*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, blob := range blobs {
			content, err := os.ReadFile(blob)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(blob, spoil(slices.Clone(content)), 0o644); err != nil {
				t.Fatal(err)
			}
			s := newStore(t)
			s.Parts = []artifact.Part{artifact.Initramfs, artifact.BTF}
			if _, err := resolve(t, s, "oci:%s", dir); err == nil {
				t.Errorf("%s blob %s: no error", name, filepath.Base(blob))
			}
			if err := os.WriteFile(blob, content, 0o644); err != nil {
				t.Fatal(err)
			}
			if _, err := resolve(t, s, "oci:%s", dir); err != nil {
				t.Errorf("after %s blob %s: %v", name, filepath.Base(blob), err)
			}
		}
	}
}

// foreign writes an image that is not of our type; entries with content are
// files, others links to what follows ->.
func foreign(t *testing.T, artifactType, arch string, layers ...map[string]string) (dir string) {
	t.Helper()
	var img v1.Image = empty.Image
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config = config.DeepCopy()
	config.Architecture, config.OS = arch, "linux"
	if img, err = mutate.ConfigFile(img, config); err != nil {
		t.Fatal(err)
	}
	for _, files := range layers {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		w := tar.NewWriter(z)
		for name, content := range files {
			h := &tar.Header{Name: name, Mode: 0o644, Size: int64(len(content))}
			if target, ok := strings.CutPrefix(content, "-> "); ok {
				h, content = &tar.Header{Name: name, Linkname: target, Typeflag: tar.TypeSymlink}, ""
			} else if content == "device" {
				h, content = &tar.Header{Name: name, Typeflag: tar.TypeChar}, ""
			}
			if err := w.WriteHeader(h); err != nil {
				t.Fatal(err)
			}
			io.WriteString(w, content)
		}
		if err := errors.Join(w.Close(), z.Close()); err != nil {
			t.Fatal(err)
		}
		layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b.Bytes())), nil })
		if err != nil {
			t.Fatal(err)
		}
		if img, err = mutate.AppendLayers(img, layer); err != nil {
			t.Fatal(err)
		}
	}
	if artifactType != "" {
		img = typedImage{img, artifactType}
	}
	dir = t.TempDir()
	l, err := layout.Write(dir, empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.AppendImage(img); err != nil {
		t.Fatal(err)
	}
	return dir
}

// typedImage is an image whose manifest claims to be a kernel of ours, with its
// only layer as the kernel part.
type typedImage struct {
	v1.Image
	artifactType string
}

func (i typedImage) RawManifest() ([]byte, error) {
	m, err := i.Image.Manifest()
	if err != nil {
		return nil, err
	}
	m = m.DeepCopy()
	m.ArtifactType, m.MediaType = i.artifactType, types.OCIManifestSchema1
	m.Annotations = map[string]string{artifact.ReleaseAnnotation: "6.6.1"}
	for j := range m.Layers {
		m.Layers[j].Annotations = map[string]string{artifact.PartAnnotation: string(artifact.Kernel)}
	}
	return json.Marshal(m)
}

func (i typedImage) Digest() (v1.Hash, error) {
	raw, err := i.RawManifest()
	if err != nil {
		return v1.Hash{}, err
	}
	h, _, err := v1.SHA256(bytes.NewReader(raw))
	return h, err
}

func (i typedImage) Manifest() (*v1.Manifest, error) {
	raw, err := i.RawManifest()
	if err != nil {
		return nil, err
	}
	return v1.ParseManifest(bytes.NewReader(raw))
}

func (i typedImage) Size() (int64, error) {
	raw, err := i.RawManifest()
	return int64(len(raw)), err
}

func (i typedImage) MediaType() (types.MediaType, error) { return types.OCIManifestSchema1, nil }

// Images of other projects.
func TestForeign(t *testing.T) {
	image := string(fakeImage("6.6.134"))
	for name, c := range map[string]struct {
		layers               []map[string]string
		image, modules, conf string // below the root
	}{
		"ci-kernels": {
			[]map[string]string{
				{"boot/vmlinuz": image, "lib": "-> usr/lib", "usr/lib/modules/6.6.134/modules.dep": "x", "usr/lib/modules/6.6.134/build": "-> /usr/src/linux"},
				{"usr/src/linux/tools/testing/selftests/bpf/test_progs": "binary", "dev/null": "device"},
			},
			"boot/vmlinuz", "usr/lib/modules/6.6.134", "",
		},
		"little-vm-helper": {
			[]map[string]string{{
				"data/kernels/6.6/boot/vmlinuz-6.6.134": image, "data/kernels/6.6/boot/config-6.6.134": "CONFIG_BPF=y",
				"data/kernels/6.6/lib/modules/6.6.134/modules.dep": "x",
			}},
			"data/kernels/6.6/boot/vmlinuz-6.6.134", "data/kernels/6.6/lib/modules/6.6.134", "data/kernels/6.6/boot/config-6.6.134",
		},
		"a link to the kernel": {
			[]map[string]string{{"boot/vmlinuz-6.6.134": image}, {"boot/vmlinuz": "-> vmlinuz-6.6.134"}},
			"boot/vmlinuz-6.6.134", "", "",
		},
	} {
		s := newStore(t)
		k, err := resolve(t, s, "oci:%s", foreign(t, "", "amd64", c.layers...))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		root := filepath.Join(s.Dir, "images", k.Digest[len("sha256:"):], "root")
		in := func(p string) string {
			if p == "" {
				return ""
			}
			return filepath.Join(root, p)
		}
		want := &kernel.Kernel{
			Name: k.Name, Digest: k.Digest, Arch: "amd64", Release: "6.6.134",
			Image: in(c.image), Modules: in(c.modules), Config: in(c.conf),
		}
		if diff := cmp.Diff(want, k); diff != "" {
			t.Errorf("%s: kernel (-want +got):\n%s", name, diff)
		}
		if _, err := os.Stat(filepath.Join(root, "usr/src")); err == nil {
			t.Errorf("%s: unpacked more than the kernel", name)
		}
	}
}

func TestNoKernel(t *testing.T) {
	image := string(fakeImage("6.6.134"))
	for name, c := range map[string]struct {
		artifactType, arch string
		files              map[string]string
		want               string
	}{
		"an ordinary image":   {"", "amd64", map[string]string{"bin/sh": "x"}, "holds no kernel"},
		"two kernels":         {"", "amd64", map[string]string{"boot/vmlinuz-6.6": image, "boot/vmlinuz-6.1": image}, "more than one kernel"},
		"another machine":     {"", "arm64", map[string]string{"boot/vmlinuz": image}, "no kernel for amd64"},
		"a link out":          {"", "amd64", map[string]string{"boot/vmlinuz": "-> /boot/vmlinuz"}, "holds no kernel"},
		"a device":            {"", "amd64", map[string]string{"boot/vmlinuz": "device"}, "neither a file nor a directory"},
		"out of the archive":  {"", "amd64", map[string]string{"../boot/vmlinuz": image}, "leads out"},
		"typed, a link":       {artifact.Type, "amd64", map[string]string{"boot/vmlinuz": "-> /boot/vmlinuz"}, "is a link"},
		"typed, out of it":    {artifact.Type, "amd64", map[string]string{"boot/vmlinuz": image, "/etc/cron.d/x": "x"}, "leads out"},
		"typed, not in place": {artifact.Type, "amd64", map[string]string{"vmlinuz": image}, "there is no /boot/vmlinuz"},
	} {
		s := newStore(t)
		k, err := resolve(t, s, "oci:%s", foreign(t, c.artifactType, c.arch, c.files))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %+v, %v, want an error with %q", name, k, err, c.want)
		}
		if left := cached(t, s); len(left) > 0 {
			t.Errorf("%s: in the cache: %v", name, left)
		}
	}
}

func TestPath(t *testing.T) {
	dir := t.TempDir()
	writeFiles(t, dir, map[string]string{
		"a dir, bz,Image":                    string(fakeImage("6.12.95-custom+")),
		"tree/arch/x86/boot/bzImage":         string(fakeImage("6.12.95")),
		"tree/.config":                       "CONFIG_BPF=y\n",
		"tree/include/config/kernel.release": "6.12.95\n",
		"unbuilt/Makefile":                   "VERSION = 6\n",
		"text":                               strings.Repeat("not a kernel\n", 100),
		"short":                              "x",
		"Image":                              strings.Repeat("\x00", 0x38) + "ARM\x64" + strings.Repeat("\x00", 1024),
	})
	s := newStore(t)
	k, err := resolve(t, s, "%s", filepath.Join(dir, "a dir, bz,Image"))
	if err != nil || k.Release != "6.12.95-custom+" || !strings.HasPrefix(k.Digest, "sha256:") {
		t.Errorf("bzImage: %+v, %v", k, err)
	}
	k, err = resolve(t, s, "%s/tree", dir)
	if err != nil || k.Release != "6.12.95" || k.Config == "" {
		t.Fatalf("tree: %+v, %v", k, err)
	}
	// What was resolved stays when the tree is built again.
	writeFiles(t, dir, map[string]string{"tree/arch/x86/boot/bzImage": "being linked"})
	if content, err := os.ReadFile(k.Image); err != nil || !bytes.Equal(content, fakeImage("6.12.95")) {
		t.Errorf("the image changed with the tree: %v", err)
	}
	for path, want := range map[string]string{
		"unbuilt": "no built kernel", "text": "not a kernel", "short": "not a kernel", "missing": "no such file", "Image": "it is for arm64",
	} {
		if k, err := resolve(t, s, "%s/%s", dir, path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %+v, %v, want an error with %q", path, k, err, want)
		}
	}
}

// A cache that cannot be written is an error with its path, at once.
func TestReadOnlyCache(t *testing.T) {
	dir := t.TempDir()
	pack(t, dir, "6.12", "6.12.95", "amd64")
	s := newStore(t)
	writeFiles(t, filepath.Dir(s.Dir), map[string]string{filepath.Base(s.Dir): "a file in its place"})
	if _, err := resolve(t, s, "oci:%s", dir); err == nil || !strings.Contains(err.Error(), s.Dir) {
		t.Errorf("error %v, want one with %q", err, s.Dir)
	}
}
