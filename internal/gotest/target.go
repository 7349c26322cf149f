package gotest

import (
	"context"
	"fmt"
	"os/exec"
	"runtime"
	"slices"
	"strings"
)

// A Target is the guest that tests are compiled for.
type Target struct {
	Arch   string // GOARCH
	Static bool   // the guest has no C library
	Cgo    bool   // a flag such as -race needs a C compiler
}

// A crossCompiler is what Debian and others call the C compiler for a GOARCH,
// and the packages of Debian that bring it.
type crossCompiler struct{ name, packages string }

var crossCompilers = map[string]crossCompiler{
	"amd64": {"x86_64-linux-gnu-gcc", "gcc-x86-64-linux-gnu libc6-dev-amd64-cross"},
	"arm64": {"aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu libc6-dev-arm64-cross"},
}

// A CompilerError says that cgo was asked for and there is no C compiler for
// the guest's architecture.
type CompilerError struct{ Arch, Compiler string }

func (e *CompilerError) Error() string {
	return fmt.Sprintf("compile with cgo for %s: no %s in PATH", e.Arch, e.Compiler)
}

// Hint says how to get one.
func (e *CompilerError) Hint() string {
	return fmt.Sprintf("`vmtest setup -for %s` installs it (on Debian and Ubuntu: %s); CC=… names another; without cgo and -race none is needed",
		e.Arch, crossCompilers[e.Arch].packages)
}

// Environ is the go command's environment, made from the user's. A guest
// without a C library, or with one for another architecture, gets tests
// without cgo, unless the user asks for it. The error is a [*CompilerError].
func (t Target) Environ(env []string) ([]string, error) {
	env = append(slices.Clone(env), "GOOS=linux")
	cgo := variable(env, "CGO_ENABLED")
	if t.Arch == runtime.GOARCH {
		if t.Static && cgo == "" && !t.Cgo {
			env = append(env, "CGO_ENABLED=0")
		}
		return env, nil
	}
	env = append(env, "GOARCH="+t.Arch)
	if cgo != "1" && !t.Cgo { // as the go command itself would have it
		return append(env, "CGO_ENABLED=0"), nil
	}
	if variable(env, "CC") == "" {
		cc := crossCompilers[t.Arch].name
		if _, err := exec.LookPath(cc); err != nil {
			return nil, &CompilerError{Arch: t.Arch, Compiler: cc}
		}
		env = append(env, "CC="+cc)
	}
	return append(env, "CGO_ENABLED=1"), nil
}

// variable is a variable's last value, or empty.
func variable(env []string, name string) string {
	for _, e := range slices.Backward(env) {
		if value, ok := strings.CutPrefix(e, name+"="); ok {
			return value
		}
	}
	return ""
}

// An ArchError says that a guest will not run what the go command compiles.
type ArchError struct{ GOARCH, Guest string }

func (e *ArchError) Error() string {
	return fmt.Sprintf("compile tests: GOARCH is %s, and the guest is %s", e.GOARCH, e.Guest)
}

// Hint says what to give.
func (e *ArchError) Hint() string {
	return "-arch chooses the guest's architecture and sets GOARCH"
}

// ExitCode is that of a usage error.
func (e *ArchError) ExitCode() int { return 2 }

// CheckArch makes sure that a guest's kernel runs programs for the go command's
// GOARCH. The error is an [*ArchError].
func CheckArch(goarch, guest string) error {
	runs := map[string][]string{"amd64": {"amd64", "386"}, "arm64": {"arm64", "arm"}}
	if slices.Contains(runs[guest], goarch) {
		return nil
	}
	return &ArchError{GOARCH: goarch, Guest: guest}
}

// explain adds to a compiler's complaint that cgo is off, where that may be the
// cause: the package, or one it needs, has files that import "C".
func (g Go) explain(ctx context.Context, p *Package, complaint string) string {
	if variable(g.Env, "CGO_ENABLED") != "0" {
		return complaint
	}
	const format = `{{if and .CgoFiles (not .Standard) (not .ForTest)}}{{.ImportPath}}{{end}}`
	g.Env = append(slices.Clone(g.Env), "CGO_ENABLED=1")
	out, err := g.command(ctx, append(append([]string{"list", "-e", "-deps", "-test", "-f", format}, g.BuildFlags...), "--", p.ImportPath)...).Output()
	users := strings.Fields(string(out))
	if err != nil || len(users) == 0 {
		return complaint
	}
	return complaint + fmt.Sprintf("vmtest: cgo is off, which %s cannot do without; CGO_ENABLED=1 turns it on\n", strings.Join(users, ", "))
}
