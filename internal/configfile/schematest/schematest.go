// Package schematest holds files against JSON schemas as an editor does.
package schematest

import (
	"bytes"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
)

// A Schema is compiled.
type Schema struct{ schema *jsonschema.Schema }

// Compile reads a schema.
func Compile(t testing.TB, schema []byte) Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(schema))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return Schema{s}
}

// Validate finds out whether a YAML text is as the schema says.
func (s Schema) Validate(t testing.TB, text string) error {
	t.Helper()
	var v any
	if err := yaml.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	return s.schema.Validate(jsonValue(v))
}

// jsonValue makes a date the text that it was.
func jsonValue(v any) any {
	switch v := v.(type) {
	case []any:
		for i := range v {
			v[i] = jsonValue(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = jsonValue(v[k])
		}
	case time.Time:
		return v.Format(time.DateOnly)
	}
	return v
}
