package builder

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/bpf-vmtest/bpf-vmtest/kconfig"
)

// allConfig is the name, in the build directory, of the merged fragments.
const allConfig = "vmtest.config"

// Base is what the fragments are merged on.
const Base = "allnoconfig"

// buildPrefix begins the names of build directories.
const buildPrefix = "vmtest-build-"

// configure makes the build directory with a checked .config in it.
//
// The fragments are handed to allnoconfig, not merged onto its result: then
// what they do not name stays off, also where a symbol they switch on makes
// it visible with default y (744 instead of 1019 symbols on 6.12).
func (b *build) configure(ctx context.Context) error {
	if err := b.patchTree(ctx); err != nil {
		return err
	}
	b.phase("configure")
	tree, err := kconfig.LoadTree(b.tree.dir, b.Arch)
	if err != nil {
		return err
	}
	if err := b.selection.Vet(tree); err != nil {
		return err
	}
	if err := b.makeOut(); err != nil {
		return err
	}
	file := filepath.Join(b.out, allConfig)
	if err := os.WriteFile(file, b.selection.AllConfig(), 0o644); err != nil {
		return err
	}
	for _, args := range [][]string{{"KCONFIG_ALLCONFIG=" + file, Base}, {"olddefconfig"}} {
		if err := b.make(ctx, nil, args...); err != nil {
			return err
		}
	}
	data, err := os.ReadFile(filepath.Join(b.out, ".config"))
	if err != nil {
		return err
	}
	if b.config, err = kconfig.ParseConfig(data); err != nil {
		return err
	}
	return b.selection.Check(b.config, tree)
}

// makeOut makes the build directory, which [build.close] removes.
func (b *build) makeOut() error {
	parent := b.tree.builds
	// The lock on the tree is ours: these are of builds that were killed.
	old, err := filepath.Glob(filepath.Join(parent, buildPrefix+"*"))
	if err != nil {
		return err
	}
	for _, dir := range old {
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
	}
	if err := needSpace(parent, buildSpace); err != nil {
		return err
	}
	if b.out, err = os.MkdirTemp(parent, buildPrefix); err != nil {
		return fmt.Errorf("make build directory: %w", err)
	}
	b.cleanup = append(b.cleanup, func() { os.RemoveAll(b.out) })
	if err := os.MkdirAll(b.resultsDir(), 0o755); err != nil {
		return fmt.Errorf("make kernel cache: %w", err)
	}
	if b.log, err = os.Create(b.logPath()); err != nil {
		return fmt.Errorf("make build log: %w", err)
	}
	b.cleanup = append(b.cleanup, func() { b.log.Close() })
	return b.writePaholeWrapper()
}
