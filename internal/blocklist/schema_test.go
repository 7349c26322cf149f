package blocklist

import (
	"strings"
	"testing"

	"github.com/bpf-vmtest/bpf-vmtest/internal/configfile/schematest"
)

// The schema and the parser have to agree on these.
func TestSchema(t *testing.T) {
	schema := schematest.Compile(t, Schema)
	for _, c := range []struct {
		text string
		ok   bool
	}{
		{"", true},
		{"[]", true},
		{"- {test: TestA, reason: x}", true},
		{"- {package: example.org/..., reason: x}", true},
		{"- {test: [TestA, TestB/x y], kernel: [5.10, '<6.1', 'debian:*'], arch: [amd64, x86_64, 386], reason: x}", true},
		{"- {test: TestA, kernel: 5.10, arch: arm64, issue: '#1', expires: 2027-01-31, expect: flaky, reason: x}", true},
		{"- {test: TestA, expires: '2027-01-31', reason: x}", true},
		{"- {test: TestX//sys/fs, reason: x}", true},
		{"- {test: TestA}", false},
		{"- {reason: x}", false},
		{"- {test: TestA, reason: ''}", false},
		{"- {test: TestA, reason: ' '}", false},
		{"- {test: TestA, reason: x, since: 6.1}", false},
		{"- {test: TestA, reason: x, expect: xfail}", false},
		{"- {test: TestA, reason: x, arch: x64}", false},
		{"- {test: TestA, reason: x, expires: tomorrow}", false},
		{"- {test: [], reason: x}", false},
		{"- {test: /TestA, reason: x}", false},
		{"- {test: '', reason: x}", false},
		{"- {test: TestA, kernel: [], reason: x}", false},
		{"- {test: TestA, kernel: '', reason: x}", false},
		{"- {package: ./xdp, reason: x}", false},
		{"- {package: /xdp, reason: x}", false},
		{"- {package: .../xdp, reason: x}", true},
		{"- {test: TestA, reason: [x]}", false},
		{"- {test: TestA, reason: x, issue: ''}", false},
		{"- {splat: 'WARNING: *', reason: x}", true},
		{"- {splat: 'WARNING: *', package: .../xdp, kernel: 6.12, expires: 2027-01-01, reason: x}", true},
		{"- {splat: 'WARNING: *'}", false},
		{"- {splat: 'WARNING: *', test: TestA, reason: x}", false},
		{"- {splat: 'WARNING: *', expect: flaky, reason: x}", false},
		{"- {splat: '', reason: x}", false},
		{"- {splat: '* *', reason: x}", false},
		{"- {splat: [a], reason: x}", false},
		{"test: TestA", false},
		{"- TestA", false},
	} {
		_, errs := parseYAML("f", []byte(c.text))
		if (errs == nil) != c.ok {
			t.Errorf("%s: parser says %v", c.text, errs)
		}
		if err := schema.Validate(t, c.text); (err == nil) != c.ok {
			t.Errorf("%s: schema says %v", c.text, err)
		}
	}
}

// Every word the parser knows is in the schema.
func TestSchemaNamesEveryWord(t *testing.T) {
	words := append([]string{string(Skip), string(Fail), string(Flaky)}, entryShape.Fields...)
	words = append(words, archs...)
	for alias := range aliases {
		words = append(words, alias)
	}
	for _, w := range words {
		if !strings.Contains(string(Schema), `"`+w+`"`) {
			t.Errorf("schema does not know %q", w)
		}
	}
}
