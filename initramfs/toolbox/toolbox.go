// Package toolbox builds the u-root commands that a guest's shell offers, as
// one program, and packs them into archives a kernel can start from.
//
// It needs no checkout of u-root: the sources come, verified, from Go's module
// cache or proxy.
package toolbox

import (
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"

	"github.com/rogpeppe/go-internal/lockedfile"
)

// A Toolbox is a built set of commands.
type Toolbox struct {
	// Arch is the GOARCH it runs on.
	Arch string
	// Binary is the path of the one program that is all commands. It stays
	// valid until the cache is emptied.
	Binary string
	// Commands are their names, sorted. The program chooses by its own name,
	// or by its first argument.
	Commands []string
	// Bill is what the program was made of.
	Bill Bill
}

// Options are a build's.
type Options struct {
	// Arch is the guest's GOARCH; empty means the host's.
	Arch string
	// CacheDir keeps the result; it may be shared by processes at work at
	// the same time. It must be given.
	CacheDir string
	// Progress is called before each step that may take long, with what it
	// does. nil: silence.
	Progress func(step string)
}

// Build returns the toolbox, from the cache where it has been built before.
// The first build takes minutes and may download u-root's sources; it needs a
// Go toolchain of the version u-root asks for, but no C compiler.
//
// While it generates sources, variables that steer the go command (GOFLAGS,
// GOWORK and the like) are unset in this process's environment.
func Build(ctx context.Context, o Options) (*Toolbox, error) {
	t, err := build(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("build toolbox: %w", err)
	}
	return t, nil
}

func build(ctx context.Context, o Options) (*Toolbox, error) {
	toolchain, err := findToolchain(ctx)
	if err != nil {
		return nil, err
	}
	r := newRecipe(o.Arch, toolchain.version)
	dir, err := filepath.Abs(filepath.Join(o.CacheDir, "toolbox"))
	if err != nil {
		return nil, err
	}
	t := &Toolbox{Arch: r.Arch, Binary: filepath.Join(dir, r.key()), Commands: names()}
	if t.found() {
		return t, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	// One process builds, the others wait for what it makes.
	unlock, err := lockedfile.MutexAt(filepath.Join(dir, "lock")).Lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	if t.found() {
		return t, nil
	}
	w, err := newWorkshop(dir, r, toolchain, o.Progress)
	if err != nil {
		return nil, err
	}
	defer w.close()
	bill, err := w.make(ctx, t.Binary)
	if err != nil {
		return nil, err
	}
	t.Bill = *bill
	return t, nil
}

// names are the commands' own, sorted.
func names() []string {
	var list []string
	for _, c := range commands {
		list = append(list, path.Base(c))
	}
	slices.Sort(list)
	return list
}
