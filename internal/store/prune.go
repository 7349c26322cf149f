package store

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/dustin/go-humanize"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/bpf-vmtest/bpf-vmtest/internal/cache"
)

// Prune removes from the cache what was used longest ago, but not what is in
// use or what the lock file names.
func (s *Store) Prune(ctx context.Context, p cache.Pruning) (cache.Report, error) {
	keep, err := s.pinned()
	if err != nil {
		return cache.Report{}, fmt.Errorf("prune cache: %w", err)
	}
	p.Keep = func(e cache.Entry) bool { return keep[e.Name] }
	return cache.Prune(ctx, s.Dir, p)
}

// pinned are the names of the cache's entries that belong to what the lock file
// names: a package's or a manifest's digest, or those of an index's manifests.
func (s *Store) pinned() (map[string]bool, error) {
	names := map[string]bool{}
	for _, pin := range s.Lock.Pins() {
		digest, err := v1.NewHash(pin.Digest)
		if err != nil {
			return nil, err
		}
		names[digest.Hex] = true
		document, err := s.path("documents", digest.Hex)
		if err != nil {
			return nil, err
		}
		content, err := os.ReadFile(document)
		if err != nil {
			continue // it was never fetched
		}
		var index v1.IndexManifest
		if json.Unmarshal(content, &index) != nil {
			continue
		}
		for _, m := range index.Manifests {
			names[m.Digest.Hex] = true
		}
	}
	return names, nil
}

// trim keeps the cache below its limit after it has grown. It is not worth
// failing for.
func (s *Store) trim(ctx context.Context) {
	if s.Limit <= 0 || !s.grown.Swap(false) {
		return
	}
	r, err := s.Prune(ctx, cache.Pruning{Size: s.Limit})
	if err != nil {
		s.warn("%v", err)
	}
	if n := len(r.Removed); n > 0 {
		s.notice("removed from the cache what was used longest ago: %d of its entries, %s, to keep it below %s",
			n, humanize.IBytes(uint64(r.Freed())), humanize.IBytes(uint64(s.Limit)))
	}
}
