package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/bpf-vmtest/bpf-vmtest/internal/accel"
	"github.com/bpf-vmtest/bpf-vmtest/internal/artifact"
	"github.com/bpf-vmtest/bpf-vmtest/internal/bootcheck"
	"github.com/bpf-vmtest/bpf-vmtest/internal/fakeqemu"
	"github.com/bpf-vmtest/bpf-vmtest/internal/features"
)

// layouts are OCI layouts that scripts about features find: a kernel's
// behavior and its configuration, by name.
var layouts = map[string]struct {
	behavior fakeqemu.Behavior
	config   string
}{
	"good":     {fakeqemu.Good, "CONFIG_BPF_SYSCALL=y\nCONFIG_DEBUG_INFO_BTF=y\n"},
	"nobtf":    {fakeqemu.Good, "CONFIG_BPF_SYSCALL=y\n"},
	"restarts": {fakeqemu.Restarts, "CONFIG_BPF_SYSCALL=y\n"},
	"other":    {fakeqemu.OtherConfig, "CONFIG_BPF_SYSCALL=y\n"},
}

// features RELEASE [KIND/NAME…] makes the layouts, of kernels of that release,
// and the probe print a table in which all is there that may be required but
// for those.
func cmdFeatures(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: features release [kind/name...]")
	}
	ts.Check(fakeProbe(ts.Getenv("VMTEST_CACHE"), ts.MkAbs("table.json"), args[0], args[1:]...))
	for name, l := range layouts {
		ts.Check(os.RemoveAll(ts.MkAbs(name)))
		parts, err := fakeParts(ts.MkAbs(name+"."), args[0], l.behavior, l.config)
		ts.Check(err)
		_, err = artifact.Pack(context.Background(), parts, ts.MkAbs(name), "latest")
		ts.Check(err)
	}
}

// fakeProbe puts a probe into the cache that prints a table in which all is
// there that may be required, but for what is missing.
func fakeProbe(cache, file, release string, missing ...string) error {
	table := &features.Table{Release: release, Arch: runtime.GOARCH}
	for _, r := range bootcheck.Requirements {
		f := features.Feature{Name: r.Name, State: features.Supported}
		if slices.Contains(missing, string(r.Kind)+"/"+r.Name) {
			f.State = features.Unsupported
		}
		if r.Name != "config" && r.Name != "power_off" { // found out by the host
			table.Add(r.Kind, f)
		}
	}
	b, err := table.Encode()
	if err != nil {
		return err
	}
	probe, err := bootcheck.Probe().Path(cache, runtime.GOARCH)
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(file, b, 0o644), os.MkdirAll(filepath.Dir(probe), 0o755),
		os.WriteFile(probe, []byte("#!/bin/sh\nexec cat "+file+"\n"), 0o755),
	)
}

// fakeParts writes files that begin with prefix.
func fakeParts(prefix, release string, behavior fakeqemu.Behavior, config string) (artifact.Parts, error) {
	p := artifact.Parts{
		Release: release, Arch: runtime.GOARCH,
		Kernel: prefix + "image", Config: prefix + "config", Initramfs: prefix + "cpio",
	}
	return p, errors.Join(
		fakeqemu.Kernel{Release: release, Behavior: behavior}.WriteFile(p.Kernel),
		os.WriteFile(p.Config, []byte(config), 0o644), os.WriteFile(p.Initramfs, nil, 0o644),
	)
}

// A kernel that does not pass leaves the layout as it was.
func TestTagStays(t *testing.T) {
	dir := t.TempDir()
	layout := filepath.Join(dir, "out")
	pack := func(release string, behavior fakeqemu.Behavior, noBoot bool, missing ...string) (string, error) {
		t.Helper()
		parts, err := fakeParts(filepath.Join(dir, "kernel."), release, behavior, "CONFIG_BPF_SYSCALL=y\nCONFIG_DEBUG_INFO_BTF=y\n")
		if err != nil {
			t.Fatal(err)
		}
		return packFake(t, dir, parts, noBoot, t.Output(), missing...)
	}
	good, err := pack("6.12.1", fakeqemu.Good, false)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := pack("6.12.1", fakeqemu.Good, false); err != nil || again != good {
		t.Errorf("the same parts give %s and %s, %v", good, again, err)
	}
	before := kernelsIn(t, layout, "")
	for behavior, want := range map[fakeqemu.Behavior]string{
		fakeqemu.Restarts: "power off Linux 6.12.2: it started again instead",
		fakeqemu.Panics:   "the kernel panicked",
		fakeqemu.Good:     "Linux 6.12.2 lacks a required feature, attach tcx",
	} {
		if digest, err := pack("6.12.2", behavior, false, "attach/tcx"); digest != "" || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %q, %v", behavior, digest, err)
		}
	}
	if diff := cmp.Diff(before, kernelsIn(t, layout, "")); diff != "" {
		t.Errorf("the layout has changed (-before +after):\n%s", diff)
	}
	bad, err := pack("6.12.2", fakeqemu.Restarts, true)
	if err != nil {
		t.Fatal(err)
	}
	for digest, want := range map[string]bool{good: true, bad: false} {
		for _, k := range kernelsIn(t, layout, digest) {
			if _, has := k.Layer(artifact.Features); has != want {
				t.Errorf("%s has a table: %t", k.Release, has)
			}
		}
	}
}

// packFake packs the parts into dir/out, as vmtest kernel build does with what it
// has compiled. The probe finds everything in the kernel but what is missing.
func packFake(t *testing.T, dir string, parts artifact.Parts, noBoot bool, stderr io.Writer, missing ...string) (digest string, err error) {
	t.Helper()
	cache := filepath.Join(dir, "cache")
	err = errors.Join(os.MkdirAll(cache, 0o755), fakeProbe(cache, filepath.Join(dir, "table"), parts.Release, missing...))
	if err != nil {
		t.Fatal(err)
	}
	b := &buildFlags{noBoot: noBoot}
	b.settings.Accel, b.settings.CacheDir, b.settings.AsRoot = accel.TCG, cache, true // the fake one runs commands on this machine
	a := &app{stdout: io.Discard, stderr: stderr}
	return a.packChecked(t.Context(), b, parts, t.TempDir(), filepath.Join(dir, "out"), []string{parts.Release, "6.12"})
}

// What is not asked of a kernel without types is named.
func TestBuildSaysWaived(t *testing.T) {
	dir := t.TempDir()
	parts, err := fakeParts(filepath.Join(dir, "kernel."), "6.12.1", fakeqemu.Good, "CONFIG_BPF_SYSCALL=y\n")
	if err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	if _, err := packFake(t, dir, parts, false, &said, "kernel/btf", "attach/fentry"); err != nil {
		t.Fatal(err)
	}
	if want := "not asked for, since its configuration has no BTF: kernel btf, attach fentry\n"; !strings.Contains(said.String(), want) {
		t.Errorf("it said\n%swant %q", &said, want)
	}
}

func kernelsIn(t *testing.T, dir, digest string) []*artifact.Manifest {
	t.Helper()
	l, err := artifact.OpenLayout(dir)
	if err != nil {
		t.Fatal(err)
	}
	kernels, err := l.Kernels("", digest)
	if err != nil || len(kernels) == 0 {
		t.Fatalf("%d kernels, %v", len(kernels), err)
	}
	return kernels
}

// A kernel of ours can do everything, and its artifact says so, the same each
// time.
func TestRealKernelBuild(t *testing.T) {
	needReal(t)
	user, err := cacheDir()
	if err != nil {
		t.Fatal(err)
	}
	r, dir := newReal(t), t.TempDir()
	env := []string{"VMTEST_CACHE=" + user} // where it may have been built already
	var digests []string
	for _, out := range []string{"one", "two"} {
		run := r.run(t, dir, env, "kernel", "build", "-o", out, "6.12")
		run.want(t, 0, "program types 32 of 32, map types 33 of 33, attached 23 of 23")
		_, digest, _ := strings.Cut(strings.TrimSpace(run.stdout), "@")
		digests = append(digests, digest)
	}
	if digests[0] == "" || digests[0] != digests[1] {
		t.Errorf("packed twice: %q", digests)
	}
	r.run(t, dir, env, "kernel", "inspect", "oci:one:6.12").want(t, 0, "attached, 23 of 23:", "power_off")
}
