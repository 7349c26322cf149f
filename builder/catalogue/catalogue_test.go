package catalogue

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/bpf-vmtest/bpf-vmtest/builder"
	"github.com/bpf-vmtest/bpf-vmtest/builder/patch"
	"github.com/bpf-vmtest/bpf-vmtest/internal/kver"
	"github.com/bpf-vmtest/bpf-vmtest/kconfig"
)

func load(t *testing.T, text string) *Catalogue {
	t.Helper()
	c, err := Load(beside(text), "f")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

const sample = `
- {version: 7.3-rc, source: debian, channels: [mainline, next]}
- {version: 7.2, source: debian, channels: stable, arch: amd64, flavours: [debug]}
- {version: 6.12.94, source: kernel.org, channels: longterm, fragments: my.config}
`

func TestFind(t *testing.T) {
	c := load(t, sample)
	for name, want := range map[string]string{
		"mainline": "7.3-rc", "next": "7.3-rc", "7.3": "7.3-rc", "7.3-rc": "7.3-rc",
		"stable": "7.2", "7.2": "7.2",
		"longterm": "6.12.94", "6.12": "6.12.94", "6.12.94": "6.12.94",
		"6.12.93": "", "7.3-rc7": "", "5.10": "", "7.2.1": "",
	} {
		k, err := c.Find(name)
		got := ""
		if k != nil {
			got = k.Version.String()
		}
		if err != nil || got != want {
			t.Errorf("Find(%q) = %q, %v, want %q", name, got, err, want)
		}
	}
	c = load(t, "- {version: 7.2, source: debian, channels: stable}")
	for name, want := range map[string]string{
		"next":     `find kernel "next": the catalogue has none in that channel`,
		"bpf-next": `find kernel "bpf-next": parse kernel version`,
		"":         `find kernel "": parse kernel version`,
	} {
		_, err := c.Find(name)
		var wrong *NameError
		if !errors.As(err, &wrong) || wrong.ExitCode() != 2 || !strings.HasPrefix(err.Error(), want) || !strings.HasPrefix(wrong.Hint(), "name a version, stable;") {
			t.Errorf("Find(%q): %v", name, err)
		}
	}
}

func TestBuilds(t *testing.T) {
	var got []string
	for _, b := range load(t, sample).Builds() {
		got = append(got, fmt.Sprintf("%s %s %s", b.Version, b.Arch, b.Flavour))
	}
	want := []string{"7.3-rc amd64 ", "7.3-rc arm64 ", "7.2 amd64 ", "7.2 amd64 debug", "6.12.94 amd64 ", "6.12.94 arm64 "}
	if !slices.Equal(got, want) {
		t.Errorf("builds are %q, want %q", got, want)
	}
}

func TestConfigure(t *testing.T) {
	c := load(t, sample)
	own, err := kconfig.Parse("own.config", []byte("CONFIG_NET=y\n"))
	if err != nil {
		t.Fatal(err)
	}
	o, err := c.Configure(t.Context(), &c.Kernels[2], builder.Options{Jobs: 3, Fragments: []*kconfig.Fragment{own}})
	if err != nil {
		t.Fatal(err)
	}
	if want := (builder.KernelOrg{Version: kver.Version{Major: 6, Minor: 12, Patch: 94}}); o.Source != want || o.Jobs != 3 {
		t.Errorf("options = %+v", o)
	}
	if len(o.Fragments) != 2 || o.Fragments[0].Name != "my.config" || o.Fragments[1] != own {
		t.Errorf("fragments = %+v", o.Fragments)
	}
	o, err = c.Configure(t.Context(), &c.Kernels[0], builder.Options{})
	if want := (builder.Debian{Series: kver.Version{Major: 7, Minor: 3}}); err != nil || o.Source != want {
		t.Errorf("options = %+v, %v", o, err)
	}
}

// The user's patches come after the catalogue's.
func TestConfigurePatches(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		if os.Getenv("VMTEST_TESTS") == "all" {
			t.Fatal(err)
		}
		t.Skip("needs git")
	}
	c := load(t, "- {version: 6.12, source: debian, patches: patches/a.patch}\n")
	o, err := c.Configure(t.Context(), &c.Kernels[0], builder.Options{Patches: []patch.Patch{{Name: "own.patch"}}})
	if err != nil {
		t.Fatal(err)
	}
	if len(o.Patches) != 2 || o.Patches[0].Name != "a.patch" || o.Patches[1].Name != "own.patch" {
		t.Errorf("patches = %v", o.Patches)
	}
	c = load(t, "- {version: 6.12, source: debian, patches: patches/b.patch}\n")
	var format *patch.FormatError
	if _, err := c.Configure(t.Context(), &c.Kernels[0], builder.Options{}); !errors.As(err, &format) {
		t.Errorf("Configure with a patch that is none = %v", err)
	}
}

// Our own catalogue is in order: whatever it takes from kernel.org is pinned.
func TestEmbedded(t *testing.T) {
	c := Embedded()
	for _, k := range c.Kernels {
		if k.Origin == KernelOrg && k.SHA256 == "" {
			t.Errorf("%s: linux %s has no checksum", k.Pos, k.Version)
		}
		if _, err := c.Configure(t.Context(), &k, builder.Options{}); err != nil {
			t.Error(err)
		}
	}
	for _, name := range append([]string{"6.12"}, Channels...) {
		if k, err := c.Find(name); err != nil || k == nil {
			t.Errorf("Find(%q) = %v, %v", name, k, err)
		}
	}
}
