package initramfs

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// A Program is one of a guest's. It travels as source and is compiled for
// whatever architecture the guest has, always from the same source as the
// host's end of what it speaks.
type Program struct {
	Name string // of the binary's directory in the cache
	// Source is a directory of this module, the one of that name.
	Source    fs.FS
	Directory string // such as internal/features
	Package   string // the one to build, as go build takes it from the module's root
	// GoMod is the whole module's file, GoSum that of its requirements;
	// they are fetched by the go command unless GoSum is empty.
	GoMod, GoSum string
	// Symbols keeps the symbol table.
	Symbols bool
}

// Build compiles the program, statically, for a GOARCH with the Go toolchain
// of the host and returns its path below cacheDir. A second call finds the
// binary of the first and needs no network.
func (p Program) Build(ctx context.Context, cacheDir, goarch string) (string, error) {
	path, err := p.build(ctx, cacheDir, goarch)
	if err != nil {
		return "", fmt.Errorf("build %s for %s: %w", p.Name, goarch, err)
	}
	return path, nil
}

// Path is where Build leaves the binary, and finds it.
func (p Program) Path(cacheDir, goarch string) (string, error) {
	key, err := p.key(goarch)
	return filepath.Join(cacheDir, p.Name, key), err
}

func (p Program) build(ctx context.Context, cacheDir, goarch string) (string, error) {
	path, err := p.Path(cacheDir, goarch)
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(path), "build-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(tmp)
	w := workshop{Program: p, dir: filepath.Join(tmp, "src"), binary: filepath.Join(tmp, "program")}
	if err := w.unpack(); err != nil {
		return "", err
	}
	if err := w.compile(ctx, goarch); err != nil {
		return "", err
	}
	// Two runs at once build the same bytes: either rename will do.
	return path, os.Rename(w.binary, path)
}

// key is the hash of everything that goes into the binary.
func (p Program) key(goarch string) (string, error) {
	h := sha256.New()
	fmt.Fprintf(h, "%s %s\n%s\n%s\n%s %t\n", goarch, runtime.Version(), p.GoMod, p.GoSum, p.Package, p.Symbols)
	err := fs.WalkDir(p.Source, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(path, "_test.go") {
			return err
		}
		b, err := fs.ReadFile(p.Source, path)
		fmt.Fprintln(h, path, len(b))
		h.Write(b)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("hash the source: %w", err)
	}
	return goarch + "-" + hex.EncodeToString(h.Sum(nil)[:16]), nil
}

// A workshop is a directory in which a program is built.
type workshop struct {
	Program
	dir, binary string
}

func (w workshop) unpack() error {
	if err := os.CopyFS(filepath.Join(w.dir, filepath.FromSlash(w.Directory)), w.Source); err != nil {
		return err
	}
	for name, content := range map[string]string{"go.mod": w.GoMod, "go.sum": w.GoSum} {
		if err := os.WriteFile(filepath.Join(w.dir, name), []byte(content), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func (w workshop) compile(ctx context.Context, goarch string) error {
	env := []string{
		"GOOS=linux", "GOARCH=" + goarch, "CGO_ENABLED=0",
		// The user's settings are for the user's code, those of go env -w
		// as well, which an empty variable would not override.
		"GOENV=off", "GOEXPERIMENT=", "GODEBUG=", "GOAMD64=v1", "GOARM64=v8.0", "GOPROXY=off",
	}
	if w.GoSum != "" {
		modules, err := w.fetch(ctx)
		if err != nil {
			return err
		}
		env = append(env, "GOMODCACHE="+modules)
	}
	ldflags := "-ldflags=-s -w -buildid="
	if w.Symbols {
		ldflags = "-ldflags=-w -buildid="
	}
	_, err := w.goCommand(ctx, env, "build", "-trimpath", ldflags, "-o", w.binary, w.Package)
	return err
}

// fetch brings what the program requires into the module cache, with the user's
// own settings for the network, and returns the cache.
func (w workshop) fetch(ctx context.Context) (string, error) {
	if _, err := w.goCommand(ctx, nil, "mod", "download"); err != nil {
		return "", &fetchError{err}
	}
	cache, err := w.goCommand(ctx, nil, "env", "GOMODCACHE")
	return strings.TrimSpace(cache), err
}

func (w workshop) goCommand(ctx context.Context, env []string, args ...string) (stdout string, err error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = w.dir
	cmd.Env = append(append(os.Environ(), "GOFLAGS=-buildvcs=false", "GOWORK=off", "GOTOOLCHAIN=local"), env...)
	var problems bytes.Buffer
	cmd.Stderr = &problems
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("go %s: %w\n%s", args[0], err, bytes.TrimSpace(problems.Bytes()))
	}
	return string(out), nil
}

type fetchError struct{ err error }

func (e *fetchError) Error() string { return "fetch what it requires: " + e.err.Error() }
func (e *fetchError) Unwrap() error { return e.err }
func (e *fetchError) Hint() string {
	return "the first build needs Go's module proxy (GOPROXY), later ones none"
}
