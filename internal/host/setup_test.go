package host

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A fakeSystem is a package manager that installs nothing: it notes what it
// is asked and answers from a list.
type fakeSystem struct {
	ran     []string
	answers map[string][]answer // by the command's distinctive word, in order
}

type answer struct {
	prints string
	fails  bool
}

func (f *fakeSystem) run(cmd *exec.Cmd) error {
	line := commandLine(cmd.Args)
	f.ran = append(f.ran, line)
	for word, answers := range f.answers {
		if !slices.Contains(cmd.Args, word) || len(answers) == 0 {
			continue
		}
		f.answers[word] = answers[1:]
		if _, err := cmd.Stdout.Write([]byte(answers[0].prints)); err != nil {
			return err
		}
		if answers[0].fails {
			return errors.New("exit status 100")
		}
	}
	return nil
}

func fakeInstaller(f *fakeSystem, out *bytes.Buffer) *installer {
	return &installer{SetupOptions: SetupOptions{Groups: []Group{Run}, Stdout: out, Run: f.run}, manager: apt}
}

const (
	policy  = "apt-cache policy flex bison"
	update  = "apt-get update"
	install = "env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=120 install -y --no-install-recommends flex bison"

	known   = "flex:\n  Installed: (none)\n  Candidate: 2.6.4-8.2\nbison:\n  Installed: (none)\n  Candidate: 2:3.8.2\n"
	unknown = "flex:\n  Installed: (none)\n  Candidate: (none)\n"
	locked  = "E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 12 (apt-get)\n"
)

func TestInstall(t *testing.T) {
	for _, test := range []struct {
		name    string
		answers map[string][]answer
		ran     []string
		fails   bool
	}{
		{"lists are there", map[string][]answer{"policy": {{prints: known}}}, []string{policy, install}, false},
		{"lists are missing", map[string][]answer{"policy": {{prints: ""}}}, []string{policy, update, install}, false},
		{"no candidate", map[string][]answer{"policy": {{prints: unknown}}}, []string{policy, update, install}, false},
		{"lock is busy once", map[string][]answer{
			"policy":  {{prints: known}},
			"install": {{prints: locked, fails: true}, {}},
		}, []string{policy, install, install}, false},
		{"lock stays busy", map[string][]answer{
			"policy":  {{prints: known}},
			"install": {{prints: locked, fails: true}, {prints: locked, fails: true}},
		}, []string{policy, install, install}, true},
		{"lists' lock is busy once", map[string][]answer{
			"policy": {{prints: ""}},
			"update": {{prints: "E: Could not get lock /var/lib/apt/lists/lock", fails: true}, {}},
		}, []string{policy, update, update, install}, false},
		{"lists are old", map[string][]answer{
			"policy":  {{prints: known}},
			"install": {{prints: "E: Failed to fetch …  404  Not Found\n", fails: true}, {}},
		}, []string{policy, install, update, install}, false},
		{"no network", map[string][]answer{
			"policy": {{prints: ""}},
			"update": {{prints: "E: Some index files failed to download\n", fails: true}},
		}, []string{policy, update}, true},
		{"fails for good", map[string][]answer{
			"policy":  {{prints: ""}},
			"install": {{prints: "E: Sub-process /usr/bin/dpkg returned an error code (1)\n", fails: true}},
		}, []string{policy, update, install}, true},
		{"one is unknown", map[string][]answer{
			"policy":  {{prints: unknown}},
			"install": {{prints: "Reading package lists...\nE: Package 'flex' has no installation candidate\n", fails: true}, {}},
		}, []string{policy, update, install, strings.Replace(install, " flex", "", 1)}, false},
		{"all are unknown", map[string][]answer{
			"policy":  {{prints: ""}},
			"install": {{prints: "Error: Unable to locate package flex\nError: Unable to locate package bison\n", fails: true}},
		}, []string{policy, update, install}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := &fakeSystem{answers: test.answers}
			var out bytes.Buffer
			err := fakeInstaller(f, &out).install(t.Context(), []string{"flex", "bison"})
			if (err != nil) != test.fails {
				t.Errorf("error %v", err)
			}
			if diff := cmp.Diff(test.ran, f.ran); diff != "" {
				t.Errorf("commands (-want +got):\n%s", diff)
			}
			for _, line := range f.ran {
				if line != policy && !strings.Contains(out.String(), line+"\n") {
					t.Errorf("%q was run and not printed:\n%s", line, out.String())
				}
			}
		})
	}
}

func TestInstallAsUser(t *testing.T) {
	f := &fakeSystem{answers: map[string][]answer{"policy": {{prints: known}}}}
	i := fakeInstaller(f, &bytes.Buffer{})
	i.sudo = []string{"sudo"}
	if err := i.install(t.Context(), []string{"flex", "bison"}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{policy, "sudo " + install}, f.ran); diff != "" {
		t.Errorf("commands (-want +got):\n%s", diff)
	}

	f = &fakeSystem{answers: map[string][]answer{"policy": {{prints: known}}}}
	i = fakeInstaller(f, &bytes.Buffer{})
	i.sudo, i.sudoErr = []string{"sudo"}, exec.ErrNotFound
	err := i.install(t.Context(), []string{"flex", "bison"})
	var hint interface{ Hint() string }
	if !errors.As(err, &hint) || hint.Hint() != "as root: "+install {
		t.Errorf("without sudo: %v", err)
	}
	if len(f.ran) != 1 {
		t.Errorf("without sudo these ran: %q", f.ran)
	}
}

func TestInstallOtherManagers(t *testing.T) {
	for m, want := range map[manager]string{
		dnf:    "dnf install -y xz",
		pacman: "pacman -S --needed --noconfirm xz",
		zypper: "zypper --non-interactive install xz",
		apk:    "apk add xz",
	} {
		f := &fakeSystem{}
		i := fakeInstaller(f, &bytes.Buffer{})
		i.manager = m
		names, _ := wanted(Report{Checks: []Check{{Status: Missing, supply: "xz"}, {Status: Warn, supply: "xz"}}}, m)
		if err := i.install(t.Context(), names); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{want}, f.ran); diff != "" {
			t.Errorf("commands (-want +got):\n%s", diff)
		}
	}
	i := fakeInstaller(&fakeSystem{}, &bytes.Buffer{})
	i.manager = ""
	err := i.install(t.Context(), []string{"qemu-system-x86"})
	var hint interface{ Hint() string }
	if !errors.As(err, &hint) || !strings.Contains(hint.Hint(), "qemu-system-x86") {
		t.Errorf("without a package manager: %v", err)
	}
}

// TestSetup goes from a machine without clang to one with it, through a fake
// apt-get that is a real program.
func TestSetup(t *testing.T) {
	t.Setenv("GITHUB_ACTIONS", "")
	dir := fakePath(t, map[string]string{"apt-cache": "clang:\n  Candidate: 1\nllvm:\n  Candidate: 1\nlibbpf-dev:\n  Candidate: 1"})
	log := filepath.Join(dir, "log")
	script(t, filepath.Join(dir, "apt-get"), "echo \"$@\" >>"+log+"; cd "+dir+"; printf '#!/bin/sh\\necho version 19.1.7\\n' >clang; cp clang llvm-strip; chmod 755 clang llvm-strip")
	script(t, filepath.Join(dir, "env"), `shift; exec "$@"`)

	var out bytes.Buffer
	i := newInstaller(SetupOptions{Groups: []Group{BPF}, Stdout: &out})
	i.manager, i.sudo, i.sudoErr = apt, nil, nil
	i.DryRun = true
	if err := i.setUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(log); err == nil {
		t.Error("a dry run ran apt-get")
	}
	const want = "env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=120 install -y --no-install-recommends clang llvm libbpf-dev\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("dry run (-want +got):\n%s", diff)
	}

	out.Reset()
	i.DryRun = false
	if err := i.setUp(t.Context()); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	ran, err := os.ReadFile(log)
	if err != nil || !strings.HasSuffix(string(ran), " clang llvm libbpf-dev\n") {
		t.Errorf("apt-get got %q, %v", ran, err)
	}

	out.Reset()
	if err := i.setUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, want := out.String(), "nothing is missing\n"; got != want {
		t.Errorf("second setup printed %q", got)
	}
	if again, _ := os.ReadFile(log); string(again) != string(ran) {
		t.Errorf("second setup ran apt-get: %q", again)
	}
}

// TestSetupBeyond has a machine on which installing changes nothing.
func TestSetupBeyond(t *testing.T) {
	fakePath(t, map[string]string{"apt-cache": "", "env": ""})
	f := &fakeSystem{}
	i := fakeInstaller(f, &bytes.Buffer{})
	i.Groups = []Group{BPF}
	err := i.setUp(t.Context())
	var unmet *UnmetError
	if !errors.As(err, &unmet) || len(unmet.Checks) != 3 {
		t.Errorf("got %v: want an error about three checks", err)
	}
}

func TestOpenKVM(t *testing.T) {
	f := &fakeSystem{}
	if err := fakeInstaller(f, &bytes.Buffer{}).openKVM(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := []string{
		`sh -c 'echo '\''KERNEL=="kvm", GROUP="kvm", MODE="0666", OPTIONS+="static_node=kvm"'\'' >/etc/udev/rules.d/99-kvm4all.rules'`,
		"udevadm control --reload-rules",
		"chmod 0666 /dev/kvm",
	}
	if diff := cmp.Diff(want, f.ran); diff != "" {
		t.Errorf("commands (-want +got):\n%s", diff)
	}
}
