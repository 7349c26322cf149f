package kernelref

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bpf-vmtest/bpf-vmtest/internal/kver"
)

const (
	repository = "ghcr.io/org/kernels"
	digest     = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
)

func v(major, minor, patch, rc int) kver.Version {
	return kver.Version{Major: major, Minor: minor, Patch: patch, RC: rc}
}

func TestParse(t *testing.T) {
	for s, want := range map[string]Source{
		"6.12":     Registry{repository, "6.12", ""},
		"6.12.94":  Registry{repository, "6.12.94", ""},
		"7.3-rc7":  Registry{repository, "7.3-rc7", ""},
		"7.3-rc":   Registry{repository, "7.3-rc", ""},
		"stable":   Registry{repository, "stable", ""},
		"next":     Registry{repository, "next", ""},
		"longterm": Registry{repository, "longterm", ""},
		"mainline": Registry{repository, "mainline", ""},

		"6.12-debug":               Registry{repository, "6.12-debug", ""},
		"7.3-rc7-nobtf":            Registry{repository, "7.3-rc7-nobtf", ""},
		"7.3-rc-nobtf":             Registry{repository, "7.3-rc-nobtf", ""},
		"6.12.94-20261121":         Registry{repository, "6.12.94-20261121", ""},
		"6.12.94-20261121.2-debug": Registry{repository, "6.12.94-20261121.2-debug", ""},
		"stable-kasan":             Registry{repository, "stable-kasan", ""},

		"ghcr.io/org/kernels:6.12":              Registry{repository, "6.12", ""},
		"ghcr.io/org/kernels@" + digest:         Registry{repository, "", digest},
		"ghcr.io/org/kernels:6.12@" + digest:    Registry{repository, "6.12", digest},
		"localhost:5000/k:6.12":                 Registry{"localhost:5000/k", "6.12", ""},
		"quay.io/lvh-images/kernel-images:main": Registry{"quay.io/lvh-images/kernel-images", "main", ""},

		"oci:out":                       Layout{"out", "", ""},
		"oci:out:6.12":                  Layout{"out", "6.12", ""},
		"oci:/a b/c,d:6.12@" + digest:   Layout{"/a b/c,d", "6.12", digest},
		"oci:./x@" + digest:             Layout{"./x", "", digest},
		"oci:../with:colon/x":           Layout{"../with:colon/x", "", ""},
		"oci:me@home/kernels:6.12":      Layout{"me@home/kernels", "6.12", ""},
		"debian:6.12":                   Distribution{"debian", v(6, 12, 0, 0), ""},
		"debian:7.3~rc7":                Distribution{"debian", v(7, 3, 0, 7), ""},
		"ubuntu:6.8":                    Distribution{"ubuntu", v(6, 8, 0, 0), ""},
		"debian:6.12.94@trixie":         Distribution{"debian", v(6, 12, 94, 0), "trixie"},
		"debian:6.12@trixie-backports":  Distribution{"debian", v(6, 12, 0, 0), "trixie-backports"},
		"debian:bookworm":               Distribution{"debian", v(0, 0, 0, 0), "bookworm"},
		"/path/to/linux":                Path{"/path/to/linux"},
		"./bzImage":                     Path{"./bzImage"},
		"../linux":                      Path{"../linux"},
		"/a dir/bz,Image:6.12@anything": Path{"/a dir/bz,Image:6.12@anything"},
	} {
		ref, err := Parse(s, repository)
		if err != nil {
			t.Error(err)
			continue
		}
		if diff := cmp.Diff(want, ref.Source()); diff != "" {
			t.Errorf("Parse(%q) (-want +got):\n%s", s, diff)
		}
		if ref.String() != s {
			t.Errorf("Parse(%q).String() = %q", s, ref)
		}
	}
}

func TestParseErrors(t *testing.T) {
	for s, want := range map[string]string{
		"":                                   "empty",
		"6":                                  "not a version",
		"v6.12":                              "not a version",
		"6.12-":                              "not a version",
		"6.12.94-rc":                         "not a version",
		"6.12-rc1-rc":                        "not a version",
		"6.12-rc-rc":                         "not a version",
		"6.12-rc1-rc2":                       "not a version",
		"6.12-Debug":                         "not a version",
		"6.12-debug-20261121":                "not a version",
		"6.12-2026":                          "not a version",
		"6.12~rc1-debug":                     "not a version",
		"debug":                              "not a version",
		"latest-debug":                       "not a version",
		"debian:6.12-debug":                  "want MAJOR.MINOR",
		"latest":                             "not a version",
		"bzImage":                            "not a version",
		"6.12\n":                             "control character",
		"\xff/x:1":                           "UTF-8",
		"linux/arch/x86":                     "want a :TAG or @DIGEST",
		"boot/bzImage:6.12":                  "not the name of a registry",
		"ghcr.io/org/kernels":                "want a :TAG or @DIGEST",
		"ghcr.io/org/kernels:":               "tag \"\"",
		"ghcr.io/org/kernels:6.12@sha256:12": "want sha256:",
		"ghcr.io/org/kernels@md5:12":         "want sha256:",
		"ghcr.io/Org/kernels:6.12":           "repository",
		"oci:":                               "want a directory",
		"oci::6.12":                          "want a directory",
		"oci:x:":                             "tag \"\"",
		"oci:x:6.12@sha256:zz":               "want sha256:",
		"debian:":                            "suite \"\"",
		"debian:6":                           "want MAJOR.MINOR",
		"debian:6.12@":                       "suite \"\"",
		"debian:Trixie":                      "suite \"Trixie\"",
		"debian:@sid":                        "want MAJOR.MINOR",
		"debian:6.12@../x":                   "suite",
		"fedora:6.12":                        "not a version",
	} {
		_, err := Parse(s, repository)
		var e *Error
		if !errors.As(err, &e) || !strings.Contains(err.Error(), want) {
			t.Errorf("Parse(%q): error %v, want one with %q", s, err, want)
			continue
		}
		if e.ExitCode() != 2 || e.Hint() == "" {
			t.Errorf("Parse(%q): exit code %d, hint %q", s, e.ExitCode(), e.Hint())
		}
	}
}

func TestDefaultRepository(t *testing.T) {
	ref, err := Parse("6.12", "oci:some/dir")
	if diff := cmp.Diff(Source(Layout{"some/dir", "6.12", ""}), ref.Source()); err != nil || diff != "" {
		t.Errorf("in a layout: %v\n%s", err, diff)
	}
	ref, err = Parse("6.12", "debian")
	if diff := cmp.Diff(Source(Distribution{"debian", v(6, 12, 0, 0), ""}), ref.Source()); err != nil || diff != "" {
		t.Errorf("in a distribution: %v\n%s", err, diff)
	}
	for _, repository := range []string{"", "kernels", "/path", "fedora", "ghcr.io/org/kernels:6.12@x"} {
		if ref, err := Parse("6.12", repository); err == nil {
			t.Errorf("in default repository %q: %+v, want an error", repository, ref.Source())
		}
	}
}

func TestParseList(t *testing.T) {
	refs, err := ParseList(`debian:5.10, 6.12,/a\,b`, repository)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range refs {
		got = append(got, r.String())
	}
	if diff := cmp.Diff([]string{"debian:5.10", "6.12", "/a,b"}, got); diff != "" {
		t.Error(diff)
	}
	for s, want := range map[string]string{
		"":              "empty",
		"6.12,":         "empty",
		"6.12,,6.6":     "empty",
		"6.12,6.6,6.12": `"6.12" is named twice`,
	} {
		if _, err := ParseList(s, repository); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseList(%q): error %v, want one with %q", s, err, want)
		}
	}
}

// What is accepted must print as it was written and parse to the same again,
// and only paths may hold what a shell or a file system would act on.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"6.12", "6.12.94-20261121-debug", "stable", "ghcr.io/o/k:6.12@" + digest, "oci:a/b:6.12", "debian:6.12@sid", "ubuntu:noble", "./x", "localhost:1/a@" + digest} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		ref, err := Parse(s, repository)
		if err != nil {
			if !strings.Contains(err.Error(), quote(s)) {
				t.Errorf("the error does not name the input %q: %v", s, err)
			}
			return
		}
		again, err := Parse(ref.String(), repository)
		if err != nil || again != ref {
			t.Errorf("%q parses to %+v, its String to %+v, %v", s, ref, again, err)
		}
		switch src := ref.Source().(type) {
		case Registry:
			if src.Tag == "" && src.Digest == "" || strings.Contains(src.Repository, "..") {
				t.Errorf("%q parses to %+v", s, src)
			}
		case Distribution:
			if src.Version == (kver.Version{}) && src.Suite == "" {
				t.Errorf("%q parses to %+v", s, src)
			}
		}
	})
}
