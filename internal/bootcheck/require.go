package bootcheck

import (
	"fmt"
	"slices"
	"strings"

	"github.com/bpf-vmtest/bpf-vmtest/internal/features"
	"github.com/bpf-vmtest/bpf-vmtest/internal/kver"
	"github.com/bpf-vmtest/bpf-vmtest/kconfig"
)

// A Requirement is a feature that every kernel since a version must have.
type Requirement struct {
	Kind features.Kind
	Name string
	// Since is the first version that has it; SinceARM64 where that is
	// another one there.
	Since, SinceARM64 string
	// Symbols of Kconfig are those that it most likely takes, apart from
	// BPF_SYSCALL.
	Symbols []string
	// BTF says that it cannot be without the kernel's own types: a
	// configuration without DEBUG_INFO_BTF need not have it.
	BTF bool
}

// powerOff is the feature that the second boot is about.
const powerOff = "power_off"

// since is the first version of an architecture, a GOARCH.
func (r Requirement) since(arch string) kver.Version {
	s := r.Since
	if arch == "arm64" && r.SinceARM64 != "" {
		s = r.SinceARM64
	}
	v, err := kver.Parse(s)
	if err != nil {
		panic(err) // a test parses them all
	}
	return v
}

const btfSymbol = "DEBUG_INFO_BTF"

// evaluate lists what the table lacks of what a kernel of that version must
// have, and what its configuration excuses. A nil configuration is not known.
func evaluate(t *features.Table, version kver.Version, config kconfig.Config) (missing []Missing, waived []Requirement) {
	for _, r := range Requirements {
		// 6.6-rc1 has what 6.6 has.
		if version.Series().Compare(r.since(t.Arch)) < 0 {
			continue
		}
		f := t.Find(r.Kind, r.Name)
		switch {
		case f.State == features.Supported:
		case r.BTF && config != nil && config.Get(btfSymbol) == "n":
			waived = append(waived, r)
		default:
			missing = append(missing, Missing{Requirement: r, Feature: f, Off: off(r, config)})
		}
	}
	return missing, waived
}

// off are the requirement's symbols that the configuration does not have.
func off(r Requirement, config kconfig.Config) []string {
	var symbols []string
	if r.Kind != features.Kernel {
		symbols = append(symbols, "BPF_SYSCALL")
	}
	symbols = append(symbols, r.Symbols...)
	if r.BTF {
		symbols = append(symbols, btfSymbol)
	}
	return slices.DeleteFunc(symbols, func(s string) bool { return config == nil || config.Get(s) != "n" })
}

// A Missing feature is required and not there.
type Missing struct {
	Requirement
	Feature features.Feature
	Off     []string // the symbols it most likely needs and the configuration lacks
}

// String names the feature, why, and the symbols.
func (m Missing) String() string {
	s := fmt.Sprintf("%s %s", m.Kind, m.Name)
	if m.Feature.State == features.Inconclusive {
		s += " (inconclusive)"
	}
	if m.Feature.Detail != "" {
		s += ": " + m.Feature.Detail
	}
	switch {
	case len(m.Off) > 0:
		s += "; it needs " + configNames(m.Off) + ", off here"
	case len(m.Symbols) > 0:
		s += "; it is a matter of " + configNames(m.Symbols)
	}
	return s
}

func configNames(symbols []string) string {
	return "CONFIG_" + strings.Join(symbols, ", CONFIG_")
}

// A MissingError says that a kernel lacks what its version must have.
type MissingError struct {
	Release string
	Missing []Missing
}

func (e *MissingError) Error() string {
	if len(e.Missing) == 1 {
		return fmt.Sprintf("Linux %s lacks a required feature, %s", e.Release, e.Missing[0])
	}
	var names []string
	for _, m := range e.Missing {
		names = append(names, fmt.Sprintf("%s %s", m.Kind, m.Name))
	}
	return fmt.Sprintf("Linux %s lacks %d required features: %s", e.Release, len(names), strings.Join(names, ", "))
}

// Excerpt lists the features, one to a line, with what they need.
func (e *MissingError) Excerpt() []string {
	if len(e.Missing) == 1 {
		return nil // all is said
	}
	var lines []string
	for _, m := range e.Missing {
		lines = append(lines, m.String())
	}
	return lines
}

// Hint says where to look further.
func (e *MissingError) Hint() string { return "docs/features.md says what each version must have" }

func without(missing []Missing, feature string) []Missing {
	return slices.DeleteFunc(missing, func(m Missing) bool { return m.Kind == features.Kernel && m.Name == feature })
}
