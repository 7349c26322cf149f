package builder

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bpf-vmtest/bpf-vmtest/internal/cache"
	"github.com/bpf-vmtest/bpf-vmtest/internal/kver"
)

var linux612 = Debian{Series: kver.Version{Major: 6, Minor: 12}}

// Two builds in different caches give the same files, bit by bit. The second
// finds its objects in ccache, so that this says something about linking,
// BTF, modules and whatever else is made anew; set VMTEST_TEST_COLD=1 to have
// it compile everything, which takes as long as that takes.
func TestReproducibleReal(t *testing.T) {
	dir := cacheDir(t)
	other := t.TempDir()
	shared := []string{"apt", "debs", "ccache"}
	if os.Getenv("VMTEST_TEST_COLD") != "" {
		shared = shared[:2]
	}
	var digests []map[string]string
	for _, dir := range []string{dir, other} {
		r, err := Build(t.Context(), Options{Source: linux612, Dir: dir, Flavour: os.Getenv("VMTEST_TEST_FLAVOUR"), Progress: reporter(t)})
		if err != nil {
			t.Fatal(err)
		}
		digests = append(digests, hashFiles(t, r.Dir))
		for _, name := range shared {
			if err := os.Symlink(filepath.Join(dir, name), filepath.Join(other, name)); err != nil && !os.IsExist(err) {
				t.Fatal(err)
			}
		}
	}
	delete(digests[0], logName) // names directories
	delete(digests[1], logName)
	if diff := cmp.Diff(digests[0], digests[1]); diff != "" {
		t.Error(diff)
	}
	t.Logf("%d files are the same", len(digests[0]))
}

// hashFiles are the digests of all files below dir, by name.
func hashFiles(t *testing.T, dir string) map[string]string {
	t.Helper()
	digests := map[string]string{}
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		digests[path], err = cache.Digest(filepath.Join(dir, path))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return digests
}

// Some of everything that a kernel is compiled from: C, assembler, what is
// linked early, what is generated.
var sampleObjects = []string{
	"init/main.o", "kernel/bpf/core.o", "arch/x86/entry/entry_64.o", "arch/x86/lib/memcpy_64.o", "drivers/net/veth.o", "kernel/configs.o",
}

// Objects from a directory of the user's, with their debug information, do not
// depend on what it is called, through which link it is named, and where the
// build is. Nothing of them comes from ccache here.
func TestObjectsReal(t *testing.T) {
	if hostArch != "amd64" {
		t.Skip("the objects are those of an amd64 kernel")
	}
	dir := cacheDir(t)
	place := t.TempDir()
	source, moved, link := filepath.Join(place, "linux"), filepath.Join(place, "another-name"), filepath.Join(place, "link")
	tree, err := linux612.open(t.Context(), Options{Dir: dir, Progress: reporter(t)})
	if err != nil {
		t.Fatal(err)
	}
	err = copyTree(t.Context(), tree.dir, source)
	tree.close()
	if err != nil {
		t.Fatal(err)
	}
	other := t.TempDir()
	// For the tools that run here.
	if err := os.Symlink(filepath.Join(dir, "ccache"), filepath.Join(other, "ccache")); err != nil {
		t.Fatal(err)
	}
	before := compileSample(t, Directory{source}, dir)
	if err := errors.Join(os.Rename(source, moved), os.Symlink(moved, link)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, compileSample(t, Directory{link}, other)); diff != "" {
		t.Error(diff)
	}
}

func compileSample(t *testing.T, source Source, dir string) map[string]string {
	t.Helper()
	b, err := prepare(t.Context(), Options{Source: source, Dir: dir, Arch: "amd64"})
	if err != nil {
		t.Fatal(err)
	}
	defer b.close()
	if err := b.configure(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := b.make(t.Context(), nil, append([]string{"CC=gcc"}, sampleObjects...)...); err != nil {
		t.Fatal(err)
	}
	digests := map[string]string{}
	for _, name := range sampleObjects {
		if digests[name], err = cache.Digest(filepath.Join(b.out, name)); err != nil {
			t.Fatal(err)
		}
	}
	return digests
}
