package kconfig

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/bpf-vmtest/bpf-vmtest/internal/kver"
)

var makeVariable = regexp.MustCompile(`(?m)^(VERSION|PATCHLEVEL|SUBLEVEL|EXTRAVERSION)[ \t]*=[ \t]*(.*?)[ \t]*$`)

// SourceVersion reads the version of the kernel source in dir from its
// Makefile. Of EXTRAVERSION it keeps the release candidate.
func SourceVersion(dir string) (kver.Version, error) {
	data, err := os.ReadFile(filepath.Join(dir, "Makefile"))
	if err != nil {
		return kver.Version{}, fmt.Errorf("read kernel source %q: %w", dir, err)
	}
	set := map[string]string{}
	for _, m := range makeVariable.FindAllStringSubmatch(string(data), 4) {
		set[m[1]] = m[2]
	}
	v, err := kver.FromRelease(set["VERSION"] + "." + set["PATCHLEVEL"] + "." + set["SUBLEVEL"] + set["EXTRAVERSION"])
	if err != nil {
		return v, fmt.Errorf("read kernel source %q: no kernel version in its Makefile", dir)
	}
	return v, nil
}

// SourceSymbols lists the symbols of all architectures that the kernel source
// in dir defines, sorted.
func SourceSymbols(dir string) ([]string, error) {
	p := &treeParser{dir: dir, tree: &Tree{symbols: map[string]*symbol{}}}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			// Test inputs of kconfig itself, and its documentation's examples.
			if rel == "Documentation" || rel == filepath.Join("scripts", "kconfig") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasPrefix(d.Name(), "Kconfig") {
			return nil
		}
		p.block, p.entry = nil, nil
		return p.file(rel)
	})
	if err != nil {
		return nil, fmt.Errorf("read symbols of %q: %w", dir, err)
	}
	return slices.Clone(p.tree.Symbols()), nil
}
