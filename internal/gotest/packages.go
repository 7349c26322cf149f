// Package gotest is the host's half of go test: it finds packages, lists the
// tests they must report, compiles them, and reads what their binaries print.
package gotest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"unicode"
	"unicode/utf8"
)

// A Package is one whose tests are to run.
type Package struct {
	ImportPath string
	Dir        string
	Tests      []Test
	// Broken is why the go command cannot load it, or empty.
	Broken string
	// Module is the directory of the package's module.
	Module string
}

// A Test is a top-level function the testing package runs by itself.
type Test struct {
	Name string
	Kind Kind
	File string // base name
	Line int
}

// Kind is what a test function is.
type Kind int

// The kinds of test functions. A fuzz test runs its seed corpus.
const (
	KindTest Kind = iota
	KindExample
	KindFuzz
	KindBenchmark
)

// Go runs the go command for a user's module.
type Go struct {
	Dir        string   // where the user is
	Env        []string // of the go command
	BuildFlags []string // those that both go list and go test take, such as -tags
	TestFlags  []string // build flags that only go test takes, such as -cover
}

func (g Go) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir, cmd.Env = g.Dir, g.Env
	// The compilers that it has started go with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	return cmd
}

// A ToolchainError says that the go command cannot be used.
type ToolchainError struct{ Err error }

func (e *ToolchainError) Error() string { return "run the go command: " + e.Err.Error() }
func (e *ToolchainError) Unwrap() error { return e.Err }

// Hint says what to do.
func (e *ToolchainError) Hint() string {
	return "vmtest compiles tests with the Go toolchain in PATH; install it from go.dev/dl"
}

// A NoPackagesError says that there is nothing to test.
type NoPackagesError struct{ Patterns []string }

func (e *NoPackagesError) Error() string {
	return fmt.Sprintf("list packages: %s matches none", strings.Join(e.Patterns, " "))
}

// ExitCode is that of a usage error.
func (e *NoPackagesError) ExitCode() int { return 2 }

// listed is what go list -json prints of a package.
type listed struct {
	ImportPath, Dir, Name     string
	Module                    *struct{ Dir string }
	TestGoFiles, XTestGoFiles []string
	Error                     *struct{ Err string }
	Match                     []string
}

// List returns the packages that match the patterns, with their tests.
func (g Go) List(ctx context.Context, patterns []string) ([]*Package, error) {
	args := append([]string{"list", "-e", "-json=ImportPath,Dir,Name,Module,TestGoFiles,XTestGoFiles,Error,Match"}, g.BuildFlags...)
	cmd := g.command(ctx, append(append(args, "--"), patterns...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		if errors.Is(err, exec.ErrNotFound) {
			return nil, &ToolchainError{err}
		}
		return nil, fmt.Errorf("list packages: %w\n%s", err, bytes.TrimSpace(stderr.Bytes()))
	}
	var packages []*Package
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var l listed
		if err := dec.Decode(&l); err == io.EOF {
			break
		} else if err != nil {
			return nil, fmt.Errorf("read go list's output: %w", err)
		}
		p, err := newPackage(l)
		if err != nil {
			return nil, err
		}
		packages = append(packages, p)
	}
	if len(packages) == 0 {
		return nil, &NoPackagesError{patterns}
	}
	return packages, nil
}

func newPackage(l listed) (*Package, error) {
	p := &Package{ImportPath: l.ImportPath, Dir: l.Dir}
	if l.Module != nil {
		p.Module = l.Module.Dir
	}
	if l.Error != nil {
		p.Broken = l.Error.Err
		return p, nil
	}
	for _, file := range append(l.TestGoFiles, l.XTestGoFiles...) {
		tests, err := testsOf(filepath.Join(l.Dir, file))
		if err != nil {
			p.Broken = err.Error() // go test -c will say the same
			return p, nil
		}
		p.Tests = append(p.Tests, tests...)
	}
	return p, nil
}

// testsOf reads a file's test functions as the go command does when it writes a
// test's main package: by name, receiver and parameter. Nothing is run.
func testsOf(path string) ([]Test, error) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, path, nil, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	var tests []Test
	add := func(name string, kind Kind, pos token.Pos) {
		tests = append(tests, Test{Name: name, Kind: kind, File: filepath.Base(path), Line: fset.Position(pos).Line})
	}
	for _, decl := range file.Decls {
		f, ok := decl.(*ast.FuncDecl)
		if !ok || f.Recv != nil {
			continue
		}
		name := f.Name.Name
		switch {
		case isTest(name, "Test") && takes(f, "T"):
			add(name, KindTest, f.Pos())
		case isTest(name, "Benchmark") && takes(f, "B"):
			add(name, KindBenchmark, f.Pos())
		case isTest(name, "Fuzz") && takes(f, "F"):
			add(name, KindFuzz, f.Pos())
		}
	}
	for _, e := range doc.Examples(file) {
		if e.Output != "" || e.EmptyOutput { // others are compiled, not run
			add("Example"+e.Name, KindExample, e.Code.Pos())
		}
	}
	return tests, nil
}

// isTest is the go command's rule: TestX and Test1, not Testify.
func isTest(name, prefix string) bool {
	rest, ok := strings.CutPrefix(name, prefix)
	if !ok {
		return false
	}
	r, _ := utf8.DecodeRuneInString(rest)
	return rest == "" || !unicode.IsLower(r)
}

// takes reports whether a function's only parameter is a pointer to the type of
// that name, of whatever package: the compiler checks the rest.
func takes(f *ast.FuncDecl, typ string) bool {
	params := f.Type.Params.List
	if f.Type.Results != nil || len(params) != 1 || len(params[0].Names) > 1 {
		return false
	}
	ptr, ok := params[0].Type.(*ast.StarExpr)
	if !ok {
		return false
	}
	switch t := ptr.X.(type) {
	case *ast.Ident:
		return t.Name == typ
	case *ast.SelectorExpr:
		return t.Sel.Name == typ
	}
	return false
}

// Environment is what go env says about the user's setting.
type Environment struct {
	GOROOT, GOPATH, GOCACHE, GOMODCACHE string
	GOVERSION, GOFLAGS, GOWORK, GOMOD   string
	GOARCH, CGO_ENABLED, GOEXPERIMENT   string
	GOTOOLCHAIN                         string
}

// Environment asks the go command, in the user's directory: a toolchain line in
// go.mod decides what GOROOT is.
func (g Go) Environment(ctx context.Context) (Environment, error) {
	var env Environment
	cmd := g.command(ctx, "env", "-json", "GOROOT", "GOPATH", "GOCACHE", "GOMODCACHE", "GOVERSION",
		"GOFLAGS", "GOWORK", "GOMOD", "GOARCH", "CGO_ENABLED", "GOEXPERIMENT", "GOTOOLCHAIN")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if errors.Is(err, exec.ErrNotFound) {
		return env, &ToolchainError{err}
	}
	if err != nil {
		return env, &ToolchainError{fmt.Errorf("%w: %s", err, bytes.TrimSpace(stderr.Bytes()))}
	}
	return env, json.Unmarshal(out, &env)
}

// Compile builds a package's test binary. It returns what the compiler said
// when that fails because of the package; ok tells.
func (g Go) Compile(ctx context.Context, p *Package, binary string) (output string, ok bool, err error) {
	if err := os.MkdirAll(filepath.Dir(binary), 0o755); err != nil {
		return "", false, err
	}
	args := append([]string{"test", "-c", "-o", binary, "-vet=off"}, g.BuildFlags...)
	args = append(append(args, g.TestFlags...), p.ImportPath)
	out, err := g.command(ctx, args...).CombinedOutput()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return "", false, context.Cause(ctx)
	case errors.As(err, &exit):
		return g.explain(ctx, p, string(out)), false, nil
	case err != nil:
		return "", false, &ToolchainError{err}
	}
	return string(out), true, nil
}
