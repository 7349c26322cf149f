package attest

import (
	"context"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cuelabs.dev/go/oci/ociregistry/ocimem"
	"cuelabs.dev/go/oci/ociregistry/ociserver"
	"github.com/google/go-containerregistry/pkg/authn"
	inprocess "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/bpf-vmtest/bpf-vmtest/initramfs/toolbox"
	"github.com/bpf-vmtest/bpf-vmtest/internal/artifact"
	"github.com/bpf-vmtest/bpf-vmtest/internal/registry"
)

// registries are the ways in which a registry may know of what is attached to
// an image, or not.
var registries = map[string]func() http.Handler{
	"that lists referrers": func() http.Handler {
		return ociserver.New(ocimem.New(), nil)
	},
	"that does not": plainRegistry,
	"that says it does": func() http.Handler {
		plain := plainRegistry()
		return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
			if strings.Contains(q.URL.Path, "/referrers/") {
				w.Header().Set("Content-Type", "application/vnd.oci.image.index.v1+json")
				io.WriteString(w, `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`)
				return
			}
			plain.ServeHTTP(w, q)
		})
	},
}

func plainRegistry() http.Handler { return inprocess.New(inprocess.Logger(log.New(io.Discard, "", 0))) }

// client loses no time and has no credentials.
func client() *registry.Client {
	return &registry.Client{Keychain: authn.NewMultiKeychain(), Mirrors: &registry.Mirrors{}, Pause: time.Millisecond}
}

// openRegistry serves a registry and opens a repository of it.
func openRegistry(t *testing.T, h http.Handler) *registry.Repository {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return openRepository(t, strings.TrimPrefix(server.URL, "http://")+"/org/kernels")
}

func openRepository(t *testing.T, path string) *registry.Repository {
	t.Helper()
	r, err := client().Repository(path)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// A published kernel is an index of two manifests.
type published struct {
	*registry.Repository
	index        v1.Hash
	amd64, arm64 v1.Hash
}

// publish packs and pushes a kernel for two architectures.
func publish(t *testing.T, r *registry.Repository) published {
	t.Helper()
	dir, p := t.TempDir(), published{Repository: r}
	p.amd64, p.arm64 = pack(t, dir, "amd64"), pack(t, dir, "arm64")
	all, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	m, err := all.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	p.index = m.Manifests[0].Digest
	index, err := all.ImageIndex(p.index)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.WriteIndex(r.Name.Tag("6.12"), index); err != nil {
		t.Fatal(err)
	}
	return p
}

// sign signs an image of the repository.
func (p published) sign(t *testing.T, s Signing, digest v1.Hash) error {
	t.Helper()
	return s.Sign(t.Context(), client(), p.Name.Name(), digest)
}

// attach attaches a bundle to an image.
func (p published) attach(t *testing.T, image v1.Hash, bundle []byte) {
	t.Helper()
	w, err := client().Writer(t.Context(), p.Name.Name())
	if err == nil {
		err = attach(t.Context(), w, v1.Descriptor{Digest: image}, Signature, bundle)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// pack makes a kernel of every kind of part.
func pack(t *testing.T, layout, arch string) v1.Hash {
	t.Helper()
	dir := t.TempDir()
	write := func(name string) string {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(name+" for "+arch), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("lib/modules/6.12.95/modules.dep")
	write("lib/modules/6.12.95/kernel/fs/overlayfs/overlay.ko")
	digest, err := artifact.Pack(context.Background(), artifact.Parts{
		Release: "6.12.95", Arch: arch,
		Kernel: write("bzImage"), Config: write("config"), BTF: write("btf"),
		Modules: filepath.Join(dir, "lib/modules/6.12.95"), Initramfs: packToolbox(t, write("bb")),
		Build: artifact.Build{
			Source:       "linux-source-6.12 6.12.95-1~bpo12+1",
			SourceDigest: "sha256:" + strings.Repeat("5", 64),
			Base:         "allnoconfig", Fragments: []string{"base", "bpf", arch},
			Patches:  []string{"0001-bpf fix.patch@sha256:" + strings.Repeat("9", 64)},
			Compiler: "gcc (Debian 12.2.0-14+deb12u1) 12.2.0", Linker: "GNU ld (GNU Binutils for Debian) 2.40", Pahole: "v1.24",
		},
	}, layout, "6.12")
	if err != nil {
		t.Fatal(err)
	}
	h, err := v1.NewHash(digest)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func packToolbox(t *testing.T, binary string) string {
	t.Helper()
	box := toolbox.Toolbox{Binary: binary, Commands: []string{"gosh", "init"}, Bill: toolbox.Bill{
		Go: "go1.26.8", Modules: []toolbox.Module{
			{Path: "github.com/u-root/u-root", Version: "v0.16.0", Sum: "h1:u-root="},
			{Path: "mvdan.cc/sh/v3", Version: "v3.11.0", Sum: "h1:sh="},
		},
	}}
	file := filepath.Join(t.TempDir(), "initramfs")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := box.WriteArchive(f); err != nil {
		t.Fatal(err)
	}
	return file
}

// newKey makes a pair of keys, of which the public one is also in a file.
func newKey(t *testing.T) (key *PrivateKey, public string) {
	t.Helper()
	private, publicPEM, err := GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	key, err = ReadPrivateKey(writeFile(t, "test.key", private), nil)
	if err != nil {
		t.Fatal(err)
	}
	return key, writeFile(t, "test.pub", publicPEM)
}

func writeFile(t *testing.T, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
