// Package foreign checks, in a guest of another architecture than the host's,
// what docs/guest.md promises about it.
package foreign

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func TestArchitecture(t *testing.T) {
	if runtime.GOARCH != os.Getenv("REAL_ARCH") {
		t.Errorf("compiled for %s, want %s", runtime.GOARCH, os.Getenv("REAL_ARCH"))
	}
	machine := map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[runtime.GOARCH]
	if out, err := exec.Command("uname", "-m").Output(); err != nil || strings.TrimSpace(string(out)) != machine {
		t.Errorf("uname -m: %q, %v, want %s", out, err, machine)
	}
}

func TestCommands(t *testing.T) {
	for _, name := range []string{"/bin/sh", "sh"} {
		out, err := exec.Command(name, "-c", "ip addr show lo | grep -c 127.0.0.1").CombinedOutput()
		if err != nil || string(out) != "1\n" {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
	script := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(script, []byte("#!/bin/sh -e\nfor i; do echo $# $i; done\nfalse\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	const want = "2 one two\n2 three\n"
	if out, err := exec.Command(script, "one two", "three").CombinedOutput(); err == nil || string(out) != want {
		t.Errorf("a script: %v\n%s", err, out)
	}
	if out, err := exec.Command("sh", "-c", `sh "$@"`, "sh", script, "one two", "three").CombinedOutput(); err == nil || string(out) != want {
		t.Errorf("a script's script: %v\n%s", err, out)
	}
}

// The host's programs and what they read would be of no use.
func TestNothingOfTheHost(t *testing.T) {
	if path, err := exec.LookPath("go"); err == nil {
		t.Errorf("there is a toolchain, %s", path)
	}
	for _, dir := range []string{"/usr/bin", os.Getenv("REAL_GOROOT"), os.Getenv("REAL_GOCACHE")} {
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("the host's %s is there", dir)
		}
	}
}

func TestModprobe(t *testing.T) {
	// A module, an alias, one that is loaded; each may be a part of the kernel
	// itself, where modprobe has nothing to do.
	for _, name := range []string{"dummy", "fs-9p", "9p"} {
		if out, err := exec.Command("modprobe", name).CombinedOutput(); err != nil {
			t.Errorf("modprobe %s: %v\n%s", name, err, out)
		}
	}
	if out, err := exec.Command("ip", "link", "add", "dummy7", "type", "dummy").CombinedOutput(); err != nil {
		t.Errorf("use dummy: %v\n%s", err, out)
	}
	if out, err := exec.Command("modprobe", "no-such-module").CombinedOutput(); err == nil || !strings.Contains(string(out), "no-such-module") {
		t.Errorf("modprobe no-such-module: %v\n%s", err, out)
	}
	if out, err := exec.Command("modprobe", "-q", "--", "no-such-module").CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("modprobe -q no-such-module: %v\n%s", err, out)
	}
}
