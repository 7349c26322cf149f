package report

import (
	"bytes"
	"fmt"
	"io"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/sethvargo/go-githubactions"

	"github.com/bpf-vmtest/bpf-vmtest/internal/failure"
	"github.com/bpf-vmtest/bpf-vmtest/internal/result"
)

// annotationLimit is how many errors, and how many warnings, GitHub shows of a
// step.
const annotationLimit = 10

// An annotation is a remark about a line of the checkout.
type annotation struct {
	warning bool
	file    string // relative to the checkout, or empty
	line    int
	title   string
	message string
}

// WriteAnnotations writes workflow commands that annotate failing assertions,
// and whatever else failed the run, for GitHub Actions to read. What is more
// than GitHub shows is counted in the last one.
func (m *Matrix) WriteAnnotations(w io.Writer) error {
	var errs, warnings []annotation
	for _, a := range m.annotations() {
		if a.warning {
			warnings = append(warnings, a)
		} else {
			errs = append(errs, a)
		}
	}
	var text bytes.Buffer // githubactions panics where it cannot write
	action := githubactions.New(githubactions.WithWriter(&text))
	for _, a := range capped(errs) {
		action.WithFieldsMap(a.fields()).Errorf("%s", a.message)
	}
	for _, a := range capped(warnings) {
		action.WithFieldsMap(a.fields()).Warningf("%s", a.message)
	}
	_, err := w.Write(text.Bytes())
	return err
}

func (a annotation) fields() map[string]string {
	fields := map[string]string{"title": clip(failure.Line(a.title), nameLimit)}
	if a.file != "" {
		fields["file"] = a.file
		if a.line > 0 {
			fields["line"] = strconv.Itoa(a.line)
		}
	}
	return fields
}

func capped(list []annotation) []annotation {
	if len(list) <= annotationLimit {
		return list
	}
	last := &list[annotationLimit-1]
	last.message += fmt.Sprintf("\n\n… and %d more, in the job's summary", len(list)-annotationLimit)
	return list[:annotationLimit]
}

// annotations are those of the tests first, for most of them have a line.
func (m *Matrix) annotations() []annotation {
	here, everywhere := m.failing()
	list := slices.Concat(m.testAnnotations(here, m.failedOn), m.testAnnotations(everywhere, m.failedOn), m.flakyAnnotations())
	for _, p := range m.pkgs() {
		if len(p.build) > 0 {
			list = append(list, m.buildAnnotation(p))
		}
	}
	for _, g := range m.failedWhole() {
		list = append(list, annotation{
			title:   fmt.Sprintf("%s failed on %s", g.path, strings.Join(g.labels, ", ")),
			message: g.why,
		})
	}
	for _, k := range m.kernels {
		if k.lost != nil {
			list = append(list, annotation{title: k.label + " was lost", message: said(*k.lost)})
		}
		for _, e := range k.splats {
			list = append(list, annotation{warning: e.Code == nil, title: "the kernel reported a fault on " + k.label, message: said(e)})
		}
	}
	for _, e := range m.merged {
		list = append(list, annotation{warning: true, title: "result streams", message: said(e)})
	}
	for _, e := range m.findings {
		a := annotation{warning: e.Code == nil, title: "blocklist", message: said(e)}
		if file, line, ok := place(e.Reason); ok {
			a.file, a.line = m.below(file), line
		}
		list = append(list, a)
	}
	return list
}

func said(e result.Event) string {
	return strings.TrimSpace(failure.Line(e.Reason) + "\n" + failure.Line(e.Hint))
}

// testAnnotations is one for each place in a test that something failed at,
// with the kernels it did so on, and the first of the subtests.
func (m *Matrix) testAnnotations(tests []*test, failedOn func(*test) []*kernel) []annotation {
	type failures struct {
		annotation
		top            *test
		tests, kernels []string
	}
	var all []*failures
	for _, t := range tests {
		for _, k := range failedOn(t) {
			cause := t.cell(k).cause()
			f := &failures{top: t.top(), annotation: annotation{
				file: m.source(t.pkg, cause.File), line: cause.Line, message: t.why(k),
			}}
			i := slices.IndexFunc(all, func(g *failures) bool { return g.top == f.top && g.file == f.file && g.line == f.line })
			if i < 0 {
				i = len(all)
				all = append(all, f)
			}
			all[i].tests, all[i].kernels = appendNew(all[i].tests, t.name), appendNew(all[i].kernels, k.label)
		}
	}
	var list []annotation
	for _, f := range all {
		f.title = f.tests[0]
		if n := len(f.tests) - 1; n > 0 {
			f.title += fmt.Sprintf(" and %d more", n)
		}
		f.title += " failed on " + strings.Join(f.kernels, ", ")
		list = append(list, f.annotation)
	}
	return list
}

// flakyAnnotations warn of tests that passed in a further attempt only.
func (m *Matrix) flakyAnnotations() []annotation {
	list := m.testAnnotations(m.rows(), func(t *test) []*kernel {
		return slices.DeleteFunc(slices.Clone(m.kernels), func(k *kernel) bool {
			c := t.cell(k)
			return c.outcome != flaky || len(c.earlier) == 0 || t.above && t.anyFlaky(t.name+"/", k)
		})
	})
	for i := range list {
		list[i].warning = true
		list[i].title += " and passed when it ran again"
	}
	return list
}

// anyFlaky reports whether a test whose name begins so is flaky.
func (p *pkg) anyFlaky(prefix string, k *kernel) bool {
	for name, t := range p.tests {
		if strings.HasPrefix(name, prefix) && t.cell(k).outcome == flaky {
			return true
		}
	}
	return false
}

// source is the file that a test's output names, relative to the checkout. go
// test prints a base name; that of a package whose place is not known is no use.
func (m *Matrix) source(p *pkg, file string) string {
	switch dir, known := m.run.Dirs[p.path]; {
	case file == "":
		return ""
	case path.IsAbs(file):
		if rel, ok := strings.CutPrefix(file, m.run.Root+"/"); ok && m.run.Root != "" {
			return rel
		}
		return ""
	case known:
		return path.Join(dir, file)
	}
	return ""
}

// below is a file that was named from where vmtest was run.
func (m *Matrix) below(file string) string {
	if path.IsAbs(file) {
		rel, ok := strings.CutPrefix(file, m.run.Root+"/")
		if !ok {
			return ""
		}
		return rel
	}
	file = path.Join(m.run.Dir, file)
	if strings.HasPrefix(file, "../") {
		return ""
	}
	return file
}

// positioned is what compilers, go vet and the blocklist say.
var positioned = regexp.MustCompile(`^([^\s:]+):(\d+)(?::\d+)?: `)

func place(line string) (file string, n int, ok bool) {
	match := positioned.FindStringSubmatch(line)
	if match == nil {
		return "", 0, false
	}
	n, err := strconv.Atoi(match[2])
	return match[1], n, err == nil
}

// buildAnnotation is about the first error of a build that has a place.
func (m *Matrix) buildAnnotation(p *pkg) annotation {
	a := annotation{title: p.path + " does not build", message: strings.Join(p.build, "\n")}
	for _, line := range p.build {
		if file, n, ok := place(strings.TrimPrefix(line, "vet: ")); ok {
			a.file, a.line, a.message = m.below(file), n, line
			break
		}
	}
	a.message = clip(failure.Line(a.message), 4*nameLimit)
	return a
}
