package workspace

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bpf-vmtest/bpf-vmtest/internal/gotest"
	"github.com/bpf-vmtest/bpf-vmtest/internal/guest"
)

// touch makes files and directories (which end in a slash) below dir.
func touch(t *testing.T, dir string, names ...string) {
	t.Helper()
	for _, name := range names {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(name, "/") {
			if err := os.MkdirAll(path, 0o755); err != nil {
				t.Fatal(err)
			}
		} else if err := os.WriteFile(path, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRepository(t *testing.T) {
	root := t.TempDir()
	home := filepath.Join(root, "home")
	t.Setenv("HOME", home)
	touch(t, root,
		"home/.ssh/id_ed25519", "home/.git/", // dotfiles under version control
		"home/loose/go.mod", "home/loose/pkg/",
		"home/checkout/.git/", "home/checkout/go.mod", "home/checkout/sub/go.mod", "home/checkout/sub/pkg/",
		"home/worktree/.git", "home/worktree/pkg/",
		"home/plain/dir/",
		"outer/go.mod", "outer/inner/go.mod", "outer/inner/pkg/",
	)
	for _, tt := range []struct{ dir, want string }{
		{"home/checkout/sub/pkg", "home/checkout"},
		{"home/checkout", "home/checkout"},
		{"home/worktree/pkg", "home/worktree"},
		{"home/loose/pkg", "home/loose"}, // not the home directory, although it is a repository
		{"home/plain/dir", "home/plain/dir"},
		{"outer/inner/pkg", "outer/inner"},
		{"outer/inner", "outer/inner"},
	} {
		if got := Repository(filepath.Join(root, tt.dir)); got != filepath.Join(root, tt.want) {
			t.Errorf("Repository(%s) = %s, want %s", tt.dir, strings.TrimPrefix(got, root+"/"), tt.want)
		}
	}
}

// TestNeverHome is about a command that is run from the home directory, or from
// the root: neither is shown to the guest.
func TestNeverHome(t *testing.T) {
	root := t.TempDir()
	home := filepath.Join(root, "home")
	touch(t, root, "home/.ssh/id_ed25519", "home/.docker/config.json", "home/.netrc", "home/go.mod")
	t.Setenv("HOME", home)
	for _, dir := range []string{home, "/", root} {
		w := Workspace{Dirs: []string{dir}, Hermetic: true}
		for _, s := range w.Layout().Shares {
			if rel, err := filepath.Rel(s.Path, home); err == nil && !strings.HasPrefix(rel, "..") {
				t.Errorf("run from %s, a guest is shown %s with the home directory in it", dir, s.Path)
			}
		}
	}
}

func TestLayout(t *testing.T) {
	root := t.TempDir()
	t.Setenv("HOME", filepath.Join(root, "home"))
	touch(t, root, "go/", "mod/", "cache/", "repo/.git/", "repo/a/", "repo/b/", "work/.git/", "work/go.work")
	in := func(name string) string { return filepath.Join(root, name) }
	w := Workspace{
		Go: gotest.Environment{
			GOROOT: in("go"), GOMODCACHE: in("mod"), GOCACHE: in("cache"), GOWORK: in("work/go.work"), GOPATH: in("nowhere"),
		},
		Dirs:     []string{in("repo/a"), in("repo/b"), in("gone")},
		Mounts:   []guest.Share{{Path: in("go"), Target: "/data"}},
		Hermetic: true,
	}
	var got []string
	for _, s := range w.Layout().Shares {
		got = append(got, s.Path+" "+s.Target)
	}
	slices.Sort(got)
	want := []string{in("cache") + " ", in("go") + " ", in("go") + " /data", in("mod") + " ", in("repo") + " ", in("work") + " "}
	if diff := cmp.Diff(want, slices.Compact(got)); diff != "" {
		t.Errorf("shares (-want +got):\n%s", diff)
	}
	// On another architecture nothing that only this machine's programs read.
	foreign := map[string]string{"amd64": "arm64", "arm64": "amd64"}[runtime.GOARCH]
	w.Arch, w.Hermetic, w.Mounts = foreign, false, nil
	for _, s := range w.Layout().Shares {
		if !slices.Contains([]string{in("mod"), in("repo"), in("work")}, s.Path) && s.Target != "/lib" {
			t.Errorf("a guest for %s is given %s", foreign, s.Path)
		}
	}
	if l := (Workspace{}).Layout(); !slices.ContainsFunc(l.Shares, func(s guest.Share) bool { return s.Path == "/usr" }) {
		t.Error("without hermetic, /usr is missing")
	}
}

func TestEnviron(t *testing.T) {
	for _, secret := range []string{
		"GITHUB_TOKEN", "ACTIONS_RUNTIME_TOKEN", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "SSH_AUTH_SOCK",
		"DOCKER_CONFIG", "NETRC", "GOAUTH", "GONOSUMDB", "GOPRIVATE", "HTTPS_PROXY", "ANYTHING_AT_ALL",
	} {
		t.Setenv(secret, "do-not-tell")
	}
	t.Setenv("CI", "true")
	t.Setenv("HOME", "/home/me")
	t.Setenv("GOFLAGS", "-mod=mod")
	w := Workspace{
		Go:  gotest.Environment{GOROOT: "/go", GOCACHE: "/c", GOFLAGS: "-mod=mod -tags=a"},
		Env: []string{"MINE=1", "GOFLAGS=-v"},
	}
	env := w.Environ("debian:6.12", "6.12.1")
	value := map[string]string{}
	for _, e := range env {
		name, v, _ := strings.Cut(e, "=")
		value[name] = v // the last one counts
		if strings.Contains(v, "do-not-tell") {
			t.Errorf("%s is passed on", name)
		}
	}
	for name, want := range map[string]string{
		"GOPROXY": "off", "GOTOOLCHAIN": "local", "GOSUMDB": "off", "HOME": "/root", "CI": "true", "GOROOT": "/go", "GOCACHE": "/c",
		"VMTEST": "1", "VMTEST_KERNEL": "debian:6.12", "VMTEST_RELEASE": "6.12.1", "MINE": "1", "GOFLAGS": "-v",
	} {
		if value[name] != want {
			t.Errorf("%s=%s, want %s", name, value[name], want)
		}
	}
	if !strings.HasPrefix(value["PATH"], "/go/bin:") {
		t.Errorf("PATH=%s", value["PATH"])
	}
	w.Arch = map[string]string{"amd64": "arm64", "arm64": "amd64"}[runtime.GOARCH]
	for _, e := range w.Environ("debian:6.12", "6.12.1") {
		if strings.Contains(e, "/go/bin") || strings.HasPrefix(e, "GOROOT=") || strings.HasPrefix(e, "GOCACHE=") {
			t.Errorf("a guest for %s is told %s", w.Arch, e)
		}
	}
}

func TestOfflineFlags(t *testing.T) {
	for flags, want := range map[string]string{
		"":                         "-mod=readonly -buildvcs=false",
		"-mod=mod":                 "-mod=readonly -buildvcs=false",
		"--mod=mod -race":          "-mod=readonly -buildvcs=false -race",
		"-mod=vendor -tags=a,b":    "-mod=vendor -buildvcs=false -tags=a,b",
		"-tags=x '-ldflags=-s -w'": "-mod=readonly -buildvcs=false -tags=x '-ldflags=-s -w'",
		"-buildvcs=auto -race":     "-mod=readonly -buildvcs=auto -race",
	} {
		if got := offlineFlags(flags); got != want {
			t.Errorf("offlineFlags(%q) = %q, want %q", flags, got, want)
		}
	}
}
