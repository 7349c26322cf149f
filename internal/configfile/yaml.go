package configfile

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// QuoteRemedy is for a value that YAML takes for something else.
const QuoteRemedy = `put a value that begins with one of > ! * & % @ [ { or a backquote in double quotes, like kernel: ">=6.1"`

// A YAML reads one YAML file strictly and collects what is wrong in it.
type YAML struct {
	File string
	Errs Errors
}

// Document reads the file's only document and returns what it consists of, or
// nil when it is empty or not YAML. A byte order mark and CRLF line ends are
// accepted.
func (r *YAML) Document(data []byte) *yaml.Node {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	if !utf8.Valid(data) {
		r.fail(Pos{r.File, invalidLine(data), 1}, Problemf("save the file as UTF-8", "not valid UTF-8"))
		return nil
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc yaml.Node
	if err := dec.Decode(&doc); err != nil {
		if !errors.Is(err, io.EOF) { // empty, or nothing but comments
			r.syntax(data, err)
		}
		return nil
	}
	var next yaml.Node
	if err := dec.Decode(&next); err == nil {
		r.Fail(&next, Problemf("put everything into one document, without ---", "second YAML document"))
	} else if !errors.Is(err, io.EOF) {
		r.syntax(data, err)
	}
	if top := doc.Content[0]; !IsNull(top) {
		return top
	}
	return nil
}

func invalidLine(data []byte) int {
	for i, line := range bytes.Split(data, []byte("\n")) {
		if !utf8.Valid(line) {
			return i + 1
		}
	}
	return 1
}

// Pos is where a node begins.
func (r *YAML) Pos(n *yaml.Node) Pos { return Pos{r.File, max(n.Line, 1), max(n.Column, 1)} }

// Fail records that something is wrong with a node; the error may be a
// [Problem].
func (r *YAML) Fail(n *yaml.Node, err error) { r.fail(r.Pos(n), err) }

func (r *YAML) fail(p Pos, err error) {
	e := &Error{Pos: p, Msg: err.Error()}
	if p, ok := err.(*Problem); ok {
		e.Remedy = p.Remedy
	}
	r.Errs = append(r.Errs, e)
}

// The YAML library's errors begin like this.
var yamlError = regexp.MustCompile(`^yaml: (?:line (\d+): )?(?s:(.*))$`)

// syntax reports what the YAML library could not read. A tab in the
// indentation is looked for first: YAML forbids it and the library's message
// does not name it.
func (r *YAML) syntax(data []byte, err error) {
	for i, line := range strings.Split(string(data), "\n") {
		indent := line[:len(line)-len(strings.TrimLeft(line, " \t"))]
		if tab := strings.IndexByte(indent, '\t'); tab >= 0 {
			r.fail(Pos{r.File, i + 1, tab + 1}, Problemf("indent with spaces", "tab in the indentation"))
			return
		}
	}
	p, msg := Pos{r.File, 1, 1}, err.Error()
	if m := yamlError.FindStringSubmatch(msg); m != nil {
		msg = m[2]
		if n, err := strconv.Atoi(m[1]); err == nil {
			p.Line = n
		}
	}
	r.fail(p, Problemf(QuoteRemedy, "not YAML: %s", msg))
}

// IsNull reports whether a node says that there is no value.
func IsNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

// A Shape is the fields that a mapping may have, and which of them may be
// lists.
type Shape struct{ Fields, Lists []string }

// Fields returns the nodes of a mapping's values by the name of their field.
// The value of a field that is wrong is there all the same, and has no kind.
func (r *YAML) Fields(n *yaml.Node, s Shape) map[string]*yaml.Node {
	value := make(map[string]*yaml.Node)
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		switch {
		case k.Kind != yaml.ScalarNode || !slices.Contains(s.Fields, k.Value):
			r.Fail(k, Problemf("fields are "+strings.Join(s.Fields, ", "), "unknown field %q", k.Value))
		case value[k.Value] != nil:
			r.Fail(k, Problemf("write each field once; several values are a YAML list", "field %q is given twice", k.Value))
		case v.Kind == yaml.AliasNode || v.Anchor != "":
			r.Fail(v, Problemf(QuoteRemedy, "field %q: anchors and aliases are not read", k.Value))
		case v.Kind == yaml.SequenceNode && !slices.Contains(s.Lists, k.Value):
			r.Fail(v, Problemf("only "+enumerate(s.Lists)+" may be lists", "field %q is a list", k.Value))
		case v.Kind == yaml.SequenceNode && len(v.Content) == 0:
			r.Fail(v, Problemf("leave the field out instead", "field %q is an empty list", k.Value))
		default:
			value[k.Value] = v
			continue
		}
		value[k.Value] = &yaml.Node{Line: k.Line, Column: k.Column}
	}
	return value
}

// enumerate writes "a, b and c".
func enumerate(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " and " + words[last]
}

// All reads a scalar, or each scalar of a list. A node of no kind has been
// reported before.
func All[T any](r *YAML, n *yaml.Node, parse func(string) (T, error)) []T {
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
			r.Fail(n, err)
			continue
		}
		v, err := parse(s)
		if err != nil {
			r.Fail(n, err)
			continue
		}
		all = append(all, v)
	}
	return all
}

// One reads a scalar, and gives the zero value where there is none.
func One[T any](r *YAML, n *yaml.Node, parse func(string) (T, error)) (v T) {
	for _, v = range All(r, n, parse) {
	}
	return v
}

// scalar returns a scalar as it is written, so that kernel: 5.10 is not the
// number 5.1.
func scalar(n *yaml.Node) (string, error) {
	switch {
	case n.Kind != yaml.ScalarNode:
		return "", Problemf(QuoteRemedy, "not a plain value")
	case n.Style&yaml.TaggedStyle != 0:
		return "", Problemf(QuoteRemedy, "%q is a YAML tag", n.Tag)
	case IsNull(n) && n.Style == 0:
		return "", nil
	case strings.ContainsRune(n.Value, 0):
		return "", Problemf("", "value holds a NUL character")
	default:
		return n.Value, nil
	}
}
