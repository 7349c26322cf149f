package report

import (
	"cmp"
	"slices"
	"strings"
)

// failing are the tests that failed: those that passed elsewhere, and those that
// did not.
func (m *Matrix) failing() (here, everywhere []*test) {
	for _, t := range m.rows() {
		passes := slices.ContainsFunc(m.kernels, func(k *kernel) bool {
			o := t.cell(k).outcome
			return o == ok || o == flaky
		})
		switch {
		case len(m.failedOn(t)) == 0:
		case passes:
			here = append(here, t)
		default:
			everywhere = append(everywhere, t)
		}
	}
	return here, everywhere
}

// failedOn are the kernels a test failed on, other than by a subtest.
func (m *Matrix) failedOn(t *test) []*kernel {
	var on []*kernel
	for _, k := range m.kernels {
		if t.cell(k).outcome == failed && !t.failedBelow(k) {
			on = append(on, k)
		}
	}
	return on
}

func (t *test) failedBelow(k *kernel) bool { return t.above && t.anyFailed(t.name+"/", k) }

// anyFailed reports whether a test whose name begins so has failed.
func (p *pkg) anyFailed(prefix string, k *kernel) bool {
	for name, t := range p.tests {
		if strings.HasPrefix(name, prefix) && t.cell(k).outcome == failed {
			return true
		}
	}
	return false
}

// failedWhole are the packages whose failure is not that of one of their tests,
// or of their kernel.
func (m *Matrix) failedWhole() groups {
	var all groups
	for _, p := range m.pkgs() {
		for _, k := range m.kernels {
			if c := p.on(k); c.outcome == failed && k.lost == nil && !p.anyFailed("", k) {
				all.add(p.path, nil, k, c, cmp.Or(c.reason, "it failed as a whole"))
			}
		}
	}
	return all
}

// A group is tests of a package to which the same happened for the same reason,
// on some kernels.
type group struct {
	path, why      string
	outcome        outcome
	tests, kernels []string // as code
	labels         []string // of the kernels
	first          *cell
}

type groups []*group

func (all *groups) add(path string, t *test, k *kernel, c *cell, why string) {
	i := slices.IndexFunc(*all, func(g *group) bool { return g.path == path && g.why == why && g.outcome == c.outcome })
	if i < 0 {
		i = len(*all)
		*all = append(*all, &group{path: path, why: why, outcome: c.outcome, first: c})
	}
	g := (*all)[i]
	if t != nil {
		g.tests = appendNew(g.tests, code(t.name))
	}
	g.kernels, g.labels = appendNew(g.kernels, code(k.label)), appendNew(g.labels, k.label)
}

func appendNew(list []string, s string) []string {
	if slices.Contains(list, s) {
		return list
	}
	return append(list, s)
}
