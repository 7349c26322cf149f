package report

import (
	"cmp"
	"encoding/xml"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/bpf-vmtest/bpf-vmtest/internal/failure"
	"github.com/bpf-vmtest/bpf-vmtest/internal/result"
)

// The elements of JUnit's XML, as far as its readers agree about them.
type (
	junitSuites struct {
		XMLName xml.Name `xml:"testsuites"`
		Name    string   `xml:"name,attr"`
		junitCounts
		Suites []*junitSuite `xml:"testsuite"`
	}
	junitCounts struct {
		Tests    int    `xml:"tests,attr"`
		Failures int    `xml:"failures,attr"`
		Errors   int    `xml:"errors,attr"`
		Time     string `xml:"time,attr"` // seconds
	}
	junitSuite struct {
		Name string `xml:"name,attr"`
		junitCounts
		Skipped    int              `xml:"skipped,attr"`
		Properties *junitProperties `xml:"properties"`
		Cases      []*junitCase     `xml:"testcase"`

		seconds float64
	}
	junitProperties struct {
		Properties []junitProperty `xml:"property"`
	}
	junitProperty struct {
		Name  string `xml:"name,attr"`
		Value string `xml:"value,attr"`
	}
	junitCase struct {
		Class   string       `xml:"classname,attr"`
		Name    string       `xml:"name,attr"`
		Time    string       `xml:"time,attr"` // seconds
		File    string       `xml:"file,attr,omitempty"`
		Line    int          `xml:"line,attr,omitempty"`
		Failure *junitDetail `xml:"failure"`
		Error   *junitDetail `xml:"error"`
		Skipped *junitDetail `xml:"skipped"`
		Reruns  []*junitRerun
		Output  *junitOutput `xml:"system-out"`
	}
	// junitRerun is an attempt that failed, of several, as surefire has it: a
	// flakyFailure or flakyError where the last one passed; where that failed,
	// too, the first is the failure, and the others are a rerunFailure or
	// rerunError each.
	junitRerun struct {
		XMLName xml.Name
		Message string      `xml:"message,attr"`
		Type    string      `xml:"type,attr"`
		Trace   junitOutput `xml:"stackTrace"`
	}
	junitDetail struct {
		Message string `xml:"message,attr"`
		Type    string `xml:"type,attr,omitempty"`
		Text    string `xml:",cdata"`
	}
	junitOutput struct {
		Text string `xml:",cdata"`
	}
)

// WriteJUnit writes the matrix as JUnit's XML: a suite for each kernel and
// package. A failure is an assertion's; what happened to a test, such as the
// loss of its kernel, is an error.
//
// A suite's name is also the class of its tests, because readers put together
// what has the same class and name.
func (m *Matrix) WriteJUnit(w io.Writer) error {
	all := junitSuites{Name: "vmtest"}
	for _, p := range m.pkgs() {
		if len(p.build) > 0 {
			s := &junitSuite{Name: p.path}
			s.add(&junitCase{Name: "build", Error: &junitDetail{Message: "it does not build", Text: junitText(strings.Join(p.build, "\n"))}})
			all.add(s)
		}
	}
	for _, k := range m.kernels {
		all.add(m.junitKernel(k))
		for _, p := range m.pkgs() {
			all.add(m.junitPackage(k, p))
		}
	}
	if m.verdict != nil && m.verdict.Elapsed != nil {
		all.Time = junitSeconds(*m.verdict.Elapsed)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	enc := xml.NewEncoder(w)
	enc.Indent("", "  ")
	if err := enc.Encode(all); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func (all *junitSuites) add(s *junitSuite) {
	if len(s.Cases) == 0 {
		return
	}
	s.Time = junitSeconds(s.seconds)
	all.Suites = append(all.Suites, s)
	all.Tests += s.Tests
	all.Failures += s.Failures
	all.Errors += s.Errors
}

func (s *junitSuite) add(c *junitCase) {
	c.Class, c.Time = s.Name, cmp.Or(c.Time, junitSeconds(0))
	s.Cases = append(s.Cases, c)
	s.Tests++
	switch {
	case c.Failure != nil:
		s.Failures++
	case c.Error != nil:
		s.Errors++
	case c.Skipped != nil:
		s.Skipped++
	}
}

func junitSeconds(s float64) string { return fmt.Sprintf("%.3f", s) }

// junitKernel is what a kernel has to say for itself; nothing where all is well.
func (m *Matrix) junitKernel(k *kernel) *junitSuite {
	s := &junitSuite{Name: k.name, Properties: k.properties()}
	if k.lost != nil {
		s.add(&junitCase{Name: "kernel", Error: detail(*k.lost)})
	}
	for i, e := range k.splats {
		c := &junitCase{Name: fmt.Sprintf("fault %d", i+1)}
		if d := detail(e); e.Code != nil {
			c.Failure = d
		} else {
			c.Output = &junitOutput{d.Message + "\n" + d.Text}
		}
		s.add(c)
	}
	return s
}

func detail(e result.Event) *junitDetail {
	return &junitDetail{Message: failure.Line(e.Reason), Text: junitText(strings.Join(append(e.Report(), e.Hint), "\n"))}
}

func (k *kernel) properties() *junitProperties {
	list := []junitProperty{{"kernel", k.name}}
	if m := k.machine; m != nil {
		list = append(list, junitProperty{"release", m.Release}, junitProperty{"digest", m.Digest},
			junitProperty{"arch", m.Arch}, junitProperty{"accelerator", m.Accel})
	}
	return &junitProperties{list}
}

func (m *Matrix) junitPackage(k *kernel, p *pkg) *junitSuite {
	s := &junitSuite{Name: k.name + " " + p.path, Properties: k.properties(), seconds: p.on(k).elapsed}
	for _, t := range p.rows() {
		if c := t.cell(k); c.outcome != absent {
			s.add(m.junitTest(t, k))
		}
	}
	if c := p.on(k); c.outcome == failed && k.lost == nil && !p.anyFailed("", k) {
		s.add(&junitCase{Name: "package", Error: &junitDetail{Message: cmp.Or(c.reason, "it failed as a whole"), Text: junitText(c.output.text())}})
	}
	return s
}

func (m *Matrix) junitTest(t *test, k *kernel) *junitCase {
	c := t.cell(k)
	j := &junitCase{Name: t.name, Time: junitSeconds(c.elapsed)}
	switch c.outcome {
	case failed, notRun:
		tries := append(slices.Clone(c.earlier), c.try)
		m.junitFailure(j, t, k, &tries[0])
		for i := range tries[1:] {
			j.rerun("rerun", t, k, &tries[i+1])
		}
	case blocked:
		j.Skipped = &junitDetail{Message: "blocked: " + c.note()}
	case skipped:
		j.Skipped = &junitDetail{Message: cmp.Or(c.cause().Message, "skipped")}
	case expected:
		j.Output = printed("failed as expected: "+c.note()+"\n", c)
	case flaky:
		for i := range c.earlier {
			j.rerun("flaky", t, k, &c.earlier[i])
		}
		if j.Reruns == nil {
			j.Output = printed(c.whyFlaky()+"\n", c)
		}
	default:
		j.Output = printed("", c)
	}
	return j
}

// junitFailure is the failure, or the error, of a test.
func (m *Matrix) junitFailure(j *junitCase, t *test, k *kernel, failure *try) {
	cause := failure.cause()
	if j.File = m.source(t.pkg, cause.File); j.File != "" {
		j.Line = cause.Line
	}
	d := &junitDetail{Message: t.whyOf(failure, k), Text: junitText(failure.output.text())}
	if failure.isError() {
		j.Error = d
	} else {
		j.Failure = d
	}
}

// rerun adds a failed attempt: kind is flaky or rerun.
func (j *junitCase) rerun(kind string, t *test, k *kernel, failure *try) {
	name := kind + "Failure"
	if failure.isError() {
		name = kind + "Error"
	}
	j.Reruns = append(j.Reruns, &junitRerun{
		XMLName: xml.Name{Local: name}, Message: t.whyOf(failure, k),
		Type: fmt.Sprintf("attempt %d", failure.attempt), Trace: junitOutput{junitText(failure.output.text())},
	})
}

// isError reports whether something happened to a test that it did not say
// itself.
func (t *try) isError() bool { return t.outcome == notRun || t.reason != "" }

func printed(before string, c *cell) *junitOutput {
	if before == "" && c.output.empty() {
		return nil
	}
	return &junitOutput{junitText(before + c.output.text())}
}

// junitText leaves out what XML cannot hold, and what no reader would show.
func junitText(s string) string {
	return strings.NewReplacer("\r", "", "\v", " ", "\f", " ").Replace(failure.Printable(s))
}
