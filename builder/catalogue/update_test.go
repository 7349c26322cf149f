package catalogue

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bpf-vmtest/bpf-vmtest/builder"
	"github.com/bpf-vmtest/bpf-vmtest/internal/kernelorg"
	"github.com/bpf-vmtest/bpf-vmtest/internal/kernelorg/kernelorgtest"
)

func newSite(t *testing.T, releases ...string) (*kernelorgtest.Server, *kernelorg.Site) {
	t.Helper()
	server := kernelorgtest.New(t)
	server.Index(releases...)
	return server, &kernelorg.Site{Dir: t.TempDir(), BaseURL: server.URL, Fingerprint: server.Key.Fingerprint()}
}

func sum(text string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(text))) }

func TestFollow(t *testing.T) {
	_, site := newSite(t, "mainline 7.4-rc1", "stable 7.2.9", "stable 7.3.2", "longterm 6.18.55", "longterm 6.12.111", "longterm 5.10.260 EOL", "stable 6.6.3 EOL")
	text := `# Ours.

# To come.
- version: 7.3-rc # Debian's
  channels: [mainline, next] # both
  source: debian
  suite: experimental
  pahole: 1.22..
  arch: [amd64]

- version: 7.2
  channels:
    - stable
  source: debian
  gcc: "8.1.."

# Long.
- version: 6.12.94
  channels: [longterm]
  source: kernel.org
  sha256: ` + digest + ` # signed

- version: 6.6
  source: kernel.org
- version: 5.10
  source: debian
- version: 4.19
  source: debian

# The end.
`
	u, err := Follow(t.Context(), site, load(t, text))
	if err != nil {
		t.Fatal(err)
	}
	want := `# Ours.

- version: 7.4-rc1
  channels: [mainline, next]
  source: kernel.org
  sha256: ` + sum("7.4-rc1") + `
  pahole: 1.22..
  arch: [amd64]

# To come.
- version: 7.3 # Debian's
  channels: [stable] # both
  source: debian
  pahole: 1.22..
  arch: [amd64]

- version: 7.2
  source: debian
  gcc: "8.1.."

- version: 6.18.55
  channels: [longterm]
  source: kernel.org
  sha256: ` + sum("6.18.55") + `

# Long.
- version: 6.12.111
  source: kernel.org
  sha256: ` + sum("6.12.111") + ` # signed

- version: 6.6.3
  source: kernel.org
  sha256: ` + sum("6.6.3") + `
- version: 5.10
  source: debian
- version: 4.19
  source: debian

# The end.
`
	if diff := cmp.Diff(want, string(u.New)); diff != "" {
		t.Errorf("(-want +got):\n%s\n%s", diff, u.New)
	}
	wantNotices := []string{
		"linux 7.3-rc: it is released now, so it is no longer taken from experimental",
		"linux 6.6: kernel.org says that it has reached the end of its life; it stays as long as nobody removes it",
		"linux 5.10: kernel.org says that it has reached the end of its life; it stays as long as nobody removes it",
		"linux 4.19: kernel.org does not list it any more, so it is out of support; it stays as it is",
		"linux 7.4-rc1: nobody signs release candidates: its checksum is that of what was downloaded just now",
		"linux 7.4-rc1: it is new here, and built as the kernel below it; see whether that is right",
		"linux 6.18.55: it is new here, and built as the kernel below it; see whether that is right",
	}
	if diff := cmp.Diff(wantNotices, u.Notices); diff != "" {
		t.Errorf("notices (-want +got):\n%s", diff)
	}
	if d := string(u.Diff()); !strings.Contains(d, "\n-- version: 6.6\n") || !strings.Contains(d, "--- a/f\n+++ b/f\n") {
		t.Errorf("diff:\n%s", d)
	}
	// What came of it is up to date, and in our form.
	if again, err := Follow(t.Context(), site, load(t, string(u.New))); err != nil || again.Changed() {
		t.Errorf("once more: %v\n%s", err, again.Diff())
	}
}

func TestFollowOne(t *testing.T) {
	other := strings.Repeat("0", 64)
	for name, c := range map[string]struct{ text, want, notice string }{
		"wrong pin":        {"- {version: 6.12.111, source: kernel.org, sha256: " + other + "}", "- {version: 6.12.111, source: kernel.org, sha256: " + sum("6.12.111") + "}\n", "its checksum was not the one"},
		"no pin":           {"- {version: 6.12.111, source: kernel.org}", "- {version: 6.12.111, source: kernel.org, sha256: " + sum("6.12.111") + "}\n", ""},
		"pinned candidate": {"-   {version: 7.3-rc7, source: kernel.org, sha256: " + other + "}", "", ""},
		"a later one":      {"- {version: 7.3-rc6, source: kernel.org, sha256: " + other + "}", "- {version: 7.3-rc7, source: kernel.org, sha256: " + sum("7.3-rc7") + "}\n", "nobody signs"},
		"ahead of it":      {"- {version: 7.3-rc8, source: kernel.org, sha256: " + other + "}", "", ""},
		"debian's":         {"- {version: 6.12,   source: debian, channels: longterm}", "", ""},
		"an old channel":   {"- {version: 6.12, source: debian, channels: stable}\n- {version: 7.2, source: debian}", "- {version: 6.12, source: debian}\n- {version: 7.2, channels: [stable], source: debian}\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, site := newSite(t, "mainline 7.3-rc7", "stable 7.2.9", "longterm 6.12.111")
			u, err := Follow(t.Context(), site, load(t, c.text))
			if err != nil {
				t.Fatal(err)
			}
			want := c.want
			if want == "" {
				want = c.text
			}
			if string(u.New) != want {
				t.Errorf("got  %swant %s", u.New, want)
			}
			if notices := strings.Join(u.Notices, "\n"); !strings.Contains(notices, c.notice) || (notices == "") != (c.notice == "") {
				t.Errorf("notices %q, want %q", notices, c.notice)
			}
		})
	}
}

// Nothing is made of what cannot be believed.
func TestFollowErrors(t *testing.T) {
	const text = "- {version: 6.12.94, source: kernel.org}"
	server, site := newSite(t, "mainline 7.3-rc7", "stable 7.2.9", "longterm 6.12.111")
	server.Put("/pub/linux/kernel/v6.x/sha256sums.asc", kernelorgtest.NewKey(t).Sign(server.Checksums("/pub/linux/kernel/v6.x/")))
	if u, err := Follow(t.Context(), site, load(t, text)); !errors.As(err, new(*kernelorg.SignatureError)) {
		t.Errorf("a foreign signature: %+v, %v", u, err)
	}
	server.Put("/releases.json", nil)
	if u, err := Follow(t.Context(), site, load(t, text)); !errors.As(err, new(*kernelorg.StatusError)) {
		t.Errorf("no index: %+v, %v", u, err)
	}
}

// A catalogue that is up to date stays as it is, to the byte.
func TestFollowNothing(t *testing.T) {
	_, site := newSite(t, "mainline 7.3-rc7", "stable 7.2.9", "longterm 6.12.111", "longterm 6.1.200", "longterm 5.10.260")
	u, err := Follow(t.Context(), site, Embedded())
	if err != nil {
		t.Fatal(err)
	}
	if u.Changed() || len(u.Diff()) > 0 || len(u.Notices) > 0 {
		t.Errorf("changed:\n%s%q", u.Diff(), u.Notices)
	}
}

// Our own catalogue is written as we write them.
func TestForm(t *testing.T) {
	text, err := fs.ReadFile(builder.Kernels, "kernels.yaml")
	if err != nil {
		t.Fatal(err)
	}
	d, err := parseDocument(text)
	if err != nil {
		t.Fatal(err)
	}
	got, err := d.text()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(text), string(got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
