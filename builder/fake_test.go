package builder

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
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
	! grep -q '^# CONFIG_DEBUG_INFO_BTF ' $(O)/.config || test -e stubborn || objcopy --remove-section .BTF $(O)/vmlinux
Image: bzImage
scripts_gdb:
	mkdir -p $(O)/scripts/gdb/linux
	echo generated > $(O)/scripts/gdb/linux/constants.py
	ln -s $(abspath scripts/gdb/linux/utils.py) $(O)/scripts/gdb/linux/
	ln -s $(abspath scripts/gdb/vmlinux-gdb.py) $(O)/
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
	for _, name := range kconfig.Flavours() {
		flavour, err := kconfig.Flavour(name, hostArch)
		if err != nil {
			t.Fatal(err)
		}
		frags = append(frags, flavour...)
	}
	for _, name := range []string{"vmlinux-gdb.py", "linux/utils.py"} {
		write(t, filepath.Join(dir, "scripts/gdb", name), "")
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

// A flavour is a kernel of its own, with the parts that its configuration
// gives.
func TestFlavours(t *testing.T) {
	src, dir := fakeTree(t), t.TempDir()
	build := func(flavour string) *Result {
		t.Helper()
		var r *Result
		for _, cached := range []bool{false, true} {
			var err error
			r, err = Build(context.Background(), Options{Source: Directory{src}, Dir: dir, Flavour: flavour})
			if err != nil {
				t.Fatalf("%s: %v", flavour, err)
			}
			if r.Cached != cached || r.BuildInfo.Flavour != flavour {
				t.Errorf("Build of %q = %+v, want Cached %v", flavour, r, cached)
			}
		}
		return r
	}
	plain, nobtf, debug := build(""), build("nobtf"), build("debug")
	if plain.Dir == nobtf.Dir || nobtf.Dir == debug.Dir || debug.Dir == plain.Dir {
		t.Error("two flavours are one kernel")
	}
	if plain.BTF == "" || debug.BTF == "" || nobtf.BTF != "" {
		t.Errorf("BTF of default, debug, nobtf = %q, %q, %q, want none of the last", plain.BTF, debug.BTF, nobtf.BTF)
	}
	if plain.DebugDir != "" || nobtf.DebugDir != "" {
		t.Errorf("debug information of default and nobtf in %q, %q", plain.DebugDir, nobtf.DebugDir)
	}
	var files []string
	err := fs.WalkDir(os.DirFS(debug.DebugDir), ".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files = append(files, fmt.Sprintf("%s %v", path, d.Type()))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"scripts/gdb/linux/constants.py ----------", "scripts/gdb/linux/utils.py ----------", "vmlinux ----------", "vmlinux-gdb.py ----------"}
	if diff := cmp.Diff(want, files); diff != "" {
		t.Errorf("debug information: %s", diff)
	}
	if last := debug.BuildInfo.Fragments[len(debug.BuildInfo.Fragments)-1]; last != "flavours/debug.config" {
		t.Errorf("the last fragment is %s", last)
	}
	// A finished kernel that lost its debug information is built again.
	if err := os.RemoveAll(debug.DebugDir); err != nil {
		t.Fatal(err)
	}
	build("debug")

	write(t, filepath.Join(src, "stubborn"), "")
	_, err = Build(context.Background(), Options{Source: Directory{src}, Dir: dir, Flavour: "nobtf"})
	var e *BTFError
	if !errors.As(err, &e) || !strings.Contains(err.Error(), "without CONFIG_DEBUG_INFO_BTF") {
		t.Errorf("Build of nobtf with BTF = %v", err)
	}
	var unknown *kconfig.FlavourError
	if _, err = Build(context.Background(), Options{Source: Directory{src}, Dir: dir, Flavour: "debgu"}); !errors.As(err, &unknown) {
		t.Errorf("Build of an unknown flavour = %v", err)
	}
}

// Nothing of what is recorded depends on where source, fragment and cache are.
func TestPlacesUnrecorded(t *testing.T) {
	src := fakeTree(t)
	var infos []BuildInfo
	for range 2 {
		moved, dir := filepath.Join(t.TempDir(), "source"), t.TempDir()
		if err := os.Rename(src, moved); err != nil {
			t.Fatal(err)
		}
		src = moved
		f, err := kconfig.Parse(filepath.Join(dir, "my.config"), []byte("CONFIG_KCMP=y\n"))
		if err != nil {
			t.Fatal(err)
		}
		r, err := Build(context.Background(), Options{Source: Directory{src}, Dir: dir, Fragments: []*kconfig.Fragment{f}})
		if err != nil {
			t.Fatal(err)
		}
		infos = append(infos, r.BuildInfo)
	}
	if diff := cmp.Diff(infos[0], infos[1]); diff != "" {
		t.Error(diff)
	}
}

// leftovers fails the test when the cache holds more than finished work.
func leftovers(t *testing.T, dir string) {
	t.Helper()
	for _, pattern := range []string{"sources/*/" + buildPrefix + "*", "sources/*.tmp*", "sources/*.patched", "builds/*.tmp*", "builds/*.log"} {
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
		"override of nothing": {
			func(string) {}, "CONFIG_KASAN=n  # override\n",
			func(err error) bool { var e *kconfig.OverrideError; return errors.As(err, &e) }, "my.config:1 overrides nothing"},
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
