package catalogue

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// A document is a catalogue's text as something that can be changed, with its
// comments and blank lines where they were.
type document struct{ root yaml.Node }

// The YAML library keeps comments and drops blank lines; so they become
// comments for as long as it has them. Those above the first entry it keeps: it
// tells by them what is a comment on the whole.
const blankLine = "#vmtest: blank line"

func parseDocument(data []byte) (*document, error) {
	lines := strings.SplitAfter(string(data), "\n")
	begun := false
	for i, line := range lines {
		switch text := strings.TrimSpace(line); {
		case text == "" && line != "" && begun:
			lines[i] = blankLine + "\n"
		case text != "" && text[0] != '#':
			begun = true
		}
	}
	var d document
	return &d, yaml.Unmarshal([]byte(strings.Join(lines, "")), &d.root)
}

// text is the document in the form that we write.
func (d *document) text() ([]byte, error) {
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(&d.root); err != nil {
		return nil, fmt.Errorf("write catalogue: %w", err)
	}
	if err := enc.Close(); err != nil {
		return nil, fmt.Errorf("write catalogue: %w", err)
	}
	var out strings.Builder
	blank := true // no blank lines at the top, and no two together
	for line := range strings.Lines(b.String()) {
		if text := strings.TrimSpace(line); text == "" || text == blankLine {
			line = "\n"
		}
		if line != "\n" || !blank {
			out.WriteString(line)
		}
		blank = line == "\n"
	}
	return []byte(out.String()), nil
}

// entries are the mappings of the list.
func (d *document) entries() []entry {
	if len(d.root.Content) == 0 {
		return nil
	}
	var all []entry
	for _, n := range d.root.Content[0].Content {
		all = append(all, entry{n})
	}
	return all
}

// insert puts an entry before another, with blank lines around it.
func (d *document) insert(e, before entry) {
	list := d.root.Content[0]
	e.HeadComment = blankLine
	before.HeadComment = blankLine + "\n" + before.HeadComment
	list.Content = slices.Insert(list.Content, slices.Index(list.Content, before.Node), e.Node)
}

// An entry is a mapping.
type entry struct{ *yaml.Node }

// index is where a field's name is in the mapping's content, or -1.
func (e entry) index(field string) int {
	for i := 0; i < len(e.Content); i += 2 {
		if e.Content[i].Value == field {
			return i
		}
	}
	return -1
}

// set gives a field a plain value. A field that is not there comes after the
// ones that a catalogue has before it.
func (e entry) set(field, value string) {
	e.put(field, &yaml.Node{Kind: yaml.ScalarNode, Value: value})
}

// setList gives a field a list, and removes it when that is empty.
func (e entry) setList(field string, values []string) {
	if len(values) == 0 {
		e.remove(field)
		return
	}
	list := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
	for _, v := range values {
		list.Content = append(list.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: v})
	}
	e.put(field, list)
}

func (e entry) remove(field string) {
	if i := e.index(field); i >= 0 {
		e.Content = slices.Delete(e.Content, i, i+2)
	}
}

func (e entry) put(field string, value *yaml.Node) {
	if i := e.index(field); i >= 0 {
		old := e.Content[i+1]
		value.HeadComment, value.LineComment, value.FootComment = old.HeadComment, old.LineComment, old.FootComment
		e.Content[i+1] = value
		return
	}
	order := kernelShape.Fields
	at := len(e.Content)
	for i := 0; i < len(e.Content); i += 2 {
		if slices.Index(order, e.Content[i].Value) > slices.Index(order, field) {
			at = i
			break
		}
	}
	e.Content = slices.Insert(e.Content, at, &yaml.Node{Kind: yaml.ScalarNode, Value: field}, value)
}

// like makes a new entry with some of another's fields.
func (e entry) like(fields ...string) entry {
	n := entry{&yaml.Node{Kind: yaml.MappingNode}}
	for _, f := range fields {
		if i := e.index(f); i >= 0 {
			value := *e.Content[i+1]
			value.HeadComment, value.LineComment, value.FootComment = "", "", ""
			n.put(f, &value)
		}
	}
	return n
}
