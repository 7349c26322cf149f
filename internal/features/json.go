package features

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// document is a table's JSON form.
type document struct {
	Version        int               `json:"version"`
	Release        string            `json:"release"`
	Arch           string            `json:"arch"`
	Parts          map[string]string `json:"parts,omitempty"`
	Kernel         []Feature         `json:"kernel"`
	Programs       []Feature         `json:"programs"`
	Maps           []Feature         `json:"maps"`
	Attach         []Feature         `json:"attach"`
	Helpers        []helperSet       `json:"helpers"`
	HelpersUnclear []Feature         `json:"helpers_unclear,omitempty"`
}

// A helperSet are the helpers that just these program types may call. Most
// types share most helpers, which makes this a tenth of a list for each type.
type helperSet struct {
	Programs []string `json:"programs"`
	Helpers  []string `json:"helpers"`
}

func (d *document) kinds() map[Kind]*[]Feature {
	return map[Kind]*[]Feature{Kernel: &d.Kernel, Program: &d.Programs, Map: &d.Maps, Attach: &d.Attach}
}

// Encode returns the table as JSON, in its one form: sorted, indented, with a
// newline at the end.
func (t *Table) Encode() ([]byte, error) {
	t.sort()
	d := document{
		Version: Version, Release: t.Release, Arch: t.Arch, Parts: t.Parts,
		Helpers: helperSets(t.Helpers), HelpersUnclear: t.HelpersUnclear,
	}
	for kind, list := range d.kinds() {
		*list = t.Features[kind]
		if *list == nil {
			*list = []Feature{}
		}
	}
	if err := d.check(); err != nil {
		return nil, fmt.Errorf("encode features: %w", err)
	}
	b, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode features: %w", err)
	}
	return append(b, '\n'), nil
}

// helperSets turns the helpers of program types into sets that have their
// program types in common, in the order of their first helpers.
func helperSets(byProgram map[string][]string) []helperSet {
	programs := map[string][]string{} // of a helper
	for _, program := range slices.Sorted(maps.Keys(byProgram)) {
		for _, helper := range byProgram[program] {
			programs[helper] = append(programs[helper], program)
		}
	}
	sets := []helperSet{}
	at := map[string]int{}
	for _, helper := range slices.Sorted(maps.Keys(programs)) {
		key := strings.Join(programs[helper], " ")
		i, ok := at[key]
		if !ok {
			i = len(sets)
			at[key] = i
			sets = append(sets, helperSet{Programs: programs[helper]})
		}
		sets[i].Helpers = append(sets[i].Helpers, helper)
	}
	return sets
}

// A VersionError says that a table was written by another version of vmtest.
type VersionError struct{ Version int }

func (e *VersionError) Error() string {
	return fmt.Sprintf("parse features: the table's version is %d, want %d", e.Version, Version)
}

// Hint says what reads it.
func (e *VersionError) Hint() string { return "another version of vmtest wrote it" }

// Parse reads a table that Encode wrote. What is not known or
// is there twice is an error; a table of another version is a *[VersionError].
func Parse(b []byte) (*Table, error) {
	var version struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(b, &version); err != nil {
		return nil, fmt.Errorf("parse features: %w", err)
	}
	if version.Version != Version {
		return nil, &VersionError{version.Version}
	}
	var d document
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	err := dec.Decode(&d) // that nothing follows, Unmarshal has seen
	if err == nil {
		err = d.check()
	}
	if err != nil {
		return nil, fmt.Errorf("parse features: %w", err)
	}
	return d.table(), nil
}

// check makes sure that the table can be relied on.
func (d *document) check() error {
	if d.Release == "" || d.Arch == "" {
		return errors.New("release and arch must be given")
	}
	for kind, list := range d.kinds() {
		seen := map[string]bool{}
		for _, f := range *list {
			if f.Name == "" || seen[f.Name] {
				return fmt.Errorf("%s %q has no name or is there twice", kind, f.Name)
			}
			seen[f.Name] = true
		}
	}
	seen := map[string]bool{}
	for _, set := range d.Helpers {
		for _, h := range set.Helpers {
			if seen[h] || len(set.Programs) == 0 {
				return fmt.Errorf("helper %q is of no program type or is there twice", h)
			}
			seen[h] = true
		}
	}
	return nil
}

func (d *document) table() *Table {
	t := &Table{
		Release: d.Release, Arch: d.Arch, Parts: d.Parts,
		Features: map[Kind][]Feature{}, Helpers: map[string][]string{}, HelpersUnclear: d.HelpersUnclear,
	}
	for kind, list := range d.kinds() {
		t.Features[kind] = *list
	}
	for _, set := range d.Helpers {
		for _, program := range set.Programs {
			t.Helpers[program] = append(t.Helpers[program], set.Helpers...)
		}
	}
	t.sort()
	return t
}
