// Package features is the table of what a kernel can do for BPF, as a probe
// found out in that kernel. It belongs to the kernel's artifact: it holds no
// times and nothing of the machine on which the kernel ran, and the same
// findings always give the same bytes.
package features

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Version is that of the table's JSON form.
const Version = 1

// A Table is what was found out about one kernel. Names are those of the
// kernel's headers in lower case, as bpftool prints them: socket_filter, hash,
// map_lookup_elem.
type Table struct {
	Release string // uname -r
	Arch    string // GOARCH

	// Parts are the artifact's parts with which the kernel was booted, by
	// name, with the digests of their layers uncompressed ("sha256:…");
	// empty for a kernel that is no artifact.
	Parts map[string]string

	// Features are all but the helpers, by kind.
	Features map[Kind][]Feature
	// Helpers are what a supported program type may call.
	Helpers map[string][]string
	// HelpersUnclear are program types, or pairs such as kprobe/get_func_ip,
	// about whose helpers nothing was found out. All are [Inconclusive].
	HelpersUnclear []Feature
}

// A Kind is what a feature is a feature of.
type Kind string

// The kinds, and what the names of their features are.
const (
	Kernel  Kind = "kernel"  // config, btf, module_btf, jit, …
	Program Kind = "program" // program types
	Map     Kind = "map"     // map types
	Attach  Kind = "attach"  // xdp_native, tcx, fentry, …: a program was attached that way
	// Helper is the kind of a [Change] of Table.Helpers.
	Helper Kind = "helper"
)

// Kinds are those of a table's features, in the order in which they are shown.
var Kinds = []Kind{Kernel, Program, Map, Attach}

// A Feature is one finding.
type Feature struct {
	Name  string `json:"name"`
	State State  `json:"state"`
	// Detail is why, where the state is not Supported; otherwise what else
	// is known, such as a number, or nothing.
	Detail string `json:"detail,omitempty"`
}

// String is the name, and the detail where there is one.
func (f Feature) String() string {
	if f.Detail == "" {
		return f.Name
	}
	return f.Name + ": " + f.Detail
}

// A State is what a probe found out. The zero State is Inconclusive.
type State int

const (
	// Inconclusive means that the probe failed for a reason that says
	// nothing about the kernel.
	Inconclusive State = iota
	// Unsupported means that this kernel does not have it.
	Unsupported
	// Supported means that it was used and worked.
	Supported
)

var stateNames = [...]string{"inconclusive", "unsupported", "supported"}

// String is the state as it is written.
func (s State) String() string { return stateNames[s] }

// MarshalText writes the state as a word.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText wrote, and nothing else.
func (s *State) UnmarshalText(text []byte) error {
	i := slices.Index(stateNames[:], string(text))
	if i < 0 {
		return fmt.Errorf("parse state %q: want one of %s", text, strings.Join(stateNames[:], ", "))
	}
	*s = State(i)
	return nil
}

// Add adds a finding.
func (t *Table) Add(k Kind, f Feature) {
	if t.Features == nil {
		t.Features = map[Kind][]Feature{}
	}
	t.Features[k] = append(t.Features[k], f)
}

// Find returns a finding. Where the table has none, it is inconclusive.
func (t *Table) Find(k Kind, name string) Feature {
	for _, f := range t.Features[k] {
		if f.Name == name {
			return f
		}
	}
	return Feature{Name: name, Detail: "it was not probed"}
}

// sort puts everything into the order of names.
func (t *Table) sort() {
	byName := func(a, b Feature) int { return cmp.Compare(a.Name, b.Name) }
	for _, list := range t.Features {
		slices.SortFunc(list, byName)
	}
	for _, list := range t.Helpers {
		slices.Sort(list)
	}
	slices.SortFunc(t.HelpersUnclear, byName)
}

// A MismatchError says that a table is about something else.
type MismatchError struct {
	Part     string
	Have     string // the digest in the table, or empty
	Artifact string // the digest in the artifact, or empty
}

func (e *MismatchError) Error() string {
	switch {
	case e.Have == "":
		return fmt.Sprintf("match features with artifact: the table does not cover its part %s", e.Part)
	case e.Artifact == "":
		return fmt.Sprintf("match features with artifact: the table covers a part %s, which it does not have", e.Part)
	}
	return fmt.Sprintf("match features with artifact: the table is about another %s: %s, not %s", e.Part, e.Have, e.Artifact)
}

// Hint says how to get a table that matches.
func (e *MismatchError) Hint() string { return "`vmtest kernel build` boots what it packs" }

// Match makes sure that the table is about an artifact with these parts, given
// as in Table.Parts and without the table's own. The error is a
// *[MismatchError].
func (t *Table) Match(parts map[string]string) error {
	all := maps.Clone(parts)
	if all == nil {
		all = map[string]string{}
	}
	for name := range t.Parts {
		if _, ok := all[name]; !ok {
			all[name] = ""
		}
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if have := t.Parts[name]; have != all[name] {
			return &MismatchError{Part: name, Have: have, Artifact: all[name]}
		}
	}
	return nil
}
