package kernelinfo

import (
	"maps"
	"slices"
	"strings"

	"github.com/bpf-vmtest/bpf-vmtest/internal/artifact"
	"github.com/bpf-vmtest/bpf-vmtest/internal/features"
)

// A Diff is what differs between two kernels.
type Diff struct {
	From Side `json:"from"`
	To   Side `json:"to"`
	// Config is the difference of the configurations, by symbol; nil if one
	// of them is not known.
	Config []Change `json:"config"`
	// Features are nil if one of the kernels has no table of them.
	Features *FeatureChanges `json:"features"`
	Parts    []PartChange    `json:"parts"`
	// Build is what differs of how the kernels were made: their annotations.
	Build []Change `json:"build"`
}

// A Change is a value that is another one, or that one side has not got.
type Change struct {
	Name string `json:"name"`
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
}

// FeatureChanges are features by what became of them.
type FeatureChanges struct {
	Gained  []FeatureChange `json:"gained"`
	Lost    []FeatureChange `json:"lost"`
	Unclear []FeatureChange `json:"unclear"` // known for one of the two only

	changes features.Changes
}

// A FeatureChange is a feature that one of the kernels has.
type FeatureChange struct {
	Kind     features.Kind `json:"kind"`
	Name     string        `json:"name"`
	Programs []string      `json:"programs,omitempty"` // that may call the helper
}

// A PartChange is a part of either kernel, with the sizes that it has there;
// nil where there is no such part.
type PartChange struct {
	Name string `json:"name"`
	From *Sizes `json:"from,omitempty"`
	To   *Sizes `json:"to,omitempty"`
	Same bool   `json:"same"` // both have the same content
}

// Compare finds out what differs.
func Compare(from, to Side) *Diff {
	d := &Diff{From: from, To: to, Parts: compareParts(from.Parts, to.Parts)}
	if from.Config != nil && to.Config != nil {
		d.Config = compareValues(from.Config, to.Config)
	}
	if from.Features != nil && to.Features != nil {
		d.Features = compareFeatures(from.Features, to.Features)
	}
	d.Build = slices.DeleteFunc(compareValues(from.Annotations, to.Annotations), func(c Change) bool {
		return c.Name == artifact.ConfigAnnotation || c.Name == artifact.TitleAnnotation // said otherwise
	})
	return d
}

// Empty reports whether the kernels are the same in every respect.
func (d *Diff) Empty() bool {
	changed := slices.ContainsFunc(d.Parts, func(p PartChange) bool { return !p.Same })
	return len(d.Config) == 0 && len(d.Build) == 0 && !changed && (d.Features == nil || d.Features.changes.Empty())
}

// compareValues never returns nil.
func compareValues(from, to map[string]string) []Change {
	changes := []Change{}
	names := maps.Clone(from)
	if names == nil {
		names = map[string]string{}
	}
	maps.Copy(names, to)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if from[name] != to[name] {
			changes = append(changes, Change{name, from[name], to[name]})
		}
	}
	return changes
}

func compareFeatures(from, to *Features) *FeatureChanges {
	c := features.Compare(from.Table, to.Table)
	return &FeatureChanges{Gained: list(c.Gained), Lost: list(c.Lost), Unclear: list(c.Unclear), changes: c}
}

func list(changes []features.Change) []FeatureChange {
	all := []FeatureChange{}
	for _, c := range changes {
		all = append(all, FeatureChange{c.Kind, c.Name, c.Programs})
	}
	return all
}

func compareParts(from, to []Part) []PartChange {
	var changes []PartChange
	before, after := byName(from), byName(to)
	for _, p := range append(slices.Clone(from), to...) {
		if slices.ContainsFunc(changes, func(c PartChange) bool { return c.Name == p.Name }) {
			continue
		}
		c := PartChange{Name: p.Name}
		a, b := before[p.Name], after[p.Name]
		if a != nil {
			c.From = &a.Sizes
		}
		if b != nil {
			c.To = &b.Sizes
		}
		c.Same = a != nil && b != nil && a.Digest == b.Digest && a.Digest != ""
		changes = append(changes, c)
	}
	return changes
}

// byName finds parts by their names. Layers of others, which have none, are
// added up.
func byName(parts []Part) map[string]*Part {
	all := map[string]*Part{}
	for _, p := range parts {
		if sum := all[p.Name]; sum != nil {
			sum.Digest += p.Digest
			sum.add(p.Sizes)
		} else {
			all[p.Name] = &p
		}
	}
	return all
}

// JSON is the difference, indented, with a newline at the end. Of the kernels'
// features it has what differs only.
func (d *Diff) JSON() ([]byte, error) {
	short := *d
	short.From.Features, short.To.Features = nil, nil
	return indented(short)
}

// short is an annotation's name without its common beginning.
func short(annotation string) string {
	name, _ := strings.CutPrefix(annotation, "io.bpf-vmtest.")
	name, _ = strings.CutPrefix(name, "org.opencontainers.image.")
	return name
}
