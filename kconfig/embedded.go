package kconfig

import (
	"embed"
	"fmt"
	"slices"
	"strings"
)

//go:embed fragments/*.config
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
		f, err := embedded(name)
		if err != nil {
			return nil, err
		}
		all = append(all, f)
	}
	return all, nil
}

// What every architecture's kernel is built from.
var common = []string{"base", "virt", "bpf", "btf", "tc", "xdp", "net", "trace"}

func embedded(name string) (*Fragment, error) {
	file := name + ".config"
	data, err := fragments.ReadFile("fragments/" + file)
	if err != nil {
		return nil, fmt.Errorf("read embedded fragment %q: %w", name, err)
	}
	return Parse(file, data)
}

// EmbeddedNames lists the embedded fragments, sorted.
func EmbeddedNames() []string {
	entries, err := fragments.ReadDir("fragments")
	if err != nil {
		panic(err) // the directory is part of the program
	}
	var names []string
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), ".config"))
	}
	return names
}
