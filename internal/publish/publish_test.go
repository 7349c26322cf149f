package publish

import (
	"context"
	"errors"
	"fmt"
	"io"
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
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/bpf-vmtest/bpf-vmtest/internal/artifact"
	"github.com/bpf-vmtest/bpf-vmtest/internal/features"
	own "github.com/bpf-vmtest/bpf-vmtest/internal/registry"
)

// server is an in-process registry with a switch for faults.
type server struct {
	repository string       // HOST/REPOSITORY
	fault      atomic.Value // of func(*http.Request) (status int), 0 for none, < 0 to do it and answer that

	mu  sync.Mutex
	log []string // METHOD PATH of what was changed
}

func newServer(t *testing.T) *server {
	s := &server{}
	r := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if f, ok := s.fault.Load().(func(*http.Request) int); ok {
			if status := f(q); status > 0 {
				w.WriteHeader(status)
				return
			} else if status < 0 {
				r.ServeHTTP(httptest.NewRecorder(), q)
				w.WriteHeader(-status)
				return
			}
		}
		if q.Method != http.MethodGet && q.Method != http.MethodHead {
			s.mu.Lock()
			s.log = append(s.log, q.Method+" "+q.URL.Path)
			s.mu.Unlock()
		}
		r.ServeHTTP(w, q)
	}))
	t.Cleanup(h.Close)
	s.repository = strings.TrimPrefix(h.URL, "http://") + "/org/kernels"
	return s
}

// sent counts the requests whose method and path contain the words.
func (s *server) sent(words ...string) int {
	n := 0
	for _, line := range s.log {
		if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(line, w) }) {
			n++
		}
	}
	return n
}

// client is one that loses no time and knows no secrets.
func client() *own.Client {
	return &own.Client{Keychain: authn.NewMultiKeychain(), Mirrors: &own.Mirrors{}, Pause: time.Millisecond}
}

func (s *server) open(t *testing.T) *Repository {
	t.Helper()
	r, err := Open(context.Background(), client(), s.repository)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// tags is what each tag names, but for those of nobody.
func (s *server) tags(t *testing.T) map[string]string {
	t.Helper()
	s.fault.Store(func(*http.Request) int { return 0 })
	repository, err := name.NewRepository(s.repository)
	if err != nil {
		t.Fatal(err)
	}
	list, err := remote.List(repository)
	if err != nil {
		return map[string]string{} // there is no repository yet
	}
	tags := map[string]string{}
	for _, tag := range list {
		d, err := remote.Head(repository.Tag(tag))
		if err != nil {
			t.Fatal(err)
		}
		tags[tag] = d.Digest.String()
	}
	return tags
}

// A fixture is a kernel to be packed.
type fixture struct {
	release, arch, flavour string
	content                string // makes the kernel another one
	untested               bool
	spoil                  func(*features.Table)
}

// pack packs the kernel into a layout of its own, as `vmtest kernel build` does.
func (f fixture) pack(t *testing.T) Kernel {
	t.Helper()
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	parts := artifact.Parts{
		Release: f.release, Arch: f.arch, Build: artifact.Build{Flavour: f.flavour},
		Kernel: write("bzImage", f.content), Config: write("config", "CONFIG_BPF=y\n"),
		Modules: filepath.Dir(write("lib/modules/"+f.release+"/modules.dep", "")),
	}
	l, kernel := packInto(t, filepath.Join(dir, "first"), parts)
	if !f.untested {
		table := &features.Table{Release: f.release, Arch: f.arch, Parts: kernel.BootParts()}
		table.Add(features.Kernel, features.Feature{Name: "power_off", State: features.Supported})
		if f.spoil != nil {
			f.spoil(table)
		}
		content, err := table.Encode()
		if err != nil {
			t.Fatal(err)
		}
		parts.Features = write("features.json", string(content))
		l, kernel = packInto(t, filepath.Join(dir, "second"), parts)
	}
	return Kernel{kernel, l}
}

func packInto(t *testing.T, dir string, parts artifact.Parts) (*artifact.Layout, *artifact.Manifest) {
	t.Helper()
	digest, err := artifact.Pack(context.Background(), parts, dir, "some")
	if err != nil {
		t.Fatal(err)
	}
	l, err := artifact.OpenLayout(dir)
	if err != nil {
		t.Fatal(err)
	}
	kernels, err := l.Kernels("", digest)
	if err != nil || len(kernels) != 1 {
		t.Fatal(kernels, err)
	}
	return l, kernels[0]
}

func release(t *testing.T, fixtures ...fixture) *Release {
	t.Helper()
	var kernels []Kernel
	for _, f := range fixtures {
		kernels = append(kernels, f.pack(t))
	}
	r, err := NewRelease(context.Background(), kernels, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// publish is what `vmtest kernel push` does.
func publish(t *testing.T, s *server, r *Release, tags Tags) ([]Move, error) {
	t.Helper()
	repository := s.open(t)
	if err := repository.Push(context.Background(), r); err != nil {
		return nil, err
	}
	return repository.Tag(context.Background(), r, tags)
}

func TestPublish(t *testing.T) {
	s := newServer(t)
	r := release(t, fixture{release: "6.12.94", arch: "arm64"}, fixture{release: "6.12.94", arch: "amd64"})
	moves, err := publish(t, s, r, Tags{Date: "20261121", Channels: []string{"stable"}})
	if err != nil {
		t.Fatal(err)
	}
	digest := r.Index.Digest.String()
	var lines []string
	for _, m := range moves {
		lines = append(lines, m.String())
	}
	want := []string{"6.12.94-20261121: new → " + digest, "6.12.94: new → " + digest, "6.12: new → " + digest, "stable: new → " + digest}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Errorf("moves (-want +got):\n%s", diff)
	}
	repository, err := name.NewRepository(s.repository)
	if err != nil {
		t.Fatal(err)
	}
	index, err := remote.Index(repository.Tag("stable"))
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Index(index); err != nil {
		t.Error(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if len(manifest.Manifests) != 2 || manifest.ArtifactType != artifact.Type || manifest.Manifests[0].Platform.String() != "linux/amd64" ||
		manifest.Annotations["org.opencontainers.image.version"] != "6.12.94" || manifest.Annotations["org.opencontainers.image.source"] != artifact.Repository {
		t.Errorf("index is %+v", manifest)
	}

	// Again, nothing is sent and no tag moves.
	s.log = nil
	if moves, err = publish(t, s, r, Tags{Date: "20261121", Channels: []string{"stable"}}); err != nil {
		t.Fatal(err)
	}
	for _, m := range moves {
		if !m.Stays() {
			t.Errorf("again: %s", m)
		}
	}
	if s.sent("blobs") > 0 || s.sent("manifests/6.12") > 0 {
		t.Errorf("again, these were sent: %v", s.log)
	}

	// Another build of the day, of one architecture, sends what differs.
	s.log = nil
	r = release(t, fixture{release: "6.12.94", arch: "amd64", content: "other"})
	if moves, err = publish(t, s, r, Tags{Date: "20261121"}); err != nil {
		t.Fatal(err)
	}
	if s.sent("PATCH") != 3 { // kernel, features, configuration
		t.Errorf("another kernel sent %v", s.log)
	}
	tags := s.tags(t)
	second := r.Index.Digest.String()
	wantTags := map[string]string{
		"6.12.94-20261121": digest, "6.12.94-20261121.1": second, "6.12.94": second, "6.12": second, "stable": digest,
	}
	if diff := cmp.Diff(wantTags, tags); diff != "" {
		t.Errorf("tags (-want +got):\n%s", diff)
	}
	if moves[0].Tag != "6.12.94-20261121.1" || moves[1].From.String() != digest {
		t.Errorf("moves are %v", moves)
	}
	if moves, err = s.open(t).Plan(context.Background(), r, Tags{Date: "20261121"}); err != nil || moves[0].Tag != "6.12.94-20261121.1" || !moves[0].Stays() {
		t.Errorf("the second build again: %v, %v", moves, err)
	}
}

// The index in a layout and in a registry are the same.
func TestSameIndex(t *testing.T) {
	k := fixture{release: "6.12.94", arch: "amd64", flavour: "debug"}.pack(t)
	found, err := k.Layout.Find("some", "")
	if err != nil {
		t.Fatal(err)
	}
	r, err := NewRelease(context.Background(), []Kernel{k, k}, nil)
	if err != nil {
		t.Fatal(err)
	}
	found[0].Annotations = nil
	if diff := cmp.Diff(found[0], r.Index); diff != "" {
		t.Errorf("index (-layout +registry):\n%s", diff)
	}
	other, err := NewRelease(context.Background(), []Kernel{k}, map[string]string{"org.opencontainers.image.revision": "abc"})
	if err != nil || other.Index.Digest == r.Index.Digest || !strings.Contains(string(other.index), `"abc"`) {
		t.Errorf("with an annotation: %s, %v", other.index, err)
	}
}

// What must not be published is refused before anything is asked.
func TestRefused(t *testing.T) {
	good := fixture{release: "6.12.94", arch: "amd64"}
	damaged := fixture{release: "6.12.94", arch: "amd64", content: "damaged"}.pack(t)
	layer, _ := damaged.Layer(artifact.Kernel)
	blobPath := func(k Kernel, hex string) string {
		b, err := k.Layout.Blob(context.Background(), layer.Descriptor)
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		return b.(*os.File).Name()
	}
	if err := os.WriteFile(blobPath(damaged, layer.Digest.Hex), []byte("tampered"), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		kernels    []Kernel
		want, hint string
	}{
		"none":     {nil, "there is none", ""},
		"untested": {[]Kernel{fixture{release: "6.12.94", arch: "amd64", untested: true}.pack(t)}, "no table of features", "-no-boot"},
		"two":      {[]Kernel{good.pack(t), fixture{release: "6.12.94", arch: "amd64", content: "x"}.pack(t)}, "another one for amd64", "oci:DIR:TAG"},
		"versions": {[]Kernel{good.pack(t), fixture{release: "6.12.93", arch: "arm64"}.pack(t)}, "not of the version", ""},
		"flavours": {[]Kernel{good.pack(t), fixture{release: "6.12.94", arch: "arm64", flavour: "debug"}.pack(t)}, "not of the version and flavour", ""},
		"damaged":  {[]Kernel{damaged}, layer.Digest.String(), ""},
	} {
		t.Run(name, func(t *testing.T) { wantRefusal(t, c.kernels, c.want, c.hint) })
	}
}

func wantRefusal(t *testing.T, kernels []Kernel, want, hint string) {
	t.Helper()
	_, err := NewRelease(context.Background(), kernels, nil)
	var refused *Error
	if !errors.As(err, &refused) || !strings.Contains(err.Error(), want) || !strings.Contains(refused.Hint(), hint) || refused.ExitCode() != 2 {
		t.Errorf("%v, want an Error with %q and the hint %q", err, want, hint)
	}
}

// A table of features that is about anything else does not count.
func TestRefusedTable(t *testing.T) {
	for name, spoil := range map[string]func(*features.Table){
		"of another kernel":  func(f *features.Table) { f.Parts["kernel"] = f.Parts["config"] },
		"with a part more":   func(f *features.Table) { f.Parts["btf"] = f.Parts["config"] },
		"with a part less":   func(f *features.Table) { delete(f.Parts, "modules") },
		"that hangs":         func(f *features.Table) { f.Features[features.Kernel][0].State = features.Unsupported },
		"of another release": func(f *features.Table) { f.Release = "6.12.93" },
		"of another arch":    func(f *features.Table) { f.Arch = "arm64" },
	} {
		t.Run(name, func(t *testing.T) {
			k := fixture{release: "6.12.94", arch: "amd64", spoil: spoil}.pack(t)
			want := "table"
			if name == "that hangs" {
				want = "power off"
			}
			wantRefusal(t, []Kernel{k}, want, "")
		})
	}
}

// Tags that must not move do not, and then no other one does.
func TestTagRefused(t *testing.T) {
	s := newServer(t)
	if _, err := publish(t, s, release(t, fixture{release: "6.12.94", arch: "amd64"}), Tags{Date: "20261121"}); err != nil {
		t.Fatal(err)
	}
	before := s.tags(t)
	other := release(t, fixture{release: "6.12.94", arch: "amd64", content: "other"})
	older := release(t, fixture{release: "6.12.93", arch: "amd64"})
	for name, c := range map[string]struct {
		release *Release
		tags    Tags
		want    string
	}{
		"dated":           {other, Tags{Exact: []string{"6.12", "6.12.94-20261121"}}, "is another build's"},
		"no date":         {other, Tags{Date: "today"}, "parse date"},
		"no tag":          {other, Tags{Exact: []string{"6.12", "a/b"}}, "a/b"},
		"back":            {older, Tags{Date: "20261121"}, "names 6.12.94, which is newer"},
		"back in channel": {older, Tags{Exact: nil, Channels: []string{"6.12"}}, "newer"},
	} {
		_, err := publish(t, s, c.release, c.tags)
		var refused *Error
		if !errors.As(err, &refused) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want an Error with %q", name, err, c.want)
		}
		if diff := cmp.Diff(before, s.tags(t)); diff != "" {
			t.Errorf("%s: tags (-want +got):\n%s", name, diff)
		}
	}
	// By name, a tag may lead back.
	if moves, err := publish(t, s, older, Tags{Exact: []string{"6.12"}}); err != nil || len(moves) != 1 || moves[0].Stays() {
		t.Errorf("back by name: %v, %v", moves, err)
	}
}

// A registry that fails at any point leaves the tags as they were, and the next
// push goes on with what is missing.
func TestFaults(t *testing.T) {
	s := newServer(t)
	first := release(t, fixture{release: "6.12.93", arch: "amd64"})
	if _, err := publish(t, s, first, Tags{Date: "20261121", Channels: []string{"stable"}}); err != nil {
		t.Fatal(err)
	}
	before := s.tags(t)
	next := release(t, fixture{release: "6.12.94", arch: "amd64", content: "next"})
	tags := Tags{Date: "20261121", Channels: []string{"stable"}}
	at := func(method, path string, status int) func(*http.Request) int {
		return func(q *http.Request) int {
			if q.Method == method && strings.Contains(q.URL.Path, path) {
				return status
			}
			return 0
		}
	}
	digest := next.Index.Digest.String()
	for _, c := range []struct {
		name  string
		fault func(*http.Request) int
		want  string
		hint  string
		added []string // new tags, which stay
	}{
		{"refuses", at("POST", "/blobs/", 401), "401", "docker login", nil},
		{"takes no blob", at("PATCH", "/blobs/", 500), "push", "", nil},
		{"commits no blob", at("PUT", "/blobs/", 503), "push", "", nil},
		{"takes no manifest", at("PUT", "/manifests/sha256", 400), "manifest: ", "", nil},
		{"looks up no tag", at("GET", "/manifests/", 500), "look up tag", "", nil},
		{"takes no tag", at("PUT", "/manifests/6", 403), "move tag 6.12.94-20261121:", "docker login", nil},
		{"moves no series", at("PUT", "/manifests/6.12", 500), "move tag 6.12.94", "", nil},
		{"moves no channel", at("PUT", "/manifests/stable", 500), "move tag stable", "", []string{"6.12.94", "6.12.94-20261121"}},
		{"moves a channel and denies it", at("PUT", "/manifests/stable", -502), "move tag stable", "", nil},
	} {
		s.fault.Store(c.fault)
		_, err := publish(t, s, next, tags)
		var hinted interface{ Hint() string }
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want an error with %q", c.name, err, c.want)
		} else if c.hint != "" && (!errors.As(err, &hinted) || !strings.Contains(hinted.Hint(), c.hint)) {
			t.Errorf("%s: %v has no hint with %q", c.name, err, c.hint)
		}
		for _, tag := range c.added {
			before[tag] = digest
		}
		if diff := cmp.Diff(before, s.tags(t)); diff != "" {
			t.Errorf("%s: tags (-want +got):\n%s", c.name, diff)
		}
	}

	s.log = nil
	if _, err := publish(t, s, next, tags); err != nil {
		t.Fatal(err)
	}
	if s.sent("blobs") > 0 {
		t.Errorf("sent again: %v", s.log)
	}
	if got := s.tags(t)["stable"]; got != digest {
		t.Errorf("stable is %s, want %s", got, digest)
	}
	if s.sent("DELETE") > 0 {
		t.Errorf("something was deleted: %v", s.log)
	}
}

// A fault of a moment is survived.
func TestTransientFaults(t *testing.T) {
	s := newServer(t)
	var requests atomic.Int64
	s.fault.Store(func(q *http.Request) int {
		n := requests.Add(1)
		if n%5 > 0 { // sending a blob takes four
			return 0
		}
		return []int{500, 429, 503}[n%3]
	})
	if _, err := publish(t, s, release(t, fixture{release: "6.12.94", arch: "amd64"}), Tags{Date: "20261121"}); err != nil {
		t.Fatal(err)
	}
	if tags := s.tags(t); len(tags) != 3 {
		t.Errorf("tags are %v", tags)
	}
}

// An interrupt puts back the tags that were moved.
func TestInterrupted(t *testing.T) {
	s := newServer(t)
	if _, err := publish(t, s, release(t, fixture{release: "6.12.94", arch: "amd64"}), Tags{Channels: []string{"stable"}}); err != nil {
		t.Fatal(err)
	}
	before := s.tags(t)
	other := release(t, fixture{release: "6.12.94", arch: "amd64", content: "other"})
	repository := s.open(t)
	if err := repository.Push(context.Background(), other); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	s.fault.Store(func(q *http.Request) int {
		if q.Method == http.MethodPut && strings.HasSuffix(q.URL.Path, "/stable") && ctx.Err() == nil {
			cancel(errors.New("interrupted"))
			io.Copy(io.Discard, q.Body) // only then the server sees that nobody waits
			<-q.Context().Done()
			return 500
		}
		return 0
	})
	if _, err := repository.Tag(ctx, other, Tags{Channels: []string{"stable"}}); err == nil {
		t.Error("no error")
	}
	if diff := cmp.Diff(before, s.tags(t)); diff != "" {
		t.Errorf("tags (-want +got):\n%s", diff)
	}
}

func TestProgress(t *testing.T) {
	s := newServer(t)
	var seen []string
	r := s.open(t)
	r.Progress = func(p Progress) {
		if line := fmt.Sprintf("%s %d", p.What, p.Total); p.Done == p.Total && !slices.Contains(seen, line) {
			seen = append(seen, line)
		}
	}
	rel := release(t, fixture{release: "6.12.94", arch: "amd64"})
	if err := r.Push(context.Background(), rel); err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, l := range rel.kernels[0].Layers {
		want = append(want, fmt.Sprintf("%s of 6.12.94 amd64 %d", l.Part, l.Size))
	}
	want = append(want, fmt.Sprintf("configuration of 6.12.94 amd64 %d", rel.kernels[0].Config.Size))
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Errorf("progress (-want +got):\n%s", diff)
	}
	seen = nil
	if err := r.Push(context.Background(), rel); err != nil || len(seen) > 0 {
		t.Errorf("again: %v, %v", seen, err)
	}
}

func TestOpen(t *testing.T) {
	for _, repository := range []string{"", "kernels", "ghcr.io", "ghcr.io/org/kernels:6.12", "ghcr.io/Org/kernels", "oci:dir"} {
		var refused *RepositoryError
		if r, err := Open(context.Background(), client(), repository); !errors.As(err, &refused) || refused.ExitCode() != 2 {
			t.Errorf("Open(%q) = %v, %v, want a RepositoryError", repository, r, err)
		}
	}
}
