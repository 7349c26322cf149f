package blocklist

import (
	"cmp"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/bpf-vmtest/bpf-vmtest/internal/configfile"
)

const (
	shapeRemedy  = "a blocklist is a list of entries, each beginning with a dash:\n  - test: TestX\n    kernel: <5.15\n    reason: why"
	expiryRemedy = "write a date as YEAR-MONTH-DAY, like 2027-03-31; the entry lives through that day"
)

var entryShape = configfile.Shape{
	Fields: []string{"kernel", "arch", "package", "test", "splat", "reason", "issue", "expires", "expect"},
	Lists:  []string{"kernel", "arch", "test"},
}

// parseYAML reads a blocklist.yaml. All that is wrong in it is reported at
// once.
func parseYAML(file string, data []byte) ([]Entry, Errors) {
	r := &yamlReader{YAML: configfile.YAML{File: file}}
	switch list := r.Document(data); {
	case list == nil:
	case list.Kind != yaml.SequenceNode:
		r.Fail(list, configfile.Problemf(shapeRemedy, "not a list"))
	default:
		for _, n := range list.Content {
			r.entry(n)
		}
	}
	if r.Errs != nil {
		return nil, r.Errs
	}
	return r.entries, nil
}

type yamlReader struct {
	configfile.YAML
	entries []Entry
}

// entry reads one element of the list, which is an [Entry] for each test it
// names.
func (r *yamlReader) entry(n *yaml.Node) {
	if n.Kind != yaml.MappingNode {
		r.Fail(n, configfile.Problemf(shapeRemedy, "not an entry"))
		return
	}
	before := len(r.Errs)
	value := r.Fields(n, entryShape)
	e := Entry{
		Pos:      r.Pos(n),
		kernels:  configfile.All(&r.YAML, value["kernel"], parseKernelPattern),
		archs:    configfile.All(&r.YAML, value["arch"], parseArch),
		packages: configfile.One(&r.YAML, value["package"], parsePackagePattern),
		Reason:   r.reason(n, value["reason"]),
		Issue:    configfile.One(&r.YAML, value["issue"], parseIssue),
		Expires:  configfile.One(&r.YAML, value["expires"], parseExpires),
		Expect:   cmp.Or(configfile.One(&r.YAML, value["expect"], parseExpect), Skip),
	}
	tests := configfile.All(&r.YAML, value["test"], parseTestPattern)
	e.splat = configfile.One(&r.YAML, value["splat"], parseSplatPattern)
	switch {
	case value["splat"] != nil && (value["test"] != nil || value["expect"] != nil):
		r.Fail(n, configfile.Problemf("a fault belongs to a kernel, and to a package; make another entry for the test", "entry names a splat, and a test or what to expect of it"))
	case value["splat"] == nil && value["test"] == nil && value["package"] == nil:
		r.Fail(n, configfile.Problemf(`name a test, or a package to mean all of its tests ("..." is every package)`, "entry names neither a test nor a package"))
	}
	if len(r.Errs) > before {
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
			e.Pos = r.Pos(value["test"].Content[i])
		}
		r.entries = append(r.entries, e)
	}
}

func (r *yamlReader) reason(entry, n *yaml.Node) string {
	const remedy = "say why the tests are blocked, in words the next reader can check"
	if n == nil {
		r.Fail(entry, configfile.Problemf(remedy, "entry has no reason"))
		return ""
	}
	for _, s := range configfile.All(&r.YAML, n, func(s string) (string, error) { return strings.TrimSpace(s), nil }) {
		if s == "" {
			r.Fail(n, configfile.Problemf(remedy, "empty reason"))
		}
		return s
	}
	return ""
}

func parseIssue(s string) (string, error) {
	if strings.TrimSpace(s) == "" {
		return "", configfile.Problemf("leave the field out where there is no issue", "empty issue")
	}
	return s, nil
}

func parseExpires(s string) (time.Time, error) {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return t, configfile.Problemf(expiryRemedy, "expires %q is not a date", s)
	}
	return t, nil
}

func parseExpect(s string) (Expect, error) {
	switch x := Expect(s); x {
	case Skip, Fail, Flaky:
		return x, nil
	}
	return "", configfile.Problemf("expect is skip (the default), fail or flaky", "unknown expectation %q", s)
}
