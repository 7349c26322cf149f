package builder

import (
	"context"
	"fmt"
	"os/exec"
	"runtime"
	"slices"
	"strings"
)

// A MissingToolsError lists everything a build needs and the machine lacks.
type MissingToolsError struct {
	Arch     string   // GOARCH of the kernel
	Tools    []string // programs and header files
	Packages []string // of Debian and Ubuntu, that hold them
}

func (e *MissingToolsError) Error() string {
	return "find build tools: missing " + strings.Join(e.Tools, ", ")
}

// Hint says how to install them.
func (e *MissingToolsError) Hint() string {
	purposes := "build"
	if crossPrefix(e.Arch) != "" {
		purposes += "," + e.Arch
	}
	return "vmtest setup -for " + purposes + " installs them; on Debian and Ubuntu they are in: " + strings.Join(e.Packages, " ")
}

// A tool is a program, or with a .h at its end a header file, and the package
// that holds it.
type tool struct{ name, pkg string }

// requiredTools is what building for goarch needs on this machine.
func requiredTools(goarch string) []tool {
	prefix := crossPrefix(goarch)
	gcc, binutils := "gcc", "binutils"
	if prefix != "" {
		suffix := "-" + strings.TrimSuffix(prefix, "-")
		gcc, binutils = gcc+suffix, binutils+suffix
	}
	tools := []tool{
		{"make", "make"}, {"gcc", "gcc"}, {prefix + "gcc", gcc}, {prefix + "ld", binutils}, {prefix + "strip", binutils},
		{"flex", "flex"}, {"bison", "bison"}, {"bc", "bc"}, {"perl", "perl"}, {"python3", "python3"}, {pahole, "pahole"}, {"ccache", "ccache"},
		{"tar", "tar"}, {"xz", "xz-utils"}, {"depmod", "kmod"},
		{"gelf.h", "libelf-dev"}, // objtool and resolve_btfids link with libelf
		{"openssl/evp.h", "libssl-dev"},
	}
	if goarch == "amd64" {
		tools = append(tools, tool{"lz4", "lz4"}) // KERNEL_LZ4
	}
	return tools
}

// crossPrefix is what the names of the tools for goarch begin with here.
func crossPrefix(goarch string) string {
	if goarch == runtime.GOARCH {
		return ""
	}
	return map[string]string{"amd64": "x86_64-linux-gnu-", "arm64": "aarch64-linux-gnu-"}[goarch]
}

// A toolchain is what a kernel is built with: names to run, and versions that
// decide whether a finished kernel is still the same.
type toolchain struct {
	prefix                   string // of the compiler's name
	compiler, linker, pahole string // first lines of --version
	paholePath               string // what is run as pahole
}

// findTools checks that nothing is missing before anything is begun. The
// error is a [*MissingToolsError].
func findTools(ctx context.Context, goarch string) (toolchain, error) {
	missing := &MissingToolsError{Arch: goarch}
	for _, t := range requiredTools(goarch) {
		if hasTool(ctx, t.name) || slices.Contains(missing.Tools, t.name) {
			continue
		}
		missing.Tools = append(missing.Tools, t.name)
		if !slices.Contains(missing.Packages, t.pkg) {
			missing.Packages = append(missing.Packages, t.pkg)
		}
	}
	if len(missing.Tools) > 0 {
		return toolchain{}, missing
	}
	tc := toolchain{prefix: crossPrefix(goarch)}
	var err error
	if tc.paholePath, err = exec.LookPath(pahole); err != nil {
		return tc, fmt.Errorf("find pahole: %w", err)
	}
	for name, version := range map[string]*string{tc.prefix + "gcc": &tc.compiler, tc.prefix + "ld": &tc.linker, pahole: &tc.pahole} {
		if *version, err = firstLine(ctx, name); err != nil {
			return tc, err
		}
	}
	return tc, nil
}

func hasTool(ctx context.Context, name string) bool {
	if !strings.HasSuffix(name, ".h") {
		_, err := exec.LookPath(name)
		return err == nil
	}
	cmd := exec.CommandContext(ctx, "gcc", "-E", "-x", "c", "-")
	cmd.Stdin = strings.NewReader("#include <" + name + ">\n")
	return run(cmd) == nil
}
