package features

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// A Change is a feature that two kernels do not have in common.
type Change struct {
	Kind Kind
	Name string
	From Feature // the zero Feature for a helper
	To   Feature
	// Programs are the program types that a helper came to, or left.
	Programs []string
}

// Changes are what differs between two kernels, each list by kind and name.
type Changes struct {
	Gained []Change // only the second one has it
	Lost   []Change // only the first one has it
	// Unclear are known for one of the two only.
	Unclear []Change
}

// Empty reports whether the kernels have the same features.
func (c Changes) Empty() bool { return len(c.Gained)+len(c.Lost)+len(c.Unclear) == 0 }

// Compare says what a kernel has that another has not. Details alone, such as
// the number of BTF's types, are no difference.
func Compare(from, to *Table) Changes {
	var c Changes
	for _, kind := range Kinds {
		names := map[string]bool{}
		for _, t := range []*Table{from, to} {
			for _, f := range t.Features[kind] {
				names[f.Name] = true
			}
		}
		for _, name := range slices.Sorted(maps.Keys(names)) {
			c.add(Change{Kind: kind, Name: name, From: from.Find(kind, name), To: to.Find(kind, name)})
		}
	}
	c.Gained = append(c.Gained, newHelpers(from, to)...)
	c.Lost = append(c.Lost, newHelpers(to, from)...)
	return c
}

func (c *Changes) add(change Change) {
	from, to := change.From.State, change.To.State
	switch {
	case from == to:
	case from == Inconclusive || to == Inconclusive:
		c.Unclear = append(c.Unclear, change)
	case to == Supported:
		c.Gained = append(c.Gained, change)
	default:
		c.Lost = append(c.Lost, change)
	}
}

// newHelpers are those that program types of both kernels have in the second
// only. The helpers of a type that is itself new go without saying.
func newHelpers(from, to *Table) []Change {
	programs := map[string][]string{}
	for _, program := range slices.Sorted(maps.Keys(to.Helpers)) {
		before, ok := from.Helpers[program]
		if !ok {
			continue
		}
		for _, helper := range to.Helpers[program] {
			if !slices.Contains(before, helper) {
				programs[helper] = append(programs[helper], program)
			}
		}
	}
	var changes []Change
	for _, helper := range slices.Sorted(maps.Keys(programs)) {
		changes = append(changes, Change{Kind: Helper, Name: helper, Programs: programs[helper]})
	}
	return changes
}

// Write shows the changes, one to a line: + for gained, - for lost, ? for what
// is known for one of the two only.
func (c Changes) Write(w io.Writer) error {
	var b strings.Builder
	for _, list := range []struct {
		mark    string
		changes []Change
	}{{"+", c.Gained}, {"-", c.Lost}, {"?", c.Unclear}} {
		for _, change := range list.changes {
			fmt.Fprintf(&b, "%s %s %s%s\n", list.mark, change.Kind, change.Name, change.why())
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// why is the reason of the side that has not got it, or the program types.
func (c Change) why() string {
	if len(c.Programs) > 0 {
		return ": " + strings.Join(c.Programs, ", ")
	}
	without := c.From
	if c.To.State != Supported {
		without = c.To
	}
	if without.State == Supported || without.Detail == "" {
		return ""
	}
	return ": " + without.Detail
}
