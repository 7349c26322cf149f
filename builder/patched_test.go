package builder

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bpf-vmtest/bpf-vmtest/builder/patch"
)

// fakePatch makes another kernel, of another version, out of a fake tree.
const fakePatch = `--- a/Makefile
+++ b/Makefile
@@ -1,6 +1,6 @@
 VERSION = 6
 PATCHLEVEL = 12
-SUBLEVEL = 3
+SUBLEVEL = 4
 EXTRAVERSION =
 NAME = Fake
 
@@ -17,5 +17,5 @@
 	echo 6.12.3 > $(O)/include/config/kernel.release
 	echo image > $(O)/arch/x86/boot/bzImage
 	echo image > $(O)/arch/arm64/boot/Image
-	echo map > $(O)/System.map
+	echo patched > $(O)/System.map
 	cp vmlinux $(O)/vmlinux
`

// A patch is applied to a copy, and what was applied is part of the kernel's
// identity; one that is in the source already is not.
func TestPatches(t *testing.T) {
	src, dir := fakeTree(t), t.TempDir()
	before, err := hashTree(t.Context(), src)
	if err != nil {
		t.Fatal(err)
	}
	parse := func(name, text string) []patch.Patch {
		t.Helper()
		p, err := patch.Parse(t.Context(), name, []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	var notices []string
	build := func(patches []patch.Patch) (*Result, error) {
		notices = nil
		return Build(t.Context(), Options{Source: Directory{src}, Dir: dir, Patches: patches,
			Notice: func(s string) { notices = append(notices, s) }})
	}
	plain, err := build(nil)
	if err != nil {
		t.Fatal(err)
	}
	patches := parse("some/dir/my.patch", fakePatch)
	for _, cached := range []bool{false, true} {
		r, err := build(patches)
		if err != nil {
			t.Fatal(err)
		}
		if r.Cached != cached || r.Dir == plain.Dir || r.Version.String() != "6.12.4" {
			t.Errorf("Build = %+v, want it Cached %v", r, cached)
		}
		if diff := cmp.Diff([]string{"my.patch@" + patches[0].Digest}, r.BuildInfo.Patches); diff != "" {
			t.Errorf("recorded patches: %s", diff)
		}
		if m, err := os.ReadFile(r.SystemMap); err != nil || string(m) != "patched\n" {
			t.Errorf("System.map holds %q, %v", m, err)
		}
		leftovers(t, dir)
	}
	if after, err := hashTree(t.Context(), src); err != nil || after != before {
		t.Errorf("the source was written to: %v", err)
	}

	there := parse("there.patch", strings.NewReplacer("-SUBLEVEL = 3\n+SUBLEVEL = 4\n", "-SUBLEVEL = 2\n+SUBLEVEL = 3\n",
		"-\techo map > $(O)/System.map\n+\techo patched", "-\techo other > $(O)/System.map\n+\techo map").Replace(fakePatch))
	r, err := build(there)
	if err != nil || !r.Cached || r.Dir != plain.Dir || len(r.BuildInfo.Patches) > 0 {
		t.Errorf("Build with a patch that is there = %+v, %v", r, err)
	}
	if diff := cmp.Diff([]string{`patch "there.patch" is in the source already`}, notices); diff != "" {
		t.Errorf("notices: %s", diff)
	}

	var conflict *patch.ConflictError
	_, err = build(parse("late.patch", strings.ReplaceAll(fakePatch, "SUBLEVEL = 3", "SUBLEVEL = 7")))
	if !errors.As(err, &conflict) || !strings.Contains(err.Error(), `"late.patch": Makefile: hunk 1 of 2, at line 1`) {
		t.Errorf("Build with a patch that conflicts = %v", err)
	}
	leftovers(t, dir)
}

// The patch that keeps a kernel from going down, for proofs by hand that such
// a kernel is found out, is one.
func TestNeverOff(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("testdata", "never-off.patch"))
	if err != nil {
		t.Fatal(err)
	}
	if patches, err := patch.Parse(t.Context(), "never-off.patch", data); err != nil || len(patches) != 1 {
		t.Errorf("Parse = %v, %v", patches, err)
	}
}
