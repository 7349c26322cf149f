package distro

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/bpf-vmtest/bpf-vmtest/internal/kver"
)

// entry is a package in a suite's index.
type entry struct {
	name    string
	version string // the distribution's
	sha256  string
	size    int64
}

// upstream is the kernel's version in a package's: 6.12.107 in 6.12.107-1.
// Packages that are not a kernel's have the zero Version.
func (e entry) upstream() kver.Version {
	v, err := kver.FromRelease(e.version)
	if err != nil {
		return kver.Version{}
	}
	return v
}

// matches reports whether the package is of the version, or of its series.
func (e entry) matches(v kver.Version) bool {
	got := e.upstream()
	switch v {
	case kver.Version{}:
		return true
	case v.Series():
		return got.Series() == v
	}
	return got == v
}

// index reads the suite's packages whose names match.
func (r *root) index(ctx context.Context, match func(name string) bool) ([]entry, error) {
	files, err := filepath.Glob(filepath.Join(r.dir, "state/lists/*_Packages*"))
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("read package index of %q: apt left none", r.suite)
	}
	var entries []entry
	for _, f := range files {
		more, err := readIndex(ctx, f, match)
		if err != nil {
			return nil, fmt.Errorf("read package index of %q: %w", r.suite, err)
		}
		entries = append(entries, more...)
	}
	return entries, nil
}

// readIndex reads one index file, which apt may keep compressed in any of its
// formats.
func readIndex(ctx context.Context, file string, match func(string) bool) ([]entry, error) {
	cmd := exec.CommandContext(ctx, "/usr/lib/apt/apt-helper", "cat-file", file)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	var complaint strings.Builder
	cmd.Stderr = &complaint
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	entries, parseErr := parseIndex(out, match)
	if parseErr != nil {
		io.Copy(io.Discard, out) // or the command waits for a reader
	}
	if err := cmd.Wait(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, summary(complaint.String()))
	}
	return entries, parseErr
}

// parseIndex reads the paragraphs of a Packages file, as described in Debian's
// repository format.
func parseIndex(in io.Reader, match func(string) bool) ([]entry, error) {
	var entries []entry
	var e entry
	wanted := false
	finish := func() error {
		if wanted && (e.version == "" || len(e.sha256) != 64) {
			return fmt.Errorf("package %q has no version or no SHA-256", e.name)
		}
		if wanted {
			entries = append(entries, e)
		}
		e, wanted = entry{}, false
		return nil
	}
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20) // a package's Provides may be very long
	for lines.Scan() {
		line := lines.Bytes()
		if len(line) == 0 {
			if err := finish(); err != nil {
				return nil, err
			}
			continue
		}
		if name, ok := bytes.CutPrefix(line, []byte("Package: ")); ok {
			e.name = string(name)
			wanted = match(e.name)
			continue
		}
		if !wanted {
			continue
		}
		key, value, _ := strings.Cut(string(line), ": ")
		switch key {
		case "Version":
			e.version = value
		case "SHA256":
			e.sha256 = value
		case "Size":
			e.size, _ = strconv.ParseInt(value, 10, 64) // only for showing progress
		}
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	return entries, finish()
}

// exactly is the choice of the packages a name or pattern matches.
func exactly(pattern string) chooser {
	return chooser{
		match: func(name string) bool {
			ok, err := path.Match(pattern, name)
			return ok && err == nil
		},
		choose: func(entries []entry) []entry { return entries[:1] },
	}
}
