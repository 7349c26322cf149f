package registry

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func write(t *testing.T, path, content string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestPlaces(t *testing.T) {
	file := write(t, filepath.Join(t.TempDir(), "registries.conf"), `
unqualified-search-registries = ["docker.io"]

[[registry]]
prefix = "ghcr.io/org"
location = "registry.internal:5000/ghcr/org"
[[registry.mirror]]
location = "mirror-1.internal/org"
[[registry.mirror]]
location = "mirror-2.internal/org/"
insecure = true
pull-from-mirror = "digest-only"

[[registry]]
location = "ghcr.io"
mirror-by-digest-only = true
[[registry.mirror]]
location = "everything.internal/ghcr"

[[registry]]
prefix = "*.example.com"
insecure = true

[[registry]]
location = "evil.org"
blocked = true

[aliases]
"fedora" = "registry.fedoraproject.org/fedora"
`)
	m, err := ReadMirrors(file)
	if err != nil {
		t.Fatal(err)
	}
	for repository, want := range map[string][]place{
		"ghcr.io/org/kernels": {
			{"mirror-1.internal/org/kernels", false, true, byAny},
			{"mirror-2.internal/org/kernels", true, true, byDigest},
			{"registry.internal:5000/ghcr/org/kernels", false, false, byAny},
		},
		"ghcr.io/organisation/kernels": { // the prefix ends within a name
			{"everything.internal/ghcr/organisation/kernels", false, true, byDigest},
			{"ghcr.io/organisation/kernels", false, false, byAny},
		},
		"a.b.example.com/kernels": {{"a.b.example.com/kernels", true, false, byAny}},
		"ghcr.io:444/org/kernels": {{"ghcr.io:444/org/kernels", false, false, byAny}},
		"quay.io/kernels":         {{"quay.io/kernels", false, false, byAny}},
	} {
		got, err := m.places(repository)
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(place{})); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", repository, err, diff)
		}
	}
	if got, err := m.places("evil.org/kernels"); err == nil || !strings.Contains(err.Error(), "blocks evil.org") {
		t.Errorf("blocked: %v, %v", got, err)
	}
}

func TestMirrorErrors(t *testing.T) {
	for content, want := range map[string]string{
		"[[registry]]\nlocation = \"ghcr.io\"\nlocation = 1\n":        ":3: ",
		"[[registry]]\nlocation = 5\n":                                "line 2",
		"[[registry]]\ninsecure = true\n":                             "neither a prefix nor a location",
		"[[registry]]\nlocation = \"ghcr.io\"\n[[registry.mirror]]\n": "no location",
		"[[registry]]\nlocation = \"ghcr.io\"\n[[registry.mirror]]\nlocation = \"m.org\"\npull-from-mirror = \"digest\"\n": `"digest": want all`,
	} {
		file := write(t, filepath.Join(t.TempDir(), "registries.conf"), content)
		_, err := ReadMirrors(file)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), file) {
			t.Errorf("%q: error %v, want one with %q", content, err, want)
		}
		if coded, ok := err.(interface{ ExitCode() int }); !ok || coded.ExitCode() != 2 {
			t.Errorf("%q: not the user's error", content)
		}
	}
}

// The user's file takes the machine's place, and drop-ins come after both.
func TestSystemMirrors(t *testing.T) {
	home := t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", home)
	table := func(mirror string) string {
		return "[[registry]]\nlocation = \"example.com\"\n[[registry.mirror]]\nlocation = \"" + mirror + "\"\n"
	}
	first := func() string {
		m, err := SystemMirrors()
		if err != nil {
			t.Fatal(err)
		}
		places, err := m.places("example.com/k")
		if err != nil {
			t.Fatal(err)
		}
		return places[0].path
	}
	if got := first(); got != "example.com/k" {
		t.Errorf("without files: %s", got)
	}
	write(t, home+"/containers/registries.conf", table("one.org"))
	if got := first(); got != "one.org/k" {
		t.Errorf("with the user's file: %s", got)
	}
	write(t, home+"/containers/registries.conf.d/a.conf", table("two.org"))
	write(t, home+"/containers/registries.conf.d/b.conf", table("three.org"))
	write(t, home+"/containers/registries.conf.d/c.conf~", table("four.org"))
	if got := first(); got != "three.org/k" {
		t.Errorf("with drop-ins: %s", got)
	}
	t.Setenv("CONTAINERS_REGISTRIES_CONF", write(t, home+"/own.conf", table("five.org")))
	if got := first(); got != "five.org/k" {
		t.Errorf("with the variable: %s", got)
	}
}

// A mirror that fails is named once and not asked again; the registry itself
// is the last resort, and digests tell whether a mirror is to be believed.
func TestMirrors(t *testing.T) {
	for name, fault := range map[string]func(int, http.ResponseWriter, *http.Request) bool{
		"down":   nil,
		"lacks":  fail(404),
		"broken": fail(500),
		"denies": fail(401),
		"lies": func(_ int, w http.ResponseWriter, r *http.Request) bool {
			if !strings.Contains(r.URL.Path, "/blobs/") {
				return false
			}
			w.Write(make([]byte, 3<<20))
			return true
		},
		"cuts": func(_ int, w http.ResponseWriter, r *http.Request) bool {
			if !strings.Contains(r.URL.Path, "/blobs/") {
				return false
			}
			w.Write(make([]byte, 1000))
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		},
	} {
		origin, mirror, good := newServer(t), newServer(t), newServer(t)
		mirror.fault = fault
		if name == "down" {
			mirror.Close()
		}
		client := newClient(t, registryTable{Prefix: origin.host(), Location: origin.host(), Mirrors: []mirrorTable{
			{Location: mirror.host(), Pull: byAny}, {Location: good.host(), Pull: byAny},
		}})
		r := client.repository(t, origin.host())
		if _, err := r.Tag(t.Context(), "6.12"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for range 2 {
			f := file(t, nil)
			if err := r.Download(t.Context(), origin.descriptor(), f, nothing); err != nil || digest(content(t, f)) != origin.descriptor().Digest {
				t.Errorf("%s: %v", name, err)
			}
		}
		left := 0
		for _, w := range client.warnings {
			if strings.HasPrefix(w, "mirror "+mirror.host()+"/org/kernels is left out: ") {
				left++
			}
		}
		if left != 1 {
			t.Errorf("%s: warnings %q, want one about the mirror", name, client.warnings)
		}
		if asked := origin.requests(); len(asked) > 0 {
			t.Errorf("%s: the registry was asked for %q", name, asked)
		}
		// With the other mirror gone, too, there is still the registry.
		good.Close()
		if err := r.Download(t.Context(), origin.descriptor(), file(t, nil), nothing); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A mirror that is only good for digests is not asked about tags.
func TestMirrorForDigests(t *testing.T) {
	origin, mirror := newServer(t), newServer(t)
	client := newClient(t, registryTable{Prefix: origin.host(), Location: origin.host(), Mirrors: []mirrorTable{{Location: mirror.host(), Pull: byDigest}}})
	r := client.repository(t, origin.host())
	d, err := r.Tag(t.Context(), "6.12")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Manifest(t.Context(), d.Digest); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"manifests/6.12"}, origin.requests()); diff != "" {
		t.Errorf("registry (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"manifests"}, mirror.requests()); diff != "" {
		t.Errorf("mirror (-want +got):\n%s", diff)
	}
}
