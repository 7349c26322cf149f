package builder

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/bpf-vmtest/bpf-vmtest/internal/cache"
)

// An archive is a packed source tree.
type archive struct {
	name     string
	digest   string
	revision string                                      // see tree
	extract  func(ctx context.Context, dir string) error // makes dir
}

// unpack gives the archive's tree, from the cache where it is there already.
// It holds a lock on the tree until the tree is closed: make writes below it.
func unpack(ctx context.Context, o Options, a archive) (*tree, error) {
	parent := filepath.Join(o.Dir, "sources")
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return nil, fmt.Errorf("make source cache: %w", err)
	}
	dir := filepath.Join(parent, strings.ReplaceAll(a.digest, ":", "-"))
	if err := cache.Hold(dir); err != nil {
		return nil, err
	}
	unlock, err := lockTree(ctx, o, dir)
	if err != nil {
		return nil, err
	}
	t := &tree{dir: dir, name: a.name, digest: a.digest, revision: a.revision, builds: dir, unlock: unlock}
	if _, err := os.Stat(dir); err == nil {
		return t, nil
	}
	o.Progress(Progress{Phase: "unpack source"})
	if err := unpackTo(ctx, a, dir); err != nil {
		t.close()
		return nil, fmt.Errorf("unpack source %q: %w", a.name, err)
	}
	return t, nil
}

// lockTree keeps other builds away from the directory.
func lockTree(ctx context.Context, o Options, dir string) (unlock func(), err error) {
	return cache.Lock(ctx, dir+".lock", func() { o.Progress(Progress{Phase: "wait for another build of this source"}) })
}

func unpackTo(ctx context.Context, a archive, dir string) error {
	if err := needSpace(filepath.Dir(dir), sourceSpace); err != nil {
		return err
	}
	tmp := dir + ".tmp"
	if err := os.RemoveAll(tmp); err != nil { // what a killed run left
		return err
	}
	defer os.RemoveAll(tmp)
	if err := a.extract(ctx, tmp); err != nil {
		return err
	}
	return os.Rename(tmp, dir)
}
