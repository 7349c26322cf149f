// Package patch applies patches to a kernel's source, strictly: a patch
// applies whole and without fuzz, is found to be in the source already, or is
// an error that says where it does not fit. Git does the work.
package patch

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A Patch is a change to a source tree.
type Patch struct {
	// Name is the name of its file, without the directory; in a mailbox that
	// holds several, with its number behind it: series.mbox#2.
	Name    string
	Subject string // of the mail it came in, or ""
	Digest  string // sha256:… of the file, or of the mail
	diff    []byte
	files   []string // all that it reads or writes
}

// String is the patch's name and subject, for people.
func (p Patch) String() string {
	if p.Subject == "" {
		return strconv.Quote(p.Name)
	}
	return fmt.Sprintf("%q (%s)", p.Name, p.Subject)
}

// A FormatError is a file that is no patch.
type FormatError struct {
	Name  string
	Cause error
}

func (e *FormatError) Error() string { return fmt.Sprintf("read patch %q: %v", e.Name, e.Cause) }
func (e *FormatError) Unwrap() error { return e.Cause }

// Hint says what a patch is.
func (e *FormatError) Hint() string {
	return "a patch is what git diff or git format-patch writes, its files below a/ and b/, or a mailbox of such mails"
}

// ExitCode marks a usage error.
func (e *FormatError) ExitCode() int { return 2 }

// Read reads the patches of a file or mailbox, as [Parse] does, or those of a
// directory: its files *.patch in the order of their names.
func Read(ctx context.Context, path string) ([]Patch, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, &FormatError{path, err}
	}
	files := []string{path}
	if info.IsDir() {
		if files, err = filepath.Glob(filepath.Join(escapeGlob(path), "*.patch")); err != nil {
			return nil, err
		}
		if len(files) == 0 {
			return nil, &FormatError{path, fmt.Errorf("the directory holds no *.patch")}
		}
	}
	var all []Patch
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, &FormatError{file, err}
		}
		patches, err := Parse(ctx, file, data)
		if err != nil {
			return nil, err
		}
		all = append(all, patches...)
	}
	return all, nil
}

var globMeta = regexp.MustCompile(`[*?\[\]\\]`)

func escapeGlob(path string) string { return globMeta.ReplaceAllString(path, `\$0`) }

// Parse reads a patch, or a mailbox of patches. Each mail of that must hold
// one, but for the cover letter, which is passed over. The error is a
// [FormatError].
func Parse(ctx context.Context, name string, data []byte) ([]Patch, error) {
	if strings.HasPrefix(string(data), "From ") {
		return parseMailbox(ctx, name, data)
	}
	p := Patch{Name: filepath.Base(name), Digest: digest(data), diff: data}
	if err := p.list(ctx); err != nil {
		return nil, formatError(name, err)
	}
	return []Patch{p}, nil
}

// formatError blames the file, unless git is missing.
func formatError(name string, err error) error {
	if err := asMissingGit(err); err != nil {
		return err
	}
	return &FormatError{name, err}
}

func digest(data []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(data)) }

var (
	diffStart = regexp.MustCompile(`(?m)^(?:diff --git |--- .*\n\+\+\+ )`)
	// Git lists a renamed file under its new name only.
	renamed = regexp.MustCompile(`(?m)^(?:rename|copy) from (.+)$`)
)

// list finds the files of the patch.
func (p *Patch) list(ctx context.Context) error {
	if !diffStart.Match(p.diff) {
		return fmt.Errorf("there is no diff in it")
	}
	out, err := git(ctx, "", p.diff, "apply", "--numstat", "-z", "-")
	if err != nil {
		return err
	}
	for line := range strings.SplitSeq(strings.TrimSuffix(out, "\x00"), "\x00") {
		// Lines added, lines deleted, name.
		if f := strings.SplitN(line, "\t", 3); len(f) == 3 {
			p.files = append(p.files, f[2])
		}
	}
	for _, m := range renamed.FindAllSubmatch(p.diff, -1) {
		file := string(m[1])
		if plain, err := strconv.Unquote(file); err == nil {
			file = plain
		}
		p.files = append(p.files, file)
	}
	for _, file := range p.files {
		if !filepath.IsLocal(file) {
			return fmt.Errorf("it names a file outside of the source: %q", file)
		}
	}
	slices.Sort(p.files)
	p.files = slices.Compact(p.files)
	return nil
}
