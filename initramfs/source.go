package initramfs

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// The guest's init travels as source: it is compiled for whatever architecture
// the guest has, always from the same source as the host's end of the wire.
//
//go:embed init/*.go wire/wire.go
var source embed.FS

const goMod = "module github.com/bpf-vmtest/bpf-vmtest\n\ngo 1.24\n"

// BuildInit compiles the guest's init for a GOARCH with the Go toolchain of
// the host and returns its path below cacheDir. It needs no network, and a
// second call finds the binary of the first.
func BuildInit(ctx context.Context, cacheDir, goarch string) (string, error) {
	key, err := sourceKey(goarch)
	if err != nil {
		return "", err
	}
	path := filepath.Join(cacheDir, "init", key)
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", fmt.Errorf("build init: %w", err)
	}
	tmp, err := os.MkdirTemp(filepath.Dir(path), "build-")
	if err != nil {
		return "", fmt.Errorf("build init: %w", err)
	}
	defer os.RemoveAll(tmp)
	if err := compileInit(ctx, tmp, goarch); err != nil {
		return "", err
	}
	// Two runs at once build the same bytes: either rename will do.
	if err := os.Rename(filepath.Join(tmp, "init"), path); err != nil {
		return "", fmt.Errorf("build init: %w", err)
	}
	return path, nil
}

func compileInit(ctx context.Context, dir, goarch string) error {
	src := filepath.Join(dir, "src")
	if err := os.CopyFS(filepath.Join(src, "initramfs"), source); err != nil {
		return fmt.Errorf("build init: %w", err)
	}
	if err := os.WriteFile(filepath.Join(src, "go.mod"), []byte(goMod), 0o644); err != nil {
		return fmt.Errorf("build init: %w", err)
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w -buildid=", "-o", filepath.Join(dir, "init"), "./initramfs/init")
	cmd.Dir = src
	cmd.Env = append(os.Environ(),
		"GOOS=linux", "GOARCH="+goarch, "CGO_ENABLED=0",
		// The user's settings are for the user's code, those of go env -w
		// as well, which an empty variable would not override.
		"GOENV=off", "GOFLAGS=-buildvcs=false", "GOWORK=off", "GOEXPERIMENT=", "GODEBUG=",
		"GOAMD64=v1", "GOARM64=v8.0", "GOTOOLCHAIN=local")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build init for %s: %w\n%s", goarch, err, out)
	}
	return nil
}

// sourceKey is the hash of everything that goes into the binary.
func sourceKey(goarch string) (string, error) {
	h := sha256.New()
	fmt.Fprintf(h, "%s %s\n%s", goarch, runtime.Version(), goMod)
	err := fs.WalkDir(source, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(path, "_test.go") {
			return err
		}
		b, err := fs.ReadFile(source, path)
		fmt.Fprintln(h, path, len(b))
		h.Write(b)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("hash init's source: %w", err)
	}
	return goarch + "-" + hex.EncodeToString(h.Sum(nil)[:16]), nil
}
