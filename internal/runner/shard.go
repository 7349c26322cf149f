package runner

import (
	"fmt"

	"github.com/bpf-vmtest/bpf-vmtest/internal/gotest"
	"github.com/bpf-vmtest/bpf-vmtest/internal/result"
	"github.com/bpf-vmtest/bpf-vmtest/internal/shard"
)

// split finds out what this shard has to run. What is split are the tests that
// -run and -skip leave, whatever the blocklist says: that depends on the kernel,
// and the same split is good for all of them. A package in which they leave none
// is one shard's, and one without tests, or that cannot be read, is everybody's.
func (r *Run) split(packages []*gotest.Package) {
	if r.Shard.IsAll() {
		return
	}
	var all []shard.Test
	for _, p := range packages {
		before := len(all)
		for _, t := range p.Tests {
			if r.selects(t) {
				all = append(all, shard.Test{Package: p.ImportPath, Name: t.Name})
				r.tests++
			}
		}
		if len(p.Tests) > 0 && len(all) == before {
			all = append(all, shard.Test{Package: p.ImportPath})
		}
	}
	plan := shard.NewPlan(all, r.Durations, r.Shard.Count)
	info := &result.ShardInfo{Index: r.Shard.Index, Count: r.Shard.Count, Plan: plan.Digest()}
	r.part = map[string][]string{}
	for _, t := range plan.Shard(r.Shard) {
		if r.part[t.Package] == nil {
			r.part[t.Package] = []string{}
		}
		if t.Name != "" {
			r.part[t.Package] = append(r.part[t.Package], t.Name)
			info.Tests++
		}
	}
	r.Info.Shard = info
	r.Progress(fmt.Sprintf("shard %s: %d of %d tests", r.Shard, info.Tests, r.tests))
}

// selects reports whether -run and -skip leave a test.
func (r *Run) selects(t gotest.Test) bool {
	// The patterns were checked with the flags.
	run, _ := gotest.ParsePattern(r.Flags.Run)
	skip, _ := gotest.ParsePattern(r.Flags.Skip)
	if r.Flags.Run == "" {
		run = nil
	}
	if r.Flags.Skip == "" {
		skip = nil
	}
	return gotest.Expects(t, run, skip)
}

// ours are the packages that this shard has something to say about.
func (r *Run) ours(packages []*gotest.Package) []*gotest.Package {
	var ours []*gotest.Package
	for _, p := range packages {
		if r.isOurs(p) {
			ours = append(ours, p)
		}
	}
	return ours
}

func (r *Run) isOurs(p *gotest.Package) bool {
	return r.part == nil || len(p.Tests) == 0 || r.part[p.ImportPath] != nil
}
