package distro

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bpf-vmtest/bpf-vmtest/internal/cache"
	"github.com/bpf-vmtest/bpf-vmtest/internal/kver"
)

// archive is a small signed package archive of our own, so that apt itself can
// be tested without a mirror, and with faults.
type archive struct {
	*httptest.Server
	t        *testing.T
	dir      string
	gnupg    string
	packages map[string]string // by suite: the Packages file

	published time.Time

	mu       sync.Mutex
	requests []string
}

// newArchive needs apt, dpkg and gpg, which every Debian and Ubuntu has.
func newArchive(t *testing.T) *archive {
	for _, tool := range []string{"apt-get", "dpkg-deb", "gpg", "depmod"} {
		if _, err := exec.LookPath(tool); err == nil {
			continue
		}
		if _, err := os.Stat("/usr/sbin/" + tool); err == nil {
			continue
		}
		if os.Getenv("VMTEST_TESTS") == "all" {
			t.Fatalf("needs %s", tool)
		}
		t.Skipf("needs %s", tool)
	}
	a := &archive{t: t, dir: t.TempDir(), packages: map[string]string{}, published: time.Now().Add(-time.Hour)}
	a.newKey()
	files := http.FileServer(http.Dir(a.dir))
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		a.requests = append(a.requests, r.URL.Path)
		a.mu.Unlock()
		files.ServeHTTP(w, r)
	}))
	t.Cleanup(a.Close)
	return a
}

// newKey makes the key that signs the indexes from now on.
func (a *archive) newKey() {
	// gpg's sockets are in its directory, and their paths must be short.
	dir, err := os.MkdirTemp("", "gpg")
	if err != nil {
		a.t.Fatal(err)
	}
	a.gnupg = dir
	a.t.Cleanup(func() {
		a.gnupg = dir
		a.gpg("gpgconf", "--kill", "all")
		os.RemoveAll(dir)
	})
	a.gpg("gpg", "--batch", "--passphrase", "", "--quick-generate-key", "archive@example.org", "ed25519", "sign", "never")
}

func (a *archive) gpg(command string, args ...string) string {
	cmd := exec.Command(command, args...)
	cmd.Env = append(os.Environ(), "GNUPGHOME="+a.gnupg)
	out, err := cmd.CombinedOutput()
	if err != nil {
		a.t.Errorf("%s: %v\n%s", command, err, out)
	}
	return string(out)
}

func (a *archive) write(name, content string) string {
	a.t.Helper()
	path := filepath.Join(a.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		a.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		a.t.Fatal(err)
	}
	return path
}

// add builds a package of the files and puts it into the suite.
func (a *archive) add(suite, name, version, arch string, files map[string]string) (deb string) {
	a.t.Helper()
	control := fmt.Sprintf("Package: %s\nVersion: %s\nArchitecture: %s\nMaintainer: Nobody <nobody@example.org>\nDescription: a test\n", name, version, arch)
	build := "build/" + suite + "/" + name
	a.write(build+"/DEBIAN/control", control)
	for f, content := range files {
		a.write(build+"/"+f, content)
	}
	deb = fmt.Sprintf("pool/%s_%s_%s.deb", name, strings.ReplaceAll(version, ":", "%3a"), arch)
	path := a.write(deb, "")
	if out, err := exec.Command("dpkg-deb", "--build", "-Znone", filepath.Join(a.dir, build), path).CombinedOutput(); err != nil {
		a.t.Fatalf("%v\n%s", err, out)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		a.t.Fatal(err)
	}
	a.packages[suite] += fmt.Sprintf("%sFilename: %s\nSize: %d\nSHA256: %x\n\n", control, deb, len(content), sha256.Sum256(content))
	return path
}

// publish signs the suite's index.
func (a *archive) publish(suite, arch string) {
	a.t.Helper()
	index := a.packages[suite]
	a.write("dists/"+suite+"/main/binary-"+arch+"/Packages", index)
	release := a.write("dists/"+suite+"/Release", fmt.Sprintf(
		// A date in the past, as of a suite whose support has ended.
		"Origin: Test\nSuite: %s\nCodename: %s\nDate: Sat, 01 Jan 2022 00:00:00 UTC\nValid-Until: Sat, 08 Jan 2022 00:00:00 UTC\nArchitectures: %s\nComponents: main\nSHA256:\n %x %d main/binary-%s/Packages\n",
		suite, suite, arch, sha256.Sum256([]byte(index)), len(index), arch))
	signed := filepath.Join(filepath.Dir(release), "InRelease")
	os.Remove(signed)
	a.gpg("gpg", "--batch", "--yes", "--clearsign", "--output", signed, release)
	// Newer than the last one, by the seconds in which HTTP counts.
	a.published = a.published.Add(time.Minute)
	if err := os.Chtimes(signed, a.published, a.published); err != nil {
		a.t.Fatal(err)
	}
}

// apt is an Apt that takes the distribution from the archive.
func (a *archive) apt(distribution, arch string) *Apt {
	a.t.Setenv("VMTEST_"+strings.ToUpper(distribution)+"_MIRROR", a.URL)
	keyring := filepath.Join(a.dir, "keyring.gpg")
	os.Remove(keyring)
	a.gpg("gpg", "--batch", "--output", keyring, "--export")
	return &Apt{
		Dir: filepath.Join(a.t.TempDir(), "a cache"), Arch: arch,
		Keyrings: map[string]string{distribution: keyring},
		Warn:     func(m string) { a.t.Log("warning:", m) },
	}
}

// asked reports whether a request's path had the suffix since the last call.
func (a *archive) asked(suffix string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	defer func() { a.requests = nil }()
	for _, r := range a.requests {
		if strings.HasSuffix(r, suffix) {
			return true
		}
	}
	return false
}

var six8 = kver.Version{Major: 6, Minor: 8}

// Ubuntu's kernels are in two packages, for another architecture just as for
// this one's.
func TestUbuntu(t *testing.T) {
	for _, arch := range []string{"amd64", "arm64"} {
		a := newArchive(t)
		for _, r := range []string{"6.8.0-31", "6.8.0-100", "6.11.0-9"} {
			release := r + "-generic"
			a.add("noble-updates", "linux-image-"+release, r+"."+r[len(r)-1:], arch, map[string]string{
				"boot/vmlinuz-" + release: strings.Repeat("kernel of "+r, 1<<17),
			})
			a.add("noble-updates", "linux-modules-"+release, r+"."+r[len(r)-1:], arch, map[string]string{
				"lib/modules/" + release + "/modules.order": "", "lib/modules/" + release + "/modules.builtin": "",
				"boot/config-" + release: "CONFIG_BPF=y\n",
			})
		}
		// Newer, but its modules are not there yet; not for us; empty.
		a.add("noble-updates", "linux-image-6.8.0-101-generic", "6.8.0-101.1", arch, map[string]string{"boot/vmlinuz": strings.Repeat("x", 1<<21)})
		a.add("noble-updates", "linux-image-6.8.0-102-lowlatency", "6.8.0-102.1", arch, nil)
		a.add("noble-updates", "linux-image-generic", "6.8.0-102.1", arch, nil)
		a.publish("noble-updates", arch)
		apt := a.apt("ubuntu", arch)
		k, err := apt.Kernel(context.Background(), Query{Distribution: "ubuntu", Version: six8})
		if err != nil {
			t.Fatal(err)
		}
		if k.Release != "6.8.0-100-generic" || k.Suite != "noble-updates" || k.Version != "6.8.0-100.0" {
			t.Errorf("%s: kernel is %+v, want 6.8.0-100", arch, k)
		}
		for _, f := range []string{"boot/vmlinuz-6.8.0-100-generic", "boot/config-6.8.0-100-generic", "lib/modules/6.8.0-100-generic/modules.dep"} {
			if _, err := os.Stat(filepath.Join(k.Dir, f)); err != nil {
				t.Error(err)
			}
		}
		if left, _ := filepath.Glob(filepath.Join(apt.Dir, "kernels", "*.tmp")); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	}
}

// A warm cache needs no server; an old index is refreshed where that works.
func TestOffline(t *testing.T) {
	a := newArchive(t)
	a.add("sid", "linux-source-7.2", "7.2.1-1", "all", nil)
	a.publish("sid", "amd64")
	apt, ctx := a.apt("debian", "amd64"), context.Background()
	q := Query{Distribution: "debian", Package: "linux-source-7.*", Suite: "sid"}
	fetch := func(want string) {
		t.Helper()
		p, err := apt.Fetch(ctx, q)
		if err != nil || p.Version != want {
			t.Fatalf("%+v, %v, want version %s", p, err, want)
		}
		if got, err := cache.Digest(p.Path); err != nil || got != p.SHA256 {
			t.Errorf("%s has SHA-256 %s, %v", p.Path, got, err)
		}
	}
	fetch("7.2.1-1")
	a.add("sid", "linux-source-7.2", "7.2.10-1", "all", nil)
	a.publish("sid", "amd64")
	a.asked("")
	fetch("7.2.1-1")
	if a.asked("") {
		t.Error("asked the server although the index is fresh")
	}
	apt.MaxAge = time.Nanosecond
	fetch("7.2.10-1")
	a.Close()
	warned := ""
	apt.Warn = func(m string) { warned += m }
	fetch("7.2.10-1")
	if !strings.Contains(warned, "package index of sid") {
		t.Errorf("warning %q, want one about the index", warned)
	}
	q.Package = "linux-source-7.1"
	if p, err := apt.Fetch(ctx, q); err == nil {
		t.Errorf("a package that is not there: %+v", p)
	}
}

// A pinned kernel is found in the cache without asking, in the archive although
// there is a newer one, and with an index that is older than the pin; and when
// the archive has dropped it, the error says so.
func TestPinned(t *testing.T) {
	a := newArchive(t)
	image := func(version string) {
		a.add("trixie-security", "linux-image-"+version+"+deb13-amd64", version+"-1", "amd64", map[string]string{
			"boot/vmlinuz-" + version + "+deb13-amd64": strings.Repeat("kernel "+version, 1<<17),
		})
	}
	image("6.12.95")
	a.publish("trixie-security", "amd64")
	apt, ctx := a.apt("debian", "amd64"), context.Background()
	found, err := apt.FindKernel(ctx, Query{Distribution: "debian", Version: kver.Version{Major: 6, Minor: 12}})
	if err != nil {
		t.Fatal(err)
	}
	if found.Release != "6.12.95+deb13-amd64" || found.Dir != "" || found.Suite != "trixie-security" {
		t.Errorf("found %+v", found)
	}
	image("6.12.107")
	a.publish("trixie-security", "amd64")
	pinned := func(apt *Apt, p Package) (*Kernel, error) { return apt.PinnedKernel(ctx, "debian", p) }
	k, err := pinned(apt, found.Package)
	if err != nil {
		t.Fatal(err)
	}
	if k.Release != found.Release || k.SHA256 != found.SHA256 || !k.Fresh {
		t.Errorf("pinned: %+v", k)
	}
	if _, err := os.Stat(filepath.Join(k.Dir, "boot/vmlinuz-6.12.95+deb13-amd64")); err != nil {
		t.Error(err)
	}
	a.asked("")
	again, err := pinned(apt, found.Package)
	if err != nil || again.Dir != k.Dir || again.Fresh || a.asked("") {
		t.Errorf("from the cache: %+v, %v", again, err)
	}
	// Somebody with a newer index has pinned the newer one.
	newer := a.apt("debian", "amd64")
	newest, err := newer.FindKernel(ctx, Query{Distribution: "debian", Suite: "trixie-security"})
	if err != nil || newest.Release != "6.12.107+deb13-amd64" {
		t.Fatalf("newest: %+v, %v", newest, err)
	}
	if k, err := pinned(apt, newest.Package); err != nil || k.Release != newest.Release {
		t.Errorf("with an old index: %+v, %v", k, err)
	}
	var gone *GoneError
	dropped := found.Package
	dropped.SHA256 = strings.Repeat("0", 64)
	if k, err := pinned(newer, dropped); !errors.As(err, &gone) || !strings.Contains(err.Error(), "trixie-security no longer has it") {
		t.Errorf("dropped: %+v, %v", k, err)
	}
}

// What an attacker between here and the mirror could do.
func TestUntrusted(t *testing.T) {
	q := Query{Distribution: "debian", Package: "linux-source-7.2", Suite: "sid"}
	for name, c := range map[string]struct {
		spoil func(a *archive, deb string)
		want  string
	}{
		"another key": {func(a *archive, _ string) {
			a.newKey()
			a.publish("sid", "amd64")
		}, "package index"},
		"no signature": {func(a *archive, _ string) {
			os.Remove(filepath.Join(a.dir, "dists/sid/InRelease"))
		}, "package index"},
		"changed index": {func(a *archive, _ string) {
			a.write("dists/sid/main/binary-amd64/Packages", a.packages["sid"]+"\n")
		}, "package index"},
		"changed package": {func(a *archive, deb string) {
			content, err := os.ReadFile(deb)
			if err != nil {
				a.t.Fatal(err)
			}
			content[len(content)-1] ^= 1
			os.WriteFile(deb, content, 0o644)
		}, "download package"},
		"no package": {func(_ *archive, deb string) { os.Remove(deb) }, "download package"},
	} {
		a := newArchive(t)
		deb := a.add("sid", "linux-source-7.2", "7.2.1-1", "all", map[string]string{"usr/src/linux": "source"})
		a.publish("sid", "amd64")
		apt := a.apt("debian", "amd64")
		c.spoil(a, deb)
		p, err := apt.Fetch(context.Background(), q)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %+v, %v, want an error with %q", name, p, err, c.want)
		}
		if debs, _ := filepath.Glob(filepath.Join(apt.Dir, "debs", "*", "*.deb")); len(debs) > 0 {
			t.Errorf("%s: in the cache: %v", name, debs)
		}
	}
}

func TestNotFound(t *testing.T) {
	a := newArchive(t)
	a.add("sid", "linux-image-7.2.1-amd64", "7.2.1-1", "amd64", map[string]string{"boot/vmlinuz": strings.Repeat("x", 2<<20)})
	a.publish("sid", "amd64")
	apt := a.apt("debian", "amd64")
	_, err := apt.Kernel(context.Background(), Query{Distribution: "debian", Version: six8, Suite: "sid"})
	var missing *NotFoundError
	if !errors.As(err, &missing) || !strings.Contains(missing.Hint(), "7.2.1") || !strings.Contains(err.Error(), "debian:6.8@sid") {
		t.Errorf("error %v, hint %q, want ones that name the query and what there is", err, missing.Hint())
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := apt.Kernel(ctx, Query{Distribution: "debian", Suite: "sid"}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	apt.Keyrings["debian"] = "/missing"
	apt.Dir = t.TempDir()
	_, err = apt.Kernel(context.Background(), Query{Distribution: "debian", Suite: "sid"})
	var h interface{ Hint() string }
	if !errors.As(err, &h) || !strings.Contains(h.Hint(), "debian-archive-keyring") {
		t.Errorf("without a keyring: %v", err)
	}
}
