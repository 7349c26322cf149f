package lockfile

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/bpf-vmtest/bpf-vmtest/internal/configfile"
	"github.com/bpf-vmtest/bpf-vmtest/internal/kernelref"
)

// fields are those of each kind of entry, in the order in which they are
// written. Only the release may be missing.
var (
	imageFields   = []string{"image", "tag", "digest", "release"}
	packageFields = []string{"package", "arch", "name", "version", "suite", "digest", "release"}
)

const shapeRemedy = "entries are written by vmtest kernel lock; each begins with a dash:\n  - image: ghcr.io/org/kernels\n    tag: \"6.12\"\n    digest: sha256:…"

// field binds a field's name to its place in the pin.
func (p *Pin) field(name string) *string {
	return map[string]*string{
		"image": &p.Image, "tag": &p.Tag, "package": &p.Package, "arch": &p.Arch, "name": &p.Name,
		"version": &p.Version, "suite": &p.Suite, "digest": &p.Digest, "release": &p.Release,
	}[name]
}

// fields are the names of those that the pin has.
func (p *Pin) fields() []string {
	if p.Image != "" {
		return imageFields
	}
	return packageFields
}

func parse(path string, data []byte) (*File, error) {
	f := &File{Path: path, lines: strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")}
	if len(data) == 0 {
		f.lines = nil
	}
	r := &configfile.YAML{File: path}
	for i, line := range f.lines {
		// YAML would count one line more than we do.
		if strings.ContainsAny(strings.TrimSuffix(line, "\r"), "\r\u0085\u2028\u2029") {
			r.Fail(&yaml.Node{Line: i + 1, Column: 1}, configfile.Problemf("end lines with a newline", "a line break that is not a newline"))
			return nil, r.Errs
		}
	}
	top := r.Document(data)
	if top != nil && top.Kind != yaml.SequenceNode {
		r.Fail(top, configfile.Problemf(shapeRemedy, "not a list"))
		top = nil
	}
	if top != nil {
		for _, n := range top.Content {
			f.entry(r, n)
		}
	}
	if r.Errs == nil {
		f.checkLines(r)
	}
	if r.Errs != nil {
		slices.SortStableFunc(r.Errs, func(x, y *configfile.Error) int { return x.Pos.Compare(y.Pos) })
		return nil, r.Errs
	}
	return f, nil
}

// checkLines refuses what YAML allows between the fields, for instance --- or
// [], since an entry could not be added behind it.
func (f *File) checkLines(r *configfile.YAML) {
	for i, line := range f.lines {
		text := strings.TrimSpace(line)
		if text != "" && text[0] != '#' && !fieldLine.MatchString(line) {
			r.Fail(&yaml.Node{Line: i + 1, Column: 1}, configfile.Problemf(shapeRemedy, "neither a field nor a comment"))
		}
	}
}

// entry reads one element of the list.
func (f *File) entry(r *configfile.YAML, n *yaml.Node) {
	if n.Kind != yaml.MappingNode {
		r.Fail(n, configfile.Problemf(shapeRemedy, "not an entry"))
		return
	}
	before := len(r.Errs)
	value := r.Fields(n, configfile.Shape{Fields: kind(n)})
	p := placed{line: map[string]int{}}
	for _, name := range kind(n) {
		v := value[name]
		if v == nil {
			if name != "release" {
				r.Fail(n, configfile.Problemf(shapeRemedy, "entry has no field %q", name))
			}
			continue
		}
		p.line[name] = v.Line - 1
		*p.field(name) = configfile.One(r, v, func(s string) (string, error) { return s, check(name, s) })
		if v.Kind == yaml.ScalarNode && !f.plain(name, v) {
			r.Fail(v, configfile.Problemf(shapeRemedy, "field %q is not on a line of its own, indented by two spaces", name))
		}
	}
	if len(r.Errs) > before {
		return
	}
	if err := p.check(); err != nil {
		r.Fail(n, err)
	} else if i := f.index(p.Pin); i >= 0 {
		r.Fail(n, configfile.Problemf("leave one of them out", "%s is there twice, first in line %d", p, slices.Min(lines(f.pins[i]))+1))
	} else {
		f.pins = append(f.pins, p)
	}
}

// kind is what the entry may have, by whether it is about a package.
func kind(n *yaml.Node) []string {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == "package" {
			return packageFields
		}
	}
	return imageFields
}

func lines(p placed) []int {
	var all []int
	for _, line := range p.line {
		all = append(all, line)
	}
	return all
}

// fieldLine is a line with a field: what is before the value, the value, and a
// comment behind it.
var fieldLine = regexp.MustCompile(`^((?:  |- )(\w+):[ \t]+)("[^"\\]*"|'[^']*'|[^\s"'#][^\s]*)([ \t]+#.*)?[ \t\r]*$`)

// plain reports whether the value has a line to itself, which can be changed
// without touching the others.
func (f *File) plain(name string, v *yaml.Node) bool {
	m := fieldLine.FindStringSubmatch(f.lines[v.Line-1])
	return m != nil && m[2] == name && strings.Trim(m[3], `"'`) == v.Value
}

// What the values look like. Those that become part of a path or of a command
// are held to what such names are made of.
var patterns = map[string]struct {
	regexp *regexp.Regexp
	want   string
}{
	"arch":    {regexp.MustCompile(`^[a-z0-9]+$`), "an architecture as Go names it, such as amd64"},
	"digest":  {regexp.MustCompile(`^sha256:[0-9a-f]{64}$`), "sha256: and 64 hexadecimal digits"},
	"name":    {regexp.MustCompile(`^linux-[a-z0-9][a-z0-9+.-]+$`), "the name of a package with a kernel"},
	"version": {regexp.MustCompile(`^[0-9][A-Za-z0-9.+:~-]*$`), "a package's version"},
	"suite":   {regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`), "the name of a suite, like trixie-backports"},
	"release": {regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.+~_-]*$`), "what uname -r prints"},
}

func check(name, value string) error {
	if p, ok := patterns[name]; ok && !p.regexp.MatchString(value) {
		return configfile.Problemf("", "%s %q: want %s", name, value, p.want)
	}
	return nil
}

// check finds out whether the pin is about a reference that exists and moves.
func (p Pin) check() error {
	text := p.Reference()
	ref, err := kernelref.Parse(text, "")
	if err != nil {
		return configfile.Problemf("", "%v", err)
	}
	if got, ok := For(ref, p.Arch); !ok || !got.sameReference(p) {
		return configfile.Problemf("an image has a host, as in ghcr.io/org/kernels; a package is named like debian:6.12", "%q is not the reference of an image or a package", text)
	}
	return nil
}

// Set enters what a reference stands for, in the place of what it was. It
// returns that, or the zero Pin.
func (f *File) Set(p Pin) (old Pin, err error) {
	changed := &File{Path: f.Path, lines: slices.Clone(f.lines)}
	if i := f.index(p); i < 0 {
		changed.add(p)
	} else {
		old = f.pins[i].Pin
		changed.replace(f.pins[i], p)
	}
	if changed, err = parse(f.Path, changed.Text()); err != nil {
		return Pin{}, fmt.Errorf("enter %s: %w", p, err)
	}
	*f = *changed
	return old, nil
}

// replace writes new values over an entry's. The release, its last field, may
// come and go.
func (f *File) replace(old placed, p Pin) {
	for _, name := range p.fields() {
		value := *p.field(name)
		line, there := old.line[name]
		switch {
		case there && value == "":
			f.lines = slices.Delete(f.lines, line, line+1)
		case there:
			m := fieldLine.FindStringSubmatch(f.lines[line])
			f.lines[line] = m[1] + quote(name, value) + m[4]
		case value != "":
			f.lines = slices.Insert(f.lines, slices.Max(lines(old))+1, "  "+name+": "+quote(name, value))
		}
	}
}

// add writes a new entry behind the others.
func (f *File) add(p Pin) {
	if len(f.lines) == 0 {
		f.lines = strings.Split(header, "\n")
	}
	f.lines = append(f.lines, "")
	start := "- "
	for _, name := range p.fields() {
		if value := *p.field(name); value != "" {
			f.lines = append(f.lines, start+name+": "+quote(name, value))
			start = "  "
		}
	}
}

const header = `# What the references of this module's kernels stand for. Written by
# "vmtest kernel lock", renewed by "vmtest kernel lock -update".`

// quote writes a value. A tag or a version may look like a number.
func quote(name, value string) string {
	if name == "tag" || name == "version" {
		return `"` + value + `"`
	}
	return value
}

// Text is what the file holds.
func (f *File) Text() []byte { return []byte(strings.Join(f.lines, "\n") + "\n") }
