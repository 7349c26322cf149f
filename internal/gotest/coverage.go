package gotest

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"

	"golang.org/x/tools/cover"
)

// Coverage adds up the profiles of several packages on several kernels.
type Coverage struct {
	mode   string
	blocks map[blockKey]cover.ProfileBlock
}

type blockKey struct {
	file                                 string
	startLine, startCol, endLine, endCol int
}

// Add adds a profile that a test binary wrote.
func (c *Coverage) Add(r io.Reader) error {
	profiles, err := cover.ParseProfilesFromReader(r)
	if err != nil {
		return fmt.Errorf("read coverage profile: %w", err)
	}
	if c.blocks == nil {
		c.blocks = map[blockKey]cover.ProfileBlock{}
	}
	for _, p := range profiles {
		if c.mode == "" {
			c.mode = p.Mode
		}
		if c.mode != p.Mode {
			return fmt.Errorf("add up coverage profiles: their modes are %s and %s", c.mode, p.Mode)
		}
		for _, b := range p.Blocks {
			c.add(blockKey{p.FileName, b.StartLine, b.StartCol, b.EndLine, b.EndCol}, b)
		}
	}
	return nil
}

func (c *Coverage) add(key blockKey, b cover.ProfileBlock) {
	old, ok := c.blocks[key]
	switch {
	case !ok:
	case c.mode == "set":
		b.Count = max(b.Count, old.Count)
	default:
		b.Count += old.Count
	}
	c.blocks[key] = b
}

// WriteTo writes the sum in the format of go test -coverprofile.
func (c *Coverage) WriteTo(w io.Writer) (int64, error) {
	mode := c.mode
	if mode == "" {
		mode = "set"
	}
	total, err := fmt.Fprintf(w, "mode: %s\n", mode)
	if err != nil {
		return int64(total), err
	}
	keys := slices.SortedFunc(maps.Keys(c.blocks), func(a, b blockKey) int {
		return cmp.Or(
			cmp.Compare(a.file, b.file),
			cmp.Compare(a.startLine, b.startLine), cmp.Compare(a.startCol, b.startCol),
			cmp.Compare(a.endLine, b.endLine), cmp.Compare(a.endCol, b.endCol),
		)
	})
	for _, k := range keys {
		b := c.blocks[k]
		n, err := fmt.Fprintf(w, "%s:%d.%d,%d.%d %d %d\n", k.file, k.startLine, k.startCol, k.endLine, k.endCol, b.NumStmt, b.Count)
		total += n
		if err != nil {
			return int64(total), err
		}
	}
	return int64(total), nil
}

// Percent is the share of statements that ran on at least one kernel, from 0
// to 100.
func (c *Coverage) Percent() float64 {
	var covered, all int
	for _, b := range c.blocks {
		all += b.NumStmt
		if b.Count > 0 {
			covered += b.NumStmt
		}
	}
	if all == 0 {
		return 0
	}
	return 100 * float64(covered) / float64(all)
}
