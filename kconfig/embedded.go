package kconfig

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
)

//go:embed fragments
var fragments embed.FS

// Architectures are the GOARCH values there is a fragment for, with the
// kernel's names for them.
var architectures = map[string]struct {
	fragment string // name of the embedded fragment
	srcarch  string // directory below arch/
	make     string // make's ARCH=
}{
	"amd64": {"x86_64", "x86", "x86_64"},
	"arm64": {"arm64", "arm64", "arm64"},
}

// Archs lists the GOARCH values that there are kernels for, sorted.
func Archs() []string { return slices.Sorted(maps.Keys(architectures)) }

// MakeArch is the kernel makefile's ARCH for a GOARCH.
func MakeArch(goarch string) (string, error) {
	a, ok := architectures[goarch]
	if !ok {
		return "", unknownArch(goarch)
	}
	return a.make, nil
}

func unknownArch(goarch string) error {
	return fmt.Errorf("configure a kernel for %q: want amd64 or arm64", goarch)
}

// Embedded gives the fragments every kernel for goarch is built from, the
// architecture's own last.
func Embedded(goarch string) ([]*Fragment, error) {
	arch, ok := architectures[goarch]
	if !ok {
		return nil, unknownArch(goarch)
	}
	var all []*Fragment
	for _, name := range append(slices.Clone(common), arch.fragment) {
		f, err := embedded(name + ".config")
		if err != nil {
			return nil, err
		}
		all = append(all, f)
	}
	return all, nil
}

// What every architecture's kernel is built from.
var common = []string{"base", "virt", "bpf", "btf", "tc", "xdp", "net", "trace"}

// embedded reads a file below fragments.
func embedded(file string) (*Fragment, error) {
	data, err := fragments.ReadFile("fragments/" + file)
	if err != nil {
		return nil, fmt.Errorf("read embedded fragment: %w", err)
	}
	return Parse(file, data)
}

// A FlavourError is a word that names no flavour.
type FlavourError struct{ Input string }

func (e *FlavourError) Error() string {
	return fmt.Sprintf("find flavour %q: want one of %s", e.Input, strings.Join(Flavours(), ", "))
}

// Hint says what else there is.
func (e *FlavourError) Hint() string {
	return "a flavour of your own is a file for -fragment"
}

// ExitCode marks a usage error.
func (e *FlavourError) ExitCode() int { return 2 }

const flavourDir = "flavours"

// Flavours lists the names that [Flavour] knows, sorted.
func Flavours() []string {
	entries, err := fragments.ReadDir("fragments/" + flavourDir)
	if err != nil {
		panic(err) // the directory is part of the program
	}
	var names []string
	for _, e := range entries {
		// debug.config, not kasan.arm64.config
		if name := strings.TrimSuffix(e.Name(), ".config"); !strings.Contains(name, ".") {
			names = append(names, name)
		}
	}
	return names
}

// Flavour gives the fragments that make a flavour of the kernel for goarch
// when they follow the [Embedded] ones; the flavour "" has none. The error is
// a [FlavourError].
func Flavour(name, goarch string) ([]*Fragment, error) {
	if name == "" {
		return nil, nil
	}
	if !slices.Contains(Flavours(), name) {
		return nil, &FlavourError{Input: name}
	}
	arch, ok := architectures[goarch]
	if !ok {
		return nil, unknownArch(goarch)
	}
	f, err := embedded(flavourDir + "/" + name + ".config")
	if err != nil {
		return nil, err
	}
	own, err := embedded(flavourDir + "/" + name + "." + arch.fragment + ".config")
	if errors.Is(err, fs.ErrNotExist) {
		return []*Fragment{f}, nil
	}
	return []*Fragment{f, own}, err
}
