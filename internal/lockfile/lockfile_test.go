package lockfile

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bpf-vmtest/bpf-vmtest/internal/configfile"
	"github.com/bpf-vmtest/bpf-vmtest/internal/kernelref"
)

var (
	one   = "sha256:" + strings.Repeat("1", 64)
	two   = "sha256:" + strings.Repeat("2", 64)
	image = Pin{Image: "ghcr.io/org/kernels", Tag: "6.12", Digest: one, Release: "6.12.95"}
	deb   = Pin{
		Package: "debian:6.12", Arch: "amd64", Name: "linux-image-6.12.107+deb13-amd64", Version: "6.12.107-1",
		Suite: "trixie-security", Digest: two, Release: "6.12.107+deb13-amd64",
	}
)

// load reads a file with the content, which may be "" for none.
func load(t *testing.T, content string) (*File, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), ".vmtest", "kernels.lock")
	if content != "" {
		if err := os.Mkdir(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return Load(path)
}

// saved is the file's content after it was saved and read again.
func saved(t *testing.T, f *File) string {
	t.Helper()
	if err := f.Save(); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(f.Path)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Load(f.Path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(f.Pins(), again.Pins()); diff != "" {
		t.Errorf("read again (-want +got):\n%s", diff)
	}
	return string(content)
}

func set(t *testing.T, f *File, p Pin) Pin {
	t.Helper()
	old, err := f.Set(p)
	if err != nil {
		t.Fatal(err)
	}
	return old
}

func TestNew(t *testing.T) {
	f, err := load(t, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []Pin{image, deb} {
		if old := set(t, f, p); old != (Pin{}) {
			t.Errorf("%s was %v", p, old)
		}
	}
	want := header + `

- image: ghcr.io/org/kernels
  tag: "6.12"
  digest: ` + one + `
  release: 6.12.95

- package: debian:6.12
  arch: amd64
  name: linux-image-6.12.107+deb13-amd64
  version: "6.12.107-1"
  suite: trixie-security
  digest: ` + two + `
  release: 6.12.107+deb13-amd64
`
	if diff := cmp.Diff(want, saved(t, f)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A change touches the values that change, and nothing else.
func TestSet(t *testing.T) {
	const content = `# ours
- image: ghcr.io/org/kernels # public
  tag: '6.12'
  # renovate may write this
  digest: ONE   # of 2026

# the next
- image: quay.io/k
  release: 6.6.1
  digest: ONE
  tag: 6.6
# end
`
	f, err := load(t, strings.ReplaceAll(content, "ONE", one))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]Pin{
		{Image: "ghcr.io/org/kernels", Tag: "6.12", Digest: one},
		{Image: "quay.io/k", Tag: "6.6", Digest: one, Release: "6.6.1"},
	}, f.Pins()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	old := set(t, f, Pin{Image: "ghcr.io/org/kernels", Tag: "6.12", Digest: two, Release: "6.12.96"})
	if old.Digest != one {
		t.Errorf("it was %v", old)
	}
	set(t, f, Pin{Image: "quay.io/k", Tag: "6.6", Digest: two})
	want := strings.ReplaceAll(`# ours
- image: ghcr.io/org/kernels # public
  tag: "6.12"
  # renovate may write this
  digest: TWO   # of 2026
  release: 6.12.96

# the next
- image: quay.io/k
  digest: TWO
  tag: "6.6"
# end
`, "TWO", two)
	if diff := cmp.Diff(want, saved(t, f)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	// The same again changes nothing.
	before := saved(t, f)
	for _, p := range f.Pins() {
		if old := set(t, f, p); old != p {
			t.Errorf("%v was %v", p, old)
		}
	}
	if diff := cmp.Diff(before, saved(t, f)); diff != "" {
		t.Errorf("unchanged (-want +got):\n%s", diff)
	}
	if _, err := f.Set(Pin{Image: "quay.io/k", Tag: "6.6", Digest: "sha256:1"}); err == nil {
		t.Error("entered a digest that is none")
	}
	if diff := cmp.Diff(before, saved(t, f)); diff != "" {
		t.Errorf("after the error (-want +got):\n%s", diff)
	}
}

func TestErrors(t *testing.T) {
	entry := "- image: ghcr.io/org/kernels\n  tag: \"6.12\"\n  digest: " + one + "\n"
	deb := "- package: debian:6.12\n  arch: amd64\n  name: linux-image-amd64\n  version: \"1\"\n  suite: sid\n  digest: " + one + "\n"
	for content, want := range map[string]string{
		"image: x\n": "1:1: not a list",
		"- x\n":      "1:3: not an entry",
		strings.Replace(entry, "tag:", "tga:", 1):                 `2:3: unknown field "tga"`,
		strings.Replace(entry, "  tag: \"6.12\"\n", "", 1):        `1:3: entry has no field "tag"`,
		strings.Replace(entry, one, "sha256:12", 1):               `3:11: digest "sha256:12": want sha256: and 64`,
		strings.Replace(entry, "ghcr.io/org", "org", 1):           `1:3: parse kernel reference "org/kernels:6.12"`,
		strings.Replace(entry, "6.12", "6.12@"+one, 1):            "is not the reference of an image",
		entry + "\n" + entry:                                      "5:3: ghcr.io/org/kernels:6.12 is there twice, first in line 1",
		"- {image: ghcr.io/org/kernels, tag: a, digest: x}\n":     `field "image" is not on a line of its own`,
		"- image:\n    ghcr.io/org/kernels\n" + entry[28:]:        `2:5: field "image" is not on a line of its own`,
		strings.Replace(entry, "\n", "\n  release: [a]\n", 1):     `2:12: field "release" is a list`,
		strings.Replace(deb, "debian:6.12", "debian:6.12 ", 1):    "", // spaces at the end are not part of it
		strings.Replace(deb, "debian:6.12", "alpine:6.12", 1):     `1:3: parse kernel reference "alpine:6.12"`,
		strings.Replace(deb, "debian:6.12", "ghcr.io/a/b:6.1", 1): `1:3: "ghcr.io/a/b:6.1" is not the reference of an image or a package`,
		strings.Replace(deb, "linux-image-amd64", "../etc", 1):    `3:9: name "../etc": want the name of a package`,
		strings.Replace(deb, "\"1\"", "\"1 2\"", 1):               `4:12: version "1 2": want`,
		strings.Replace(deb, "arch", "tag", 1):                    `2:3: unknown field "tag"`,
		"~\n":                                                     `1:1: neither a field nor a comment`,
		"[]\n":                                                    `1:1: neither a field nor a comment`,
		entry + "...\n":                                           "4:1: neither a field nor a comment",
		deb + strings.Replace(deb, "amd64", "arm64", 1):           "",
	} {
		_, err := load(t, content)
		if want == "" {
			if err != nil {
				t.Errorf("%q: %v", content, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), "kernels.lock:") || !strings.Contains(err.Error(), want) {
			t.Errorf("%q:\n%v\nwant an error with %q", content, err, want)
		}
		var errs configfile.Errors
		if !errors.As(err, &errs) || errs.ExitCode() != 2 {
			t.Errorf("%q: not the user's error: %v", content, err)
		}
	}
}

func ref(t *testing.T, s string) kernelref.Ref {
	t.Helper()
	r, err := kernelref.Parse(s, "ghcr.io/org/kernels")
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestFind(t *testing.T) {
	f, err := load(t, "")
	if err != nil {
		t.Fatal(err)
	}
	set(t, f, image)
	set(t, f, deb)
	for s, want := range map[string]Pin{
		"6.12":                            image, // in the default repository
		"ghcr.io/org/kernels:6.12":        image,
		"ghcr.io/org/kernels:6.12@" + two: {}, // says itself what it is
		"debian:6.12":                     deb,
		"debian:6.12@trixie":              {},
		"6.6":                             {},
		"./bzImage":                       {},
		"oci:dir:6.12":                    {},
	} {
		if got, ok := f.Find(ref(t, s), "amd64"); got != want || ok != (want != Pin{}) {
			t.Errorf("%s: %v, want %v", s, got, want)
		}
	}
	if got, ok := f.Find(ref(t, "debian:6.12"), "arm64"); ok {
		t.Errorf("for another architecture: %v", got)
	}
	var none *File
	if got, ok := none.Find(ref(t, "6.12"), "amd64"); ok {
		t.Errorf("without a file: %v", got)
	}
	fine := []kernelref.Ref{ref(t, "6.12"), ref(t, "debian:6.12"), ref(t, "./bzImage"), ref(t, "oci:dir"), ref(t, "ghcr.io/org/kernels@"+one)}
	if err := f.Require(fine, "amd64"); err != nil {
		t.Error(err)
	}
	var missing *MissingError
	if err := f.Require(append(fine, ref(t, "6.6")), "amd64"); !errors.As(err, &missing) || missing.Ref != "6.6" || missing.Hint() != "vmtest kernel lock 6.6" {
		t.Errorf("missing: %v", err)
	}
}

func TestPath(t *testing.T) {
	root := t.TempDir()
	for _, dir := range []string{"m/a/b", "m/n/c", "x/go.mod"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, mod := range []string{"m/go.mod", "m/n/go.mod"} {
		if err := os.WriteFile(filepath.Join(root, mod), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for dir, want := range map[string]string{"m": "m", "m/a/b": "m", "m/n": "m/n", "m/n/c": "m/n", "x": "x"} {
		got, err := Path(filepath.Join(root, dir))
		if want := filepath.Join(root, want, ".vmtest/kernels.lock"); err != nil || got != want {
			t.Errorf("%s: %s, %v, want %s", dir, got, err, want)
		}
	}
}

// Whatever is accepted can be changed, and is then what was entered.
func FuzzParse(f *testing.F) {
	f.Add("- image: ghcr.io/org/kernels\n  tag: \"6.12\"\n  digest: " + one + "\n")
	f.Add("# c\n- package: debian:6.12\n  arch: amd64\n  name: linux-image-a\n  version: '1'\n  suite: sid # x\n  digest: " + one + "\n")
	f.Fuzz(func(t *testing.T, content string) {
		file, err := parse("kernels.lock", []byte(content))
		if err != nil {
			return
		}
		for _, p := range file.Pins() {
			p.Digest, p.Release = two, "1.2.3"
			if _, err := file.Set(p); err != nil {
				t.Fatal(err)
			}
		}
		for _, p := range append(file.Pins(), image) {
			if _, err := file.Set(p); err != nil || file.index(p) < 0 {
				t.Fatalf("%v: %v", p, err)
			}
		}
	})
}
