package builder

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// testModule is the module of the kernel's own BPF tests, with functions,
// types and trace points made to be attached to; cilium/ebpf's tests load it.
// It is made like any module from outside the tree.
const testModule = "bpf_testmod"

// Where releases keep its source: since 6.14, and since 5.11.
var testModuleDirs = []string{
	"tools/testing/selftests/bpf/test_kmods",
	"tools/testing/selftests/bpf/bpf_testmod",
}

// compileTestModule builds the module in the build directory, where the
// source has it, and returns its directory there, or "".
func (b *build) compileTestModule(ctx context.Context) (string, error) {
	for _, dir := range testModuleDirs {
		from := filepath.Join(b.tree.dir, dir)
		if _, err := os.Stat(filepath.Join(from, testModule+".c")); err != nil {
			continue
		}
		to := filepath.Join(b.out, testModule)
		if err := copyTestModule(from, to); err != nil {
			return "", fmt.Errorf("copy source of module %q: %w", testModule, err)
		}
		// The build directory's name is random: no use in ccache. Since 6.13
		// the kernel's headers have absolute names in such a build.
		flags := "KCFLAGS=" + b.sourcePrefixMap() + " " + prefixMap(b.out, debugPrefix)
		return to, b.make(ctx, nil, "M="+to, flags, "CC="+b.tools.prefix+"gcc", "modules")
	}
	return "", nil
}

// copyTestModule copies the source: make writes beside it.
func copyTestModule(from, to string) error {
	files, err := filepath.Glob(filepath.Join(from, testModule+"*.[ch]"))
	if err != nil {
		return err
	}
	if err := os.Mkdir(to, 0o755); err != nil {
		return err
	}
	for _, file := range files {
		if err := copyFile(file, filepath.Join(to, filepath.Base(file))); err != nil {
			return err
		}
	}
	// -I is for its trace points' header, which includes itself; the prefix
	// map keeps the build directory's random name out of __FILE__.
	kbuild := fmt.Sprintf("obj-m := %[1]s.o\nCFLAGS_%[1]s.o := -I$(src) -fmacro-prefix-map=$(src)/=\n", testModule)
	return os.WriteFile(filepath.Join(to, "Kbuild"), []byte(kbuild), 0o644)
}
