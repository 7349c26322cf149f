package blocklist

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bpf-vmtest/bpf-vmtest/internal/configfile"
)

// Find returns the blocklists of the module at root, for [Load]: those of
// .vmtest/blocklist.yaml, .vmtest/DENYLIST and .vmtest/ALLOWLIST that exist.
// None is no error.
func Find(root string) ([]string, error) {
	dir := filepath.Join(root, ".vmtest")
	names, err := readNames(dir)
	if err != nil {
		return nil, err
	}
	var found []string
	for _, name := range names {
		switch kind, suffix := listKind(name); {
		case name == "blocklist.yaml":
			found = append(found, filepath.Join(dir, name))
		case name == "blocklist.yml":
			return nil, Errors{{
				Pos: Pos{File: filepath.Join(dir, name)}, Msg: "not read under this name",
				Remedy: "call it blocklist.yaml",
			}}
		case kind != "" && (suffix == "" || !slices.Contains(names, kind)):
			found = append(found, filepath.Join(dir, name))
		}
	}
	return found, nil
}

func readNames(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if !e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// Load reads files into one list. A file called DENYLIST or ALLOWLIST, with
// or without a suffix, is read as a kernel-style list, and one without a
// suffix brings those with one that lie beside it. Any other file is YAML.
//
// The error is of type [Errors] and holds all that is wrong in all files.
func Load(files ...string) (*List, error) {
	l := &List{}
	var errs Errors
	for _, file := range files {
		errs = append(errs, l.load(file)...)
	}
	if errs != nil {
		return nil, errs
	}
	return l, nil
}

func (l *List) load(file string) Errors {
	kind, suffix := listKind(filepath.Base(file))
	data, err := os.ReadFile(file)
	if err != nil {
		return Errors{configfile.FileError(file, err)}
	}
	if kind == "" {
		entries, errs := parseYAML(file, data)
		for _, e := range entries {
			if e.splat.text != "" {
				l.Splats = append(l.Splats, e)
			} else {
				l.Entries = append(l.Entries, e)
			}
		}
		return errs
	}
	on, err := parseSuffix(suffix)
	if err != nil {
		return Errors{{Pos: Pos{File: file}, Msg: err.Error(), Remedy: suffixRemedy}}
	}
	errs := l.add(kind, file, data, on)
	if suffix == "" {
		errs = append(errs, l.loadBeside(file)...)
	}
	return errs
}

// loadBeside reads the lists with a suffix beside the one without.
func (l *List) loadBeside(file string) Errors {
	dir, base := filepath.Split(file)
	names, err := readNames(filepath.Clean(dir))
	if err != nil {
		return Errors{configfile.FileError(file, err)}
	}
	var errs Errors
	for _, name := range names {
		kind, suffix := listKind(name)
		if kind != base || suffix == "" {
			continue
		}
		path := dir + name
		on, err := parseSuffix(suffix)
		if err != nil {
			l.Ignored = append(l.Ignored, path+": "+err.Error())
			continue
		}
		data, err := os.ReadFile(path)
		if err != nil {
			errs = append(errs, configfile.FileError(path, err))
			continue
		}
		errs = append(errs, l.add(kind, path, data, on)...)
	}
	return errs
}

func (l *List) add(kind, file string, data []byte, on condition) Errors {
	entries, errs := parseLines(file, data, on)
	if kind == "ALLOWLIST" {
		l.Allowed = append(l.Allowed, entries...)
	} else {
		l.Entries = append(l.Entries, entries...)
	}
	return errs
}

// listKind tells a kernel-style list by its file's name: DENYLIST or
// ALLOWLIST, and what follows, like .arm64 or -5.10.
func listKind(name string) (kind, suffix string) {
	for _, kind := range []string{"DENYLIST", "ALLOWLIST"} {
		if rest, ok := strings.CutPrefix(name, kind); ok && (rest == "" || rest[0] == '.' || rest[0] == '-') {
			return kind, rest
		}
	}
	return "", ""
}
