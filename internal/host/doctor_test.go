package host

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestDoctorHere looks at the real machine: whatever it has, each check must
// have an outcome, and each fault a name for what is wrong.
func TestDoctorHere(t *testing.T) {
	report, err := Doctor(t.Context(), Options{CacheDir: filepath.Join(t.TempDir(), "a", "b")})
	if err != nil {
		t.Fatal(err)
	}
	seen := map[Group]bool{}
	for _, c := range report.Checks {
		seen[c.Group] = true
		if c.Name == "" || c.Detail == "" || c.Status != OK && c.Status != Warn && c.Status != Missing {
			t.Errorf("half a check: %+v", c)
		}
		if c.Status == OK && c.Remedy != "" {
			t.Errorf("a remedy for what is well: %+v", c)
		}
		if c.Name == "go" && c.Status != OK {
			t.Errorf("the Go that runs this test is not found: %+v", c)
		}
	}
	for _, g := range Groups() {
		if !seen[g] {
			t.Errorf("group %s has no check", g)
		}
	}
	var out bytes.Buffer
	if err := report.Write(&out); err != nil {
		t.Fatal(err)
	}
	t.Logf("\n%s", out.String())
}

// fakePath makes PATH one directory of shell scripts, each printing its text.
func fakePath(t *testing.T, programs map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range programs {
		script(t, filepath.Join(dir, name), "cat <<'EOF'\n"+text+"\nEOF")
	}
	t.Setenv("PATH", dir)
	return dir
}

func script(t *testing.T, path, body string) {
	t.Helper()
	body = "#!/bin/sh\nPATH=$PATH:/usr/bin:/bin\n" + body + "\n"
	if err := os.WriteFile(path, []byte(body), 0o755); err != nil {
		t.Fatal(err)
	}
}

func TestProgramCheck(t *testing.T) {
	qemu := program{name: "qemu-system-test", group: Run, why: "runs VMs", least: leastQEMU, parse: ParseQEMUVersion}
	bc := program{name: "test-bc", group: Build, why: "calculates"}
	ccache := program{name: "test-ccache", group: Build, why: "remembers", optional: true}
	browser := program{name: "test-chromium", other: []string{"test-chrome"}, group: Dev, why: "shows"}
	for _, test := range []struct {
		name    string
		program program
		prints  string // nothing: it is not there
		status  Status
		detail  string
	}{
		{"good", qemu, "QEMU emulator version 10.0.2 (Debian 1:10.0.2+ds-1)\nCopyright", OK, "10.0.2"},
		{"least", qemu, "QEMU emulator version 7.2.0", OK, "7.2.0"},
		{"old", qemu, "QEMU emulator version 6.2.0 (Debian 1:6.2+dfsg-2ubuntu6)", Missing, "6.2.0 is too old: 7.2 or later is needed"},
		{"not QEMU", qemu, "usage: qemu-system-test 9.9.9", Missing, `parse QEMU version "usage: qemu-system-test 9.9.9": not QEMU's`},
		{"absent", qemu, "", Missing, "not found: runs VMs"},
		{"any version", bc, "bc 1.7.1\nCopyright 1991", OK, "1.7.1"},
		{"optional", ccache, "", Warn, "not found: remembers"},
		{"of another name", browser, "Google Chrome 156.0.8078.79 \n", OK, "156.0.8078.79"},
	} {
		t.Run(test.name, func(t *testing.T) {
			programs := map[string]string{}
			if test.prints != "" {
				programs[append(test.program.other, test.program.name)[0]] = test.prints
			}
			fakePath(t, programs)
			got := test.program.check(t.Context())
			if got.Status != test.status || got.Detail != test.detail {
				t.Errorf("got %s %q, want %s %q", got.Status, got.Detail, test.status, test.detail)
			}
		})
	}
}

func TestVersions(t *testing.T) {
	for _, test := range []struct {
		parse func(string) (Version, error)
		in    string
		want  string // nothing: an error
	}{
		{ParseQEMUVersion, "QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18+b3)\nCopyright (c) 2003-2022", "7.2.22"},
		{ParseQEMUVersion, "QEMU emulator version 8.2.2 (qemu-8.2.2-1.fc40)\r\n", "8.2.2"},
		{ParseQEMUVersion, "QEMU emulator version 10.1.50 (v10.1.0-1234-gabcdef)", "10.1.50"},
		{ParseQEMUVersion, "qemu-img version 7.2.22", ""},
		{ParseQEMUVersion, "QEMU emulator version 7.2", ""},
		{ParseQEMUVersion, "QEMU emulator version 7.2.22 and more", ""},
		{ParseQEMUVersion, "", ""},
		{parseGoVersion, "go1.26.8\n", "1.26.8"},
		{parseGoVersion, "go1.27rc1", "1.27"},
		{parseGoVersion, "go1.26.8 X:nocoverageredesign", "1.26.8"},
		{parseGoVersion, "devel go1.27-8e1f1c3 Tue Nov 3", "1.27"},
		{parseGoVersion, "gccgo 12.2", ""},
		{findVersion, "v1.24\n", "1.24"},
		{findVersion, "flex 2.6.4", "2.6.4"},
		{findVersion, "kmod version 30\n+ZSTD +XZ", "30"},
		{findVersion, "llvm-strip, compatible with GNU strip\nDebian LLVM version 14.0.6", "14.0.6"},
		{findVersion, "BusyBox multi-call binary", ""},
	} {
		got, err := test.parse(test.in)
		if got.String() != test.want || (err != nil) != (test.want == "") {
			t.Errorf("%q: got %v, %v, want %q", test.in, got, err, test.want)
		}
	}
	for _, test := range []struct {
		v, w Version
		want int
	}{{Version{7, 2, 22}, Version{7, 2}, 1}, {Version{7, 2}, Version{7, 2, 0}, 0}, {Version{6, 9}, Version{7, 2}, -1}, {Version{10, 0}, Version{7, 2}, 1}} {
		if got := test.v.Compare(test.w); got != test.want {
			t.Errorf("%v against %v: got %d", test.v, test.w, got)
		}
	}
}

func TestWrite(t *testing.T) {
	report := Report{Checks: []Check{
		{Name: "qemu-system-x86_64", Group: Run, Status: OK, Detail: "7.2.22"},
		{Name: "KVM", Group: Run, Status: Warn, Detail: "/dev/kvm does\nnot exist", Remedy: "load kvm_intel"},
		{Name: "flex", Group: Build, Status: Missing, Detail: "not found", Remedy: "sudo apt-get install flex"},
	}}
	const want = `run:
  qemu-system-x86_64  ok       7.2.22
  KVM                 warn     /dev/kvm does not exist
                                 load kvm_intel
build:
  flex                missing  not found
                                 sudo apt-get install flex
`
	var out strings.Builder
	if err := report.Write(&out); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}
	if got := report.Missing(Run); len(got) != 0 {
		t.Errorf("missing for run: %v", got)
	}
	if got := report.Missing(); len(got) != 1 || got[0].Name != "flex" {
		t.Errorf("missing: %v", got)
	}
}

func TestCheckSpace(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for dir, want := range map[string]Status{
		filepath.Join(file, "below"):             Missing,
		filepath.Join(t.TempDir(), "new", "dir"): OK,
	} {
		got := checkSpace(dir)
		if got.Status != want && !(want == OK && got.Status == Warn) { // a full disk is no fault of ours
			t.Errorf("%s: got %+v, want %s", dir, got, want)
		}
	}
}

func TestParseGroup(t *testing.T) {
	for _, g := range Groups() {
		if got, err := ParseGroup(string(g)); got != g || err != nil {
			t.Errorf("%s: got %s, %v", g, got, err)
		}
	}
	_, err := ParseGroup("Run")
	var usage interface{ ExitCode() int }
	if !errors.As(err, &usage) || usage.ExitCode() != 2 {
		t.Errorf("got %v, want a usage error", err)
	}
}

// TestPackages guards the table: each requirement has a supply that apt, the
// first-class package manager, can install, and no row is unused.
func TestPackages(t *testing.T) {
	used := map[supply]bool{}
	need := func(name string, s supply, instead string) {
		used[s] = true
		if instead == "" && len(packages[s][apt]) == 0 {
			t.Errorf("%s: no package of Debian's brings it", name)
		}
	}
	for _, p := range programs {
		s := p.supply
		if s == "" {
			s = supply(p.name)
		}
		need(p.name, s, p.instead)
	}
	for _, f := range files {
		need(f.name, f.supply, "")
	}
	for _, h := range headers {
		need(h.name, h.supply, "")
	}
	cross := map[supply]bool{ // half of them are native
		"aarch64-linux-gnu-gcc": true, "arm64-libc": true, "x86_64-linux-gnu-gcc": true, "amd64-libc": true,
	}
	for s := range packages {
		if !used[s] && !cross[s] {
			t.Errorf("supply %q is not used", s)
		}
	}
}

func TestManagerOf(t *testing.T) {
	for release, want := range map[string]manager{
		"PRETTY_NAME=\"Debian\"\nID=debian\n":                     apt,
		"ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n":               apt,
		"ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n":          dnf,
		"ID=\"opensuse-tumbleweed\"\nID_LIKE=\"opensuse suse\"\n": zypper,
		"ID=alpine\n":                      apk,
		"ID=endeavouros\nID_LIKE='arch'\n": pacman,
		"ID=nixos\n":                       "",
		"":                                 "",
	} {
		if got := managerOf(release); got != want {
			t.Errorf("%q: got %q, want %q", release, got, want)
		}
	}
}

func TestDoctorCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Doctor(ctx, Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
