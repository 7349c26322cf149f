package builder

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/bpf-vmtest/bpf-vmtest/internal/cache"
	"github.com/bpf-vmtest/bpf-vmtest/internal/distro"
)

// New kernels need a newer pahole than older distributions have: with another
// one the types of some kernel functions are wrong, and nothing says so until a
// program that calls one is loaded. Where this machine's will not do, it is
// taken from a later release of Debian, verified by apt, with the libraries
// and the dynamic linker that it was made for. Nothing is installed.
const paholeSuite = "trixie"

var paholePackages = []string{
	"pahole", "libbpf1", "libbz2-1.0", "libc6", "libdw1t64", "libelf1t64", "liblzma5", "libzstd1", "zlib1g",
}

// findPahole makes sure of a pahole that the kernel can be built with.
func (b *build) findPahole(ctx context.Context) error {
	err := b.tools.meets(b.Needs, b.version)
	var wrong *ToolVersionError
	if !errors.As(err, &wrong) || wrong.Tool != pahole {
		return err
	}
	path, fetchErr := fetchPahole(ctx, b.Options)
	if fetchErr == nil {
		b.tools.paholePath = path
		b.tools.pahole, fetchErr = firstLine(ctx, path)
	}
	if fetchErr != nil {
		wrong.Instead = fetchErr
		return wrong
	}
	return b.tools.meets(b.Needs, b.version)
}

// fetchPahole gives the path of a pahole of Debian's, in the cache.
func fetchPahole(ctx context.Context, o Options) (string, error) {
	var debs []string
	sums := sha256.New()
	for _, name := range paholePackages {
		pkg, err := o.apt().Fetch(ctx, distro.Query{Distribution: "debian", Package: name, Suite: paholeSuite})
		if err != nil {
			return "", err
		}
		debs = append(debs, pkg.Path)
		fmt.Fprintln(sums, pkg.SHA256)
	}
	dir := filepath.Join(o.Dir, "tools", fmt.Sprintf("%x", sums.Sum(nil)))
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return "", fmt.Errorf("make tool cache: %w", err)
	}
	if err := cache.Hold(dir); err != nil {
		return "", err
	}
	unlock, err := cache.Lock(ctx, dir+".lock", func() {})
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, err := os.Stat(dir); err != nil {
		if err := unpackTool(ctx, debs, dir); err != nil {
			return "", fmt.Errorf("unpack pahole: %w", err)
		}
	}
	return filepath.Join(dir, pahole), nil
}

// unpackTool makes a directory with the packages' files in it, and a program
// that runs the pahole among them.
func unpackTool(ctx context.Context, debs []string, dir string) error {
	tmp := dir + ".tmp"
	if err := os.RemoveAll(tmp); err != nil { // what a killed run left
		return err
	}
	defer os.RemoveAll(tmp)
	for _, deb := range debs {
		if err := run(exec.CommandContext(ctx, "dpkg-deb", "--extract", deb, tmp)); err != nil {
			return err
		}
	}
	linkers, err := filepath.Glob(filepath.Join(tmp, "usr/lib/*/ld-linux-*.so.*"))
	if err != nil || len(linkers) != 1 {
		return fmt.Errorf("the packages have %d dynamic linkers", len(linkers))
	}
	linker, err := filepath.Rel(tmp, linkers[0])
	if err != nil {
		return err
	}
	script := fmt.Sprintf("#!/bin/sh\nd=${0%%/*}\nexec \"$d/%s\" --library-path \"$d/%s\" \"$d/usr/bin/pahole\" \"$@\"\n", linker, filepath.Dir(linker))
	if err := os.WriteFile(filepath.Join(tmp, pahole), []byte(script), 0o755); err != nil {
		return err
	}
	return os.Rename(tmp, dir)
}

// firstLine is what a program says of its version.
func firstLine(ctx context.Context, program string) (string, error) {
	out, err := output(exec.CommandContext(ctx, program, "--version"))
	if err != nil {
		return "", fmt.Errorf("find version of %s: %w", filepath.Base(program), err)
	}
	line, _, _ := strings.Cut(out, "\n")
	return line, nil
}
