package catalogue

import (
	"errors"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/bpf-vmtest/bpf-vmtest/builder"
	"github.com/bpf-vmtest/bpf-vmtest/internal/configfile"
	"github.com/bpf-vmtest/bpf-vmtest/internal/kver"
)

var digest = strings.Repeat("0a", 32)

// beside is what is in the catalogue's directory.
func beside(text string) fstest.MapFS {
	return fstest.MapFS{
		"f":               {Data: []byte(text)},
		"my.config":       {Data: []byte("CONFIG_DUMMY=y\n")},
		"patches/a.patch": {Data: []byte("--- a/a\n+++ b/a\n@@ -1 +1 @@\n-one\n+two\n")},
		"patches/b.patch": {Data: []byte("b")},
	}
}

func TestLoad(t *testing.T) {
	c, err := Load(beside(`# head
- version: 5.10 # not the number 5.1
  source: debian
- version: 7.3-rc
  channels: [mainline, next]
  source: debian
  suite: experimental
  pahole: 1.22..
  gcc: 8.1..
  arch: amd64
  flavours: [debug, nobtf]
  fragments: my.config
  patches: [patches/b.patch, patches/a.patch]
- version: 6.12.94
  source: kernel.org
  sha256: `+digest+"\n"), "f")
	if err != nil {
		t.Fatal(err)
	}
	got := c.Kernels
	needs := got[1].Needs
	got[1].Needs = builder.Needs{} // cannot be compared
	want := []Kernel{
		{Pos: configfile.Pos{File: "f", Line: 2, Column: 3}, Version: Version{Version: kver.Version{Major: 5, Minor: 10}}, Origin: Debian, Archs: []string{"amd64", "arm64"}},
		{Pos: configfile.Pos{File: "f", Line: 4, Column: 3}, Version: Version{kver.Version{Major: 7, Minor: 3}, true}, Channels: []string{"mainline", "next"}, Origin: Debian,
			Suite: "experimental", Archs: []string{"amd64"}, Flavours: []string{"debug", "nobtf"}, Fragments: []string{"my.config"}, Patches: []string{"patches/b.patch", "patches/a.patch"}},
		{Pos: configfile.Pos{File: "f", Line: 14, Column: 3}, Version: Version{Version: kver.Version{Major: 6, Minor: 12, Patch: 94}}, Origin: KernelOrg, SHA256: digest, Archs: []string{"amd64", "arm64"}},
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b builder.Needs) bool { return a == b })); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if needs.Pahole.String() != "1.22.." || needs.GCC.String() != "8.1.." {
		t.Errorf("needs %v", needs)
	}
	if c, err := Load(beside("# nothing\n"), "f"); err != nil || len(c.Kernels) > 0 {
		t.Errorf("an empty file: %v, %v", c, err)
	}
}

func TestLoadErrors(t *testing.T) {
	for _, c := range []struct{ name, text, want, remedy string }{
		{"unknown field", "- {version: 6.12, source: debian, chanels: stable}", `f:1:35: unknown field "chanels"`, "fields are version"},
		{"no version", "- source: debian", "f:1:3: kernel has no version", "6.12"},
		{"no source", "- version: 6.12", "f:1:3: kernel has no source", "debian"},
		{"bad version", "- {version: six, source: debian}", `f:1:13: version "six" is not one of Linux`, "6.12"},
		{"null version", "- {version: , source: debian}", `f:1:13: version "" is not one of Linux`, "6.12"},
		{"zero patch level", "- {version: 6.12.0, source: kernel.org}", `f:1:13: version "6.12.0" is not one`, "exact"},
		{"debian's way", "- {version: 7.3~rc7, source: kernel.org}", `f:1:13: version "7.3~rc7"`, "7.3-rc7"},
		{"candidate of a patch", "- {version: 6.12.1-rc, source: debian}", `f:1:13: version "6.12.1-rc"`, "7.3-rc"},
		{"exact from debian", "- {version: 6.12.94, source: debian}", `f:1:13: version "6.12.94": debian has series only`, "exact"},
		{"candidate from debian", "- {version: 7.3-rc7, source: debian}", `f:1:13: version "7.3-rc7": debian has series only`, "7.3-rc"},
		{"some candidate", "- {version: 7.3-rc, source: kernel.org}", `f:1:13: version "7.3-rc": which of the release candidates`, "7.3-rc7"},
		{"unknown source", "- {version: 6.12, source: ubuntu}", `f:1:27: unknown source "ubuntu"`, "debian or kernel.org"},
		{"suite", "- {version: 6.12, source: debian, suite: Trixie}", `f:1:42: suite "Trixie" is none`, "trixie-backports"},
		{"suite of kernel.org", "- {version: 6.12, source: kernel.org, suite: sid}", "f:1:46: kernel.org has no suites", "leave"},
		{"short checksum", "- {version: 6.12, source: kernel.org, sha256: 00ff}", `f:1:47: sha256 "00ff" is none`, "64 hexadecimal"},
		{"upper case checksum", "- {version: 6.12, source: kernel.org, sha256: " + strings.ToUpper(digest) + "}", "f:1:47: sha256", "lower case"},
		{"series twice", "- {version: 6.12, source: debian}\n- {version: 6.12.94, source: kernel.org}", "f:2:13: series 6.12 is listed twice, first at line 1", "one tag"},
		{"candidate and release", "- {version: 7.3-rc, source: debian}\n- {version: 7.3, source: debian}", "f:2:13: series 7.3 is listed twice", "one tag"},
		{"channel twice", "- {version: 6.12, source: debian, channels: stable}\n- {version: 6.1, source: debian, channels: [longterm, stable]}", `f:2:44: channel "stable" is named twice, first at line 1`, "decide"},
		{"channel twice in one", "- {version: 6.12, source: debian, channels: [stable, stable]}", `f:1:45: "stable" is listed twice`, "once"},
		{"unknown channel", "- {version: 6.12, source: debian, channels: [stable, lts]}", `f:1:54: unknown channel "lts"`, "longterm"},
		{"unknown architecture", "- {version: 6.12, source: debian, arch: x86_64}", `f:1:41: unknown architecture "x86_64"`, "amd64"},
		{"bad flavour", "- {version: 6.12, source: debian, flavours: [no-btf]}", `f:1:46: unknown flavour "no-btf"`, "debug, kasan, nobtf"},
		{"bad need", "- {version: 6.12, source: debian, pahole: new}", `f:1:43: parse kernel range "new"`, "1.22.."},
		{"unquoted need", "- version: 6.12\n  source: debian\n  gcc: >=8\n", "f:", "quotes"},
		{"no such file", "- {version: 6.12, source: debian, fragments: other.config}", `f:1:46: read "other.config": file does not exist`, "catalogue's directory"},
		{"a directory", "- {version: 6.12, source: debian, patches: patches}", `f:1:44: "patches" is not a file`, "catalogue's directory"},
		{"outside", "- {version: 6.12, source: debian, patches: ../a.patch}", `f:1:44: file "../a.patch" is not below the catalogue`, "below it"},
		{"a list of versions", "- {version: [6.12], source: debian}", `f:1:13: field "version" is a list`, "may be lists"},
		{"a mapping", "version: 6.12\nsource: debian\n", "f:1:1: not a list", "dash"},
		{"a word", "- 6.12\n", "f:1:3: not a kernel", "dash"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Load(beside(c.text), "f")
			var errs configfile.Errors
			if !errors.As(err, &errs) {
				t.Fatalf("error = %v", err)
			}
			if len(errs) != 1 || !strings.HasPrefix(errs.Error(), c.want) || !strings.Contains(errs.Hint(), c.remedy) {
				t.Errorf("%d errors: %v, hint %q, want %s, %s", len(errs), errs, errs.Hint(), c.want, c.remedy)
			}
		})
	}
	if _, err := Load(beside(""), "none"); err == nil || err.Error() != `read "none": file does not exist` {
		t.Errorf("no file: %v", err)
	}
	if _, err := Load(beside("- {version: x, source: x}\n- 6.12\n"), "f"); strings.Count(err.Error(), "\n") != 2 {
		t.Errorf("not all errors at once: %v", err)
	}
}
