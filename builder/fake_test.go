package builder

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bpf-vmtest/bpf-vmtest/kconfig"
	"github.com/cilium/ebpf/btf"
	"github.com/google/go-cmp/cmp"
)

// A makefile with the targets of the kernel's, that does next to nothing. It
// takes from its .config whether to misbehave.
const fakeMakefile = `VERSION = 6
PATCHLEVEL = 12
SUBLEVEL = 3
EXTRAVERSION =
NAME = Fake

allnoconfig:
	cp $(KCONFIG_ALLCONFIG) $(O)/.config
olddefconfig:
	test ! -e drop || sed -i /CONFIG_KCMP=/d $(O)/.config
bzImage:
	@echo "  CC      init/main.o"
	@echo "  CC [M]  lib/test.o"
	@echo "  HOSTCC  scripts/x"
	@test ! -e slow || { touch $(O)/../started; sleep 60; }
	@test ! -e broken || { echo "init/main.c:1:1: error: no such thing"; false; }
	mkdir -p $(O)/arch/x86/boot $(O)/arch/arm64/boot $(O)/include/config
	echo 6.12.3 > $(O)/include/config/kernel.release
	echo image > $(O)/arch/x86/boot/bzImage
	echo image > $(O)/arch/arm64/boot/Image
	echo map > $(O)/System.map
	cp vmlinux $(O)/vmlinux
Image: bzImage
modules:
	test -z "$(M)" || test -e $(M)/bpf_testmod.c -a -e $(M)/bpf_testmod_kfunc.h
modules_install:
	mkdir -p $(INSTALL_MOD_PATH)/lib/modules/6.12.3/updates
	test -z "$(M)" || cp $(M)/Kbuild $(INSTALL_MOD_PATH)/lib/modules/6.12.3/updates/
	test -n "$(M)" || ln -s $(O) $(INSTALL_MOD_PATH)/lib/modules/6.12.3/build
	touch $(INSTALL_MOD_PATH)/lib/modules/6.12.3/modules.dep
`

// fakeTree writes a source that the embedded fragments fit.
func fakeTree(t *testing.T) string {
	t.Helper()
	if _, err := findTools(context.Background(), hostArch); err != nil {
		if os.Getenv("VMTEST_TESTS") == "all" {
			t.Fatal(err)
		}
		t.Skipf("needs the build tools: %v", err)
	}
	dir := t.TempDir()
	write(t, filepath.Join(dir, "Makefile"), fakeMakefile)
	frags, err := kconfig.Embedded(hostArch)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"bpf_testmod.c", "bpf_testmod_kfunc.h", "other.c"} {
		write(t, filepath.Join(dir, "tools/testing/selftests/bpf/test_kmods", name), "")
	}
	var tree strings.Builder
	for _, f := range frags {
		for _, r := range f.Requests {
			fmt.Fprintf(&tree, "config %s\n\tbool \"%[1]s\"\n", r.Symbol)
		}
	}
	write(t, filepath.Join(dir, "Kconfig"), tree.String())
	writeVmlinux(t, filepath.Join(dir, "vmlinux"), &btf.Struct{Name: "task_struct", Size: 4})
	return dir
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// writeVmlinux makes an ELF file with one type in its BTF.
func writeVmlinux(t *testing.T, path string, typ btf.Type) {
	t.Helper()
	b, err := btf.NewBuilder([]btf.Type{typ}, nil)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := b.Marshal(nil, &btf.MarshalOptions{Order: binary.LittleEndian})
	if err != nil {
		t.Fatal(err)
	}
	write(t, path+".btf", string(raw))
	write(t, path+".c", "int main;\n")
	for _, args := range [][]string{
		{"gcc", "-c", "-o", path, path + ".c"},
		{"objcopy", "--add-section", ".BTF=" + path + ".btf", "--set-section-flags", ".BTF=alloc,readonly", path},
	} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", args, err, out)
		}
	}
}

func TestBuild(t *testing.T) {
	src, dir := fakeTree(t), t.TempDir()
	var phases []string
	var log bytes.Buffer
	o := Options{Source: Directory{src}, Dir: dir, Log: &log, Progress: func(p Progress) {
		phases = append(phases, fmt.Sprintf("%s %d", p.Phase, p.Done))
	}}
	before, err := hashTree(context.Background(), src)
	if err != nil {
		t.Fatal(err)
	}
	r, err := Build(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	if r.Cached || r.Release != "6.12.3" || r.Version.String() != "6.12.3" || r.Arch != hostArch || r.BuildInfo.Objects != 2 {
		t.Errorf("Build = %+v", r)
	}
	want := []string{"read source 0", "configure 0", "compile 0", "compile 1", "compile 2", "store 0"}
	if diff := cmp.Diff(want, phases); diff != "" {
		t.Errorf("phases: %s", diff)
	}
	if _, err := os.Lstat(filepath.Join(r.ModulesDir, "build")); err == nil {
		t.Error("the modules link to a build directory that is gone")
	}
	if _, err := os.Stat(filepath.Join(r.ModulesDir, "updates/Kbuild")); err != nil {
		t.Errorf("the test module was not installed: %v", err)
	}
	if after, err := hashTree(context.Background(), src); err != nil || after != before {
		t.Errorf("the source was written to: %v", err)
	}
	log.Reset()
	again, err := Build(context.Background(), o)
	if err != nil || !again.Cached || again.Dir != r.Dir || log.Len() != 0 {
		t.Errorf("second Build = %+v, %v, printed %q", again, err, log.String())
	}
	leftovers(t, dir)

	// A finished kernel that lost a file is built again.
	if err := os.Remove(r.BTF); err != nil {
		t.Fatal(err)
	}
	if r, err = Build(context.Background(), o); err != nil || r.Cached {
		t.Errorf("Build over an incomplete result = %+v, %v", r, err)
	}
	// Another source is another kernel.
	write(t, filepath.Join(src, "init/main.c"), "")
	if other, err := Build(context.Background(), o); err != nil || other.Cached || other.Dir == r.Dir {
		t.Errorf("Build of a changed source = %+v, %v", other, err)
	}
}

// leftovers fails the test when the cache holds more than finished work.
func leftovers(t *testing.T, dir string) {
	t.Helper()
	for _, pattern := range []string{"sources/*/" + buildPrefix + "*", "sources/*.tmp*", "builds/*.tmp*", "builds/*.log"} {
		if found, _ := filepath.Glob(filepath.Join(dir, pattern)); len(found) > 0 {
			t.Errorf("left over: %s", found)
		}
	}
}

func TestBuildErrors(t *testing.T) {
	for name, c := range map[string]struct {
		spoil  func(src string)
		extra  string
		errors func(error) bool
		want   string
	}{
		"make fails": {
			func(src string) { write(t, filepath.Join(src, "broken"), "") }, "",
			func(err error) bool { var e *MakeError; return errors.As(err, &e) }, "init/main.c:1:1: error: no such thing"},
		"symbol dropped": {
			func(src string) { write(t, filepath.Join(src, "drop"), "") }, "",
			func(err error) bool { var e *kconfig.DroppedError; return errors.As(err, &e) }, "CONFIG_KCMP=y at base.config:"},
		"typo": {
			func(string) {}, "CONFIG_BPF_SYSCAL=y\n",
			func(err error) bool { var e *kconfig.UnknownSymbolsError; return errors.As(err, &e) }, "CONFIG_BPF_SYSCAL at my.config:1"},
		"conflict": {
			func(string) {}, "CONFIG_SMP=n\n",
			func(err error) bool { var e *kconfig.ConflictError; return errors.As(err, &e) }, "my.config:1, but =y at base.config:"},
		"no BTF": {
			func(src string) {
				exec.Command("objcopy", "--remove-section", ".BTF", filepath.Join(src, "vmlinux")).Run()
			}, "",
			func(err error) bool { var e *BTFError; return errors.As(err, &e) }, "no section .BTF"},
		"other BTF": {
			func(src string) { writeVmlinux(t, filepath.Join(src, "vmlinux"), &btf.Struct{Name: "foo", Size: 4}) }, "",
			func(err error) bool { var e *BTFError; return errors.As(err, &e) }, "task_struct"},
		"dirty tree": {
			func(src string) { write(t, filepath.Join(src, ".config"), "") }, "",
			func(err error) bool { var e *DirtyTreeError; return errors.As(err, &e) }, ".config"},
	} {
		t.Run(name, func(t *testing.T) {
			src, dir := fakeTree(t), t.TempDir()
			c.spoil(src)
			f, err := kconfig.Parse("my.config", []byte(c.extra))
			if err != nil {
				t.Fatal(err)
			}
			_, err = Build(context.Background(), Options{Source: Directory{src}, Dir: dir, Fragments: []*kconfig.Fragment{f}})
			if err == nil || !c.errors(err) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Build = %v, want %q", err, c.want)
			}
			if results, _ := filepath.Glob(filepath.Join(dir, "builds/*/*")); len(results) > 0 {
				t.Errorf("a failed build left %s", results)
			}
		})
	}
}

// An interrupted build must end at once, with everything it started.
func TestBuildInterrupted(t *testing.T) {
	src, dir := fakeTree(t), t.TempDir()
	write(t, filepath.Join(src, "slow"), "")
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		for range 300 {
			if found, _ := filepath.Glob(filepath.Join(dir, "sources/*/started")); len(found) > 0 {
				break
			}
			time.Sleep(100 * time.Millisecond)
		}
		cancel()
	}()
	start := time.Now()
	_, err := Build(ctx, Options{Source: Directory{src}, Dir: dir})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Build = %v, want it cancelled", err)
	}
	if d := time.Since(start); d > 40*time.Second {
		t.Errorf("it took %v", d)
	}
	if found, _ := filepath.Glob(filepath.Join(dir, "sources/*/"+buildPrefix+"*")); len(found) > 0 {
		t.Errorf("left over: %s", found)
	}
	if err := os.Remove(filepath.Join(src, "slow")); err != nil {
		t.Fatal(err)
	}
	if _, err := Build(context.Background(), Options{Source: Directory{src}, Dir: dir}); err != nil {
		t.Errorf("the next Build = %v", err)
	}
}
