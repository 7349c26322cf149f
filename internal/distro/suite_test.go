package distro

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bpf-vmtest/bpf-vmtest/internal/kver"
)

func TestSuites(t *testing.T) {
	for _, c := range []struct {
		distribution, version, suite, want string
	}{
		{"debian", "5.10", "", "bullseye-security bullseye trixie-backports experimental bookworm-backports sid"},
		{"debian", "6.12.107", "", "trixie-security trixie trixie-backports experimental bookworm-backports sid"},
		{"debian", "7.2", "", "trixie-backports experimental bookworm-backports sid"},
		{"debian", "", "trixie", "trixie-security trixie"},
		{"debian", "6.12", "bookworm-backports", "bookworm-backports"},
		{"ubuntu", "6.8", "", "noble-updates noble-security noble resolute-updates jammy-updates focal-updates"},
	} {
		var v kver.Version
		if c.version != "" {
			v, _ = kver.Parse(c.version)
		}
		if got := strings.Join(Suites(c.distribution, v, c.suite), " "); got != c.want {
			t.Errorf("%s:%s@%s: %s, want %s", c.distribution, c.version, c.suite, got, c.want)
		}
	}
}

func TestPick(t *testing.T) {
	debian := []source{
		{"bookworm", "main", "https://third.example.org/"},
		{"bookworm", "contrib", "http://contrib.example.org/debian/"},
		{"bookworm", "main", "http://mirror.example.org/debian/"},
		{"bookworm-security", "main", "http://security.example.org/debian-security/"},
		{"nodistro", "main", "https://other.example.org/debian/"},
	}
	runner := []source{{"noble", "main", "mirror+file:/etc/apt/apt-mirrors.txt/"}, {"noble-security", "main", "mirror+file:/etc/apt/apt-mirrors.txt/"}}
	for _, c := range []struct {
		name, distribution, suite string
		sources                   []source
		want                      string
	}{
		{"main archive", "debian", "trixie", debian, "http://mirror.example.org/debian"},
		{"security archive", "debian", "trixie-security", debian, "http://security.example.org/debian-security"},
		{"no security archive", "debian", "trixie-security", debian[:3], "http://mirror.example.org/debian-security"},
		{"another distribution", "ubuntu", "noble", debian, ""},
		{"a list of mirrors", "ubuntu", "jammy-updates", runner, "mirror+file:/etc/apt/apt-mirrors.txt"},
		{"nothing", "debian", "sid", nil, ""},
	} {
		if got := pick(c.sources, c.distribution, c.suite); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// dpkg itself is the reference.
func TestCompareVersions(t *testing.T) {
	versions := []string{
		"5.10.262-1", "6.12.95-1~bpo12+1", "6.12.95-1", "6.12.107-1", "6.12.107-1+b1", "6.12.107+deb13-1", "7.3~rc7-1~exp1", "7.3-1",
		"1:1.0-1", "0:6.12.95-1", "6.8.0-31.31", "6.8.0-100.100", "6.08.0-31.31", "6.12", "6.12a", "6.12~", "6.12-0", "6.12.", "1.0-1-1",
	}
	for _, a := range versions {
		for _, b := range versions {
			want := 0
			for op, sign := range map[string]int{"lt": -1, "gt": 1} {
				if err := exec.Command("dpkg", "--compare-versions", a, op, b).Run(); err == nil {
					want = sign
				} else if _, ok := err.(*exec.ExitError); !ok {
					t.Skip("needs dpkg: ", err)
				}
			}
			if got := compareVersions(a, b); got != want {
				t.Errorf("compareVersions(%q, %q) = %d, dpkg says %d", a, b, got, want)
			}
		}
	}
}

func TestParseIndex(t *testing.T) {
	sum := strings.Repeat("0123456789abcdef", 4)
	index := "Package: a\nVersion: 1\nSHA256: " + sum + "\nSize: 5\nDescription: x\n Package: not-a-package\n\n" +
		"Package: b\nVersion: 2\n\n\nPackage: a\nVersion: 2-1\nSHA256: " + sum
	got, err := parseIndex(strings.NewReader(index), func(name string) bool { return name == "a" })
	want := []entry{{"a", "1", sum, 5}, {"a", "2-1", sum, 0}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(entry{})); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	if _, err := parseIndex(strings.NewReader(index), func(name string) bool { return name == "b" }); err == nil {
		t.Error("a package without a SHA-256: no error")
	}
}
