package registry

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
)

// Mirrors say where else repositories are, as containers-registries.conf(5) has
// it: the file that podman, skopeo and others read, of which this is the part
// about mirrors.
type Mirrors struct {
	file       string // the last one read, for errors
	registries []registryTable
}

// registryTable is a [[registry]] of the file.
type registryTable struct {
	Prefix             string        `toml:"prefix"`
	Location           string        `toml:"location"`
	Insecure           bool          `toml:"insecure"`
	Blocked            bool          `toml:"blocked"`
	MirrorByDigestOnly bool          `toml:"mirror-by-digest-only"`
	Mirrors            []mirrorTable `toml:"mirror"`
}

type mirrorTable struct {
	Location string  `toml:"location"`
	Insecure bool    `toml:"insecure"`
	Pull     reading `toml:"pull-from-mirror"`
}

// reading is how content is asked for, and what a mirror is good for.
type reading string

const (
	byAny    reading = "all"
	byDigest reading = "digest-only"
	byTag    reading = "tag-only"
)

// A ConfigError is a registries.conf that cannot be read or obeyed.
type ConfigError struct {
	File  string
	Line  int // 0 where unknown
	Cause error
}

func (e *ConfigError) Error() string {
	if e.Line > 0 {
		return fmt.Sprintf("%s:%d: %v", e.File, e.Line, e.Cause)
	}
	return fmt.Sprintf("%s: %v", e.File, e.Cause)
}

func (e *ConfigError) Unwrap() error { return e.Cause }

// Hint says where the format is described.
func (e *ConfigError) Hint() string { return "the format is containers-registries.conf(5)" }

// ExitCode says that the user wrote something wrong.
func (e *ConfigError) ExitCode() int { return 2 }

// SystemMirrors reads the files where the manual says they are. None is no
// error.
func SystemMirrors() (*Mirrors, error) {
	if file := os.Getenv("CONTAINERS_REGISTRIES_CONF"); file != "" {
		return ReadMirrors(file)
	}
	dirs := []string{"/etc/containers", "/usr/share/containers"}
	if config, err := os.UserConfigDir(); err == nil {
		dirs = slices.Insert(dirs, 0, filepath.Join(config, "containers"))
	}
	var files []string
	for _, dir := range dirs {
		file := filepath.Join(dir, "registries.conf")
		if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
			files = append(files, file)
			break
		}
	}
	return ReadMirrors(append(files, dropIns(dirs)...)...)
}

// dropIns are the files of registries.conf.d by the order of their names. Of
// those of one name, the first directory's counts.
func dropIns(dirs []string) []string {
	byName := map[string]string{}
	for _, dir := range slices.Backward(dirs) {
		found, _ := filepath.Glob(filepath.Join(dir, "registries.conf.d", "*.conf")) // the pattern is well formed
		for _, file := range found {
			byName[filepath.Base(file)] = file
		}
	}
	files := make([]string, 0, len(byName))
	for _, file := range byName {
		files = append(files, file)
	}
	slices.SortFunc(files, func(a, b string) int { return cmp.Compare(filepath.Base(a), filepath.Base(b)) })
	return files
}

// ReadMirrors reads files of the format. A later file's table takes the place
// of one with the same prefix. What is not about mirrors is skipped: the files
// are other programs' too.
func ReadMirrors(files ...string) (*Mirrors, error) {
	m := &Mirrors{}
	for _, file := range files {
		m.file = file
		var content struct {
			Registries []registryTable `toml:"registry"`
		}
		if _, err := toml.DecodeFile(file, &content); err != nil {
			return nil, configError(file, err)
		}
		for _, r := range content.Registries {
			if err := r.complete(); err != nil {
				return nil, &ConfigError{File: file, Cause: err}
			}
			m.registries = slices.DeleteFunc(m.registries, func(old registryTable) bool { return old.Prefix == r.Prefix })
			m.registries = append(m.registries, r)
		}
	}
	return m, nil
}

func configError(file string, err error) error {
	var syntax toml.ParseError
	if errors.As(err, &syntax) {
		return &ConfigError{File: file, Line: syntax.Position.Line, Cause: errors.New(syntax.Message)}
	}
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	return &ConfigError{File: file, Cause: err}
}

// complete checks the table and fills in what it leaves out.
func (r *registryTable) complete() error {
	r.Location = strings.TrimSuffix(r.Location, "/")
	r.Prefix = strings.TrimSuffix(cmp.Or(r.Prefix, r.Location), "/")
	if r.Prefix == "" {
		return errors.New("a [[registry]] has neither a prefix nor a location")
	}
	if !strings.HasPrefix(r.Prefix, "*.") {
		r.Location = cmp.Or(r.Location, r.Prefix)
	}
	for i := range r.Mirrors {
		m := &r.Mirrors[i]
		if m.Location = strings.TrimSuffix(m.Location, "/"); m.Location == "" {
			return fmt.Errorf("a mirror of %q has no location", r.Prefix)
		}
		if r.MirrorByDigestOnly {
			m.Pull = byDigest
		}
		m.Pull = cmp.Or(m.Pull, byAny)
		if !slices.Contains([]reading{byAny, byDigest, byTag}, m.Pull) {
			return fmt.Errorf("the mirror %q has pull-from-mirror %q: want all, digest-only or tag-only", m.Location, m.Pull)
		}
	}
	return nil
}

// place is where a repository is.
type place struct {
	path     string // HOST/REPOSITORY
	insecure bool   // HTTP will do, and any certificate
	mirrors  bool   // it is not the registry itself
	pull     reading
}

// serves reports whether the place is asked for what is read this way.
func (p place) serves(by reading) bool { return p.pull == byAny || p.pull == by }

// A BlockedError is a registry that the machine's configuration forbids.
type BlockedError struct{ Prefix, File string }

func (e *BlockedError) Error() string { return fmt.Sprintf("%s blocks %s", e.File, e.Prefix) }

// places are where the repository, HOST/REPOSITORY, is looked for, in this
// order. The last one is no mirror.
func (m *Mirrors) places(repository string) ([]place, error) {
	var best *registryTable
	rest := ""
	for i, r := range m.registries {
		after, ok := r.matches(repository)
		if ok && (best == nil || len(r.Prefix) > len(best.Prefix)) {
			best, rest = &m.registries[i], after
		}
	}
	if best == nil {
		return []place{{path: repository, pull: byAny}}, nil
	}
	if best.Blocked {
		return nil, &BlockedError{Prefix: best.Prefix, File: m.file}
	}
	var places []place
	for _, mirror := range best.Mirrors {
		places = append(places, place{path: mirror.Location + rest, insecure: mirror.Insecure, mirrors: true, pull: mirror.Pull})
	}
	own := repository
	if best.Location != "" {
		own = best.Location + rest
	}
	return append(places, place{path: own, insecure: best.Insecure, pull: byAny}), nil
}

// matches reports whether the table is about the repository, and what follows
// the prefix.
func (r registryTable) matches(repository string) (rest string, ok bool) {
	if domain, wild := strings.CutPrefix(r.Prefix, "*"); wild {
		host, path, _ := strings.Cut(repository, "/")
		return "/" + path, strings.HasSuffix(host, domain)
	}
	rest, ok = strings.CutPrefix(repository, r.Prefix)
	return rest, ok && (rest == "" || rest[0] == '/')
}
