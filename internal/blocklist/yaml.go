package blocklist

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

var fields = []string{"kernel", "arch", "package", "test", "reason", "issue", "expires", "expect"}

const (
	shapeRemedy  = "a blocklist is a list of entries, each beginning with a dash:\n  - test: TestX\n    kernel: <5.15\n    reason: why"
	quoteRemedy  = `put a value that begins with one of > ! * & % @ [ { or a backquote in double quotes, like kernel: ">=6.1"`
	expiryRemedy = "write a date as YEAR-MONTH-DAY, like 2027-03-31; the entry lives through that day"
)

// parseYAML reads a blocklist.yaml. All that is wrong in it is reported at
// once. A byte order mark and CRLF line ends are accepted.
func parseYAML(file string, data []byte) ([]Entry, Errors) {
	r := &yamlReader{file: file}
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	if !utf8.Valid(data) {
		r.fail(Pos{file, invalidLine(data), 1}, problemf("save the file as UTF-8", "not valid UTF-8"))
		return nil, r.errs
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc yaml.Node
	if err := dec.Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, nil // empty, or nothing but comments
		}
		r.syntax(data, err)
		return nil, r.errs
	}
	var next yaml.Node
	if err := dec.Decode(&next); err == nil {
		r.failAt(&next, problemf("put all entries into one list, without ---", "second YAML document"))
	} else if !errors.Is(err, io.EOF) {
		r.syntax(data, err)
	}
	r.document(&doc)
	if r.errs != nil {
		return nil, r.errs
	}
	return r.entries, nil
}

func invalidLine(data []byte) int {
	for i, line := range bytes.Split(data, []byte("\n")) {
		if !utf8.Valid(line) {
			return i + 1
		}
	}
	return 1
}

type yamlReader struct {
	file    string
	entries []Entry
	errs    Errors
}

func (r *yamlReader) pos(n *yaml.Node) Pos { return Pos{r.file, max(n.Line, 1), max(n.Column, 1)} }

func (r *yamlReader) fail(p Pos, err error) {
	e := &Error{Pos: p, Msg: err.Error()}
	if p, ok := err.(*problem); ok {
		e.Remedy = p.remedy
	}
	r.errs = append(r.errs, e)
}

func (r *yamlReader) failAt(n *yaml.Node, err error) { r.fail(r.pos(n), err) }

// The YAML library's errors begin like this.
var yamlError = regexp.MustCompile(`^yaml: (?:line (\d+): )?(?s:(.*))$`)

// syntax reports what the YAML library could not read. A tab in the
// indentation is looked for first: YAML forbids it and the library's message
// does not name it.
func (r *yamlReader) syntax(data []byte, err error) {
	for i, line := range strings.Split(string(data), "\n") {
		indent := line[:len(line)-len(strings.TrimLeft(line, " \t"))]
		if tab := strings.IndexByte(indent, '\t'); tab >= 0 {
			r.fail(Pos{r.file, i + 1, tab + 1}, problemf("indent with spaces", "tab in the indentation"))
			return
		}
	}
	p, msg := Pos{r.file, 1, 1}, err.Error()
	if m := yamlError.FindStringSubmatch(msg); m != nil {
		msg = m[2]
		if n, err := strconv.Atoi(m[1]); err == nil {
			p.Line = n
		}
	}
	r.fail(p, problemf(quoteRemedy, "not YAML: %s", msg))
}

func (r *yamlReader) document(doc *yaml.Node) {
	list := doc.Content[0]
	switch {
	case isNull(list):
	case list.Kind != yaml.SequenceNode:
		r.failAt(list, problemf(shapeRemedy, "not a list"))
	default:
		for _, n := range list.Content {
			r.entry(n)
		}
	}
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

// entry reads one element of the list, which is an [Entry] for each test it
// names.
func (r *yamlReader) entry(n *yaml.Node) {
	if n.Kind != yaml.MappingNode {
		r.failAt(n, problemf(shapeRemedy, "not an entry"))
		return
	}
	before := len(r.errs)
	value := r.fields(n)
	e := Entry{Pos: r.pos(n), Expect: Skip}
	e.kernels = parseAll(r, value["kernel"], parseKernelPattern)
	e.archs = parseAll(r, value["arch"], parseArch)
	for _, p := range parseAll(r, value["package"], parsePackagePattern) {
		e.packages = p
	}
	e.Reason = r.reason(n, value["reason"])
	for _, s := range parseAll(r, value["issue"], parseIssue) {
		e.Issue = s
	}
	for _, t := range parseAll(r, value["expires"], parseExpires) {
		e.Expires = t
	}
	for _, x := range parseAll(r, value["expect"], parseExpect) {
		e.Expect = x
	}
	tests := parseAll(r, value["test"], parseTestPattern)
	if value["test"] == nil && value["package"] == nil {
		r.failAt(n, problemf(`name a test, or a package to mean all of its tests ("..." is every package)`, "entry names neither a test nor a package"))
	}
	if len(r.errs) > before {
		return
	}
	if len(tests) == 0 {
		r.entries = append(r.entries, e)
		return
	}
	for i, t := range tests {
		e := e
		e.test = t
		if value["test"].Kind == yaml.SequenceNode {
			e.Pos = r.pos(value["test"].Content[i])
		}
		r.entries = append(r.entries, e)
	}
}

// fields returns the nodes of an entry's values by the name of their field.
func (r *yamlReader) fields(n *yaml.Node) map[string]*yaml.Node {
	value := make(map[string]*yaml.Node)
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		switch {
		case k.Kind != yaml.ScalarNode || !slices.Contains(fields, k.Value):
			r.failAt(k, problemf("fields are "+strings.Join(fields, ", "), "unknown field %q", k.Value))
		case value[k.Value] != nil:
			r.failAt(k, problemf("write each field once; several values are a YAML list", "field %q is given twice", k.Value))
		case v.Kind == yaml.AliasNode || v.Anchor != "":
			r.failAt(v, problemf(quoteRemedy, "field %q: anchors and aliases are not read", k.Value))
		case v.Kind == yaml.SequenceNode && !slices.Contains([]string{"kernel", "arch", "test"}, k.Value):
			r.failAt(v, problemf("only kernel, arch and test may be lists", "field %q is a list", k.Value))
		case v.Kind == yaml.SequenceNode && len(v.Content) == 0:
			r.failAt(v, problemf("leave the field out to mean all", "field %q is an empty list", k.Value))
		default:
			value[k.Value] = v
			continue
		}
		value[k.Value] = &yaml.Node{Line: k.Line, Column: k.Column} // reported; given all the same
	}
	return value
}

// parseAll reads a scalar, or each scalar of a list. A node of no kind has
// been reported before.
func parseAll[T any](r *yamlReader, n *yaml.Node, parse func(string) (T, error)) []T {
	if n == nil || n.Kind == 0 {
		return nil
	}
	nodes := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		nodes = n.Content
	}
	var all []T
	for _, n := range nodes {
		s, err := scalar(n)
		if err != nil {
			r.failAt(n, err)
			continue
		}
		v, err := parse(s)
		if err != nil {
			r.failAt(n, err)
			continue
		}
		all = append(all, v)
	}
	return all
}

// scalar returns a scalar as it is written, so that kernel: 5.10 is not the
// number 5.1.
func scalar(n *yaml.Node) (string, error) {
	switch {
	case n.Kind != yaml.ScalarNode:
		return "", problemf(quoteRemedy, "not a plain value")
	case n.Style&yaml.TaggedStyle != 0:
		return "", problemf(quoteRemedy, "%q is a YAML tag", n.Tag)
	case isNull(n) && n.Style == 0:
		return "", nil
	case strings.ContainsRune(n.Value, 0):
		return "", problemf("", "value holds a NUL character")
	default:
		return n.Value, nil
	}
}

func (r *yamlReader) reason(entry, n *yaml.Node) string {
	const remedy = "say why the tests are blocked, in words the next reader can check"
	if n == nil {
		r.failAt(entry, problemf(remedy, "entry has no reason"))
		return ""
	}
	for _, s := range parseAll(r, n, func(s string) (string, error) { return strings.TrimSpace(s), nil }) {
		if s == "" {
			r.failAt(n, problemf(remedy, "empty reason"))
		}
		return s
	}
	return ""
}

func parseIssue(s string) (string, error) {
	if strings.TrimSpace(s) == "" {
		return "", problemf("leave the field out where there is no issue", "empty issue")
	}
	return s, nil
}

func parseExpires(s string) (time.Time, error) {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return t, problemf(expiryRemedy, "expires %q is not a date", s)
	}
	return t, nil
}

func parseExpect(s string) (Expect, error) {
	switch x := Expect(s); x {
	case Skip, Fail, Flaky:
		return x, nil
	}
	return "", problemf("expect is skip (the default), fail or flaky", "unknown expectation %q", s)
}
