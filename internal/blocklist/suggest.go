package blocklist

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/bpf-vmtest/bpf-vmtest/internal/failure"
	"github.com/bpf-vmtest/bpf-vmtest/internal/kver"
)

// Suggest returns YAML entries for the tests that failed, one for each test,
// with the failing line as the draft of the reason; [Load] reads them. Only
// the deepest failed subtests are named. What the constraint on the kernel
// rests on is said in a comment. Without failures it returns nil.
func Suggest(results []Result) ([]byte, error) {
	list := &yaml.Node{Kind: yaml.SequenceNode}
	for _, h := range histories(results) {
		if len(h.failed) > 0 && !h.parent {
			list.Content = append(list.Content, h.entry())
		}
	}
	if len(list.Content) == 0 {
		return nil, nil
	}
	var buf bytes.Buffer
	enc := yaml.NewEncoder(&buf)
	enc.SetIndent(2)
	if err := enc.Encode(list); err != nil {
		return nil, fmt.Errorf("write blocklist entries: %w", err)
	}
	return buf.Bytes(), nil
}

// A history is one test on all kernels of a run.
type history struct {
	pkg, test      string
	failed, passed []Kernel
	parent         bool // of a failed subtest
	reason         string
}

// histories returns the tests' histories in the order of the results.
func histories(results []Result) []*history {
	type key struct{ pkg, test string }
	byKey := make(map[key]*history)
	var all []*history
	for _, r := range results {
		if r.Test == "" || r.Test[0] == '/' {
			continue // no test to block: the package failed as such
		}
		h := byKey[key{r.Package, r.Test}]
		if h == nil {
			h = &history{pkg: r.Package, test: r.Test}
			byKey[key{r.Package, r.Test}] = h
			all = append(all, h)
		}
		h.add(r)
	}
	for _, h := range all {
		if len(h.failed) == 0 {
			continue
		}
		for i := range h.test {
			if h.test[i] != '/' {
				continue
			}
			if p := byKey[key{h.pkg, h.test[:i]}]; p != nil {
				p.parent = true
			}
		}
	}
	return all
}

func (h *history) add(r Result) {
	switch r.Outcome {
	case Failed:
		h.failed = addKernel(h.failed, r.Kernel)
		if h.reason == "" {
			h.reason = clean(failure.Find(r.Output).String())
		}
	case Passed:
		h.passed = addKernel(h.passed, r.Kernel)
	}
}

func addKernel(list []Kernel, k Kernel) []Kernel {
	if slices.Contains(list, k) {
		return list
	}
	return append(list, k)
}

func (h *history) entry() *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode, HeadComment: h.evidence()}
	add := func(field string, values ...string) {
		if len(values) > 0 {
			n.Content = append(n.Content, stringNode(field), valueNode(values))
		}
	}
	kernels, archs, flaky := h.constraint()
	add("kernel", kernels...)
	add("arch", archs...)
	if p := escapeGlob(h.pkg); isPackage(p) {
		add("package", p)
	}
	add("test", escapeGlob(testName(h.test)))
	if flaky {
		add("expect", string(Flaky))
	}
	add("reason", cmp.Or(h.reason, "failed and printed nothing"))
	return n
}

// isPackage leaves out what the go command calls by no import path.
func isPackage(s string) bool {
	_, err := parsePackagePattern(s)
	return err == nil && clean(s) == s
}

func stringNode(s string) *yaml.Node {
	var n yaml.Node
	n.SetString(s) // decides on quotes
	return &n
}

func valueNode(values []string) *yaml.Node {
	if len(values) == 1 {
		return stringNode(values[0])
	}
	list := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
	for _, v := range values {
		list.Content = append(list.Content, stringNode(v))
	}
	return list
}

func (h *history) evidence() string {
	s := "failed on " + kernelNames(h.failed)
	if len(h.passed) > 0 {
		s += "; passed on " + kernelNames(h.passed)
	}
	return "# " + s
}

func kernelNames(kernels []Kernel) string {
	var names []string
	for _, k := range kernels {
		name := cmp.Or(k.Name, "a kernel without a name")
		if k.Version != (kver.Version{}) {
			name += fmt.Sprintf(" (%s)", k.Version)
		}
		names = append(names, clean(name))
	}
	return strings.Join(names, ", ")
}

// constraint returns the narrowest sensible wording that holds all kernels
// the test failed on and none it passed on. A range that is open to one side
// needs two kernels that failed and, beyond its end, one that passed; it ends
// at the last kernel that failed, since nobody has looked further. A test that
// failed and passed on one and the same kernel is flaky there.
func (h *history) constraint() (kernels, archs []string, flaky bool) {
	flaky = slices.ContainsFunc(h.failed, func(k Kernel) bool { return slices.Contains(h.passed, k) })
	passed := slices.DeleteFunc(slices.Clone(h.passed), func(k Kernel) bool { return slices.Contains(h.failed, k) })
	archChoices := [][]string{nil}
	if a := oneArch(h.failed); a != "" && slices.ContainsFunc(passed, func(k Kernel) bool { return k.Arch != a }) {
		archChoices = append(archChoices, []string{a})
	}
	for _, words := range h.wordings(passed) {
		for _, archs := range archChoices {
			if separates(words, archs, h.failed, passed) {
				return words, archs, flaky
			}
		}
	}
	// Only kernels without a version and with one name for two things are
	// left: saying nothing blocks more than failed, which the comment shows.
	return nil, nil, flaky
}

func oneArch(kernels []Kernel) string {
	for _, k := range kernels {
		if k.Arch != kernels[0].Arch {
			return ""
		}
	}
	if _, err := parseArch(kernels[0].Arch); err != nil {
		return ""
	}
	return kernels[0].Arch
}

// wordings returns ways to say which kernels failed, the best first.
func (h *history) wordings(passed []Kernel) [][]string {
	versions := make([]kver.Version, len(h.failed))
	for i, k := range h.failed {
		versions[i] = k.Version
	}
	slices.SortFunc(versions, kver.Version.Compare)
	names := make([]string, len(h.failed))
	for i, k := range h.failed {
		names[i] = k.Name // * and ? in it match themselves
	}
	if versions[0] == (kver.Version{}) {
		return [][]string{distinct(names)}
	}
	series := distinct(texts(versions, kver.Version.Series))
	var words [][]string
	if first, last := series[0], series[len(series)-1]; len(series) > 1 && len(passed) > 0 {
		words = append(words, []string{"<=" + last}, []string{">=" + first}, []string{first + ".." + last})
	}
	exact := distinct(texts(versions, func(v kver.Version) kver.Version { return v }))
	return append(words, series, exact, distinct(names))
}

func texts(versions []kver.Version, of func(kver.Version) kver.Version) []string {
	out := make([]string, len(versions))
	for i, v := range versions {
		out[i] = of(v).String()
	}
	return out
}

func distinct(list []string) []string {
	var out []string
	for _, s := range list {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

func separates(words, archs []string, failed, passed []Kernel) bool {
	e := Entry{archs: archs}
	for _, w := range words {
		p, err := parseKernelPattern(w)
		if err != nil {
			return false
		}
		e.kernels = append(e.kernels, p)
	}
	return !slices.ContainsFunc(failed, func(k Kernel) bool { return !e.appliesTo(k) }) &&
		!slices.ContainsFunc(passed, e.appliesTo)
}

// reasonLimit is in characters. A verifier's error fits, its log does not.
const reasonLimit = 240

// clean makes a line printable, one line, and short.
func clean(s string) string {
	s = failure.Line(s)
	if runes := []rune(s); len(runes) > reasonLimit {
		s = string(runes[:reasonLimit-1]) + "…"
	}
	return s
}
