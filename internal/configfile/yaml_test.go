package configfile

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

var shape = Shape{Fields: []string{"name", "words"}, Lists: []string{"words"}}

type thing struct {
	name  string
	words []string
}

func parse(file, text string) (thing, Errors) {
	r := &YAML{File: file}
	var t thing
	word := func(s string) (string, error) {
		if s == "bad" {
			return "", Problemf("write good", "word %q", s)
		}
		return s, nil
	}
	if top := r.Document([]byte(text)); top != nil && top.Kind == yaml.MappingNode {
		value := r.Fields(top, shape)
		t = thing{One(r, value["name"], word), All(r, value["words"], word)}
	}
	return t, r.Errs
}

func TestYAML(t *testing.T) {
	for text, want := range map[string]thing{
		"name: 5.10\nwords: [a, 0x10, \"\"]\n": {"5.10", []string{"a", "0x10", ""}},
		"\ufeffname: a\r\nwords: b\r\n":        {"a", []string{"b"}},
		"name:\nwords: ~\n":                    {"", []string{""}},
		"# nothing\n":                          {},
		"":                                     {},
	} {
		got, errs := parse("f", text)
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(thing{})); errs != nil || diff != "" {
			t.Errorf("%q: %v (-want +got):\n%s", text, errs, diff)
		}
	}
}

func TestYAMLErrors(t *testing.T) {
	for _, c := range []struct{ text, want, remedy string }{
		{"name: a\nnmae: b\n", `f:2:1: unknown field "nmae"`, "fields are name, words"},
		{"name: a\nname: b\n", `f:2:1: field "name" is given twice`, "once"},
		{"name: [a]\n", `f:1:7: field "name" is a list`, "only words may be lists"},
		{"words: []\n", `f:1:8: field "words" is an empty list`, "leave"},
		{"name: &a b\n", `f:1:7: field "name": anchors and aliases are not read`, "quotes"},
		{"name: !x b\n", `f:1:7: "!x" is a YAML tag`, "quotes"},
		{"name: {a: b}\n", "f:1:7: not a plain value", "quotes"},
		{"words:\n  - good\n  - bad\n", `f:3:5: word "bad"`, "write good"},
		{"name: a\n\twords: b\n", "f:2:1: tab in the indentation", "spaces"},
		{"name: a\n--- \nname: b\n", "f:2:1: second YAML document", "---"},
		{"name: a\nwords: caf\xe9\n", "f:2:1: not valid UTF-8", "UTF-8"},
		{"name: \"a\n", "f:", "quotes"},
		{"name: \"a\\0\"\n", "f:1:7: value holds a NUL character", ""},
	} {
		_, errs := parse("f", c.text)
		if len(errs) != 1 || !strings.HasPrefix(errs.Error(), c.want) || !strings.Contains(errs.Hint(), c.remedy) {
			t.Errorf("%q: %v, hint %q, want %s, %s", c.text, errs, errs.Hint(), c.want, c.remedy)
		}
	}
}

func TestErrors(t *testing.T) {
	_, errs := parse("f", "nmae: bad\nwords: [bad, bad]\n")
	var err error = errs
	var one *Error
	if len(errs) != 3 || !errors.As(err, &one) || one.Line != 1 || errs.ExitCode() != 2 {
		t.Errorf("%d errors: %v, the first %+v", len(errs), err, one)
	}
	if errs.Hint() != "fields are name, words\nwrite good" {
		t.Errorf("hint = %q", errs.Hint())
	}
	if !(Pos{"f", 1, 9}.Compare(Pos{"f", 2, 1}) < 0) || (Pos{"f", 1, 1}).Compare(Pos{"f", 1, 1}) != 0 {
		t.Error("places are out of order")
	}
}
