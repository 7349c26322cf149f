package report

import (
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bpf-vmtest/bpf-vmtest/internal/result"
)

// Event takes the next event of the stream.
func (m *Matrix) Event(e result.Event) error {
	switch e.Action {
	case result.Header:
		m.time, m.run, m.packages = e.Time, *e.Run, map[string]*pkg{}
		for _, name := range e.Run.Kernels {
			m.kernel(name)
		}
		for _, path := range e.Run.Packages {
			m.pkg(path)
		}
	case result.Kernel:
		if k := m.kernel(e.Kernel); k.machine == nil { // not one that it got to run tests again
			k.machine = e.Machine
		}
	case result.Splat:
		k := m.kernel(e.Kernel)
		k.splats = append(k.splats, e)
	case result.Lost:
		m.kernel(e.Kernel).lost = &e
	case result.Ended:
		k := m.kernel(e.Kernel)
		k.console, k.files = e.Console, e.Path
		if e.Elapsed != nil {
			k.elapsed += *e.Elapsed
		}
	case result.Coverage:
		m.coverage = &e.Percent
	case result.Finding:
		m.findings = append(m.findings, e)
	case result.Merged:
		m.merged = append(m.merged, e)
	case result.Verdict:
		m.verdict = &e
	case result.BuildOutput:
		p := m.pkg(e.ImportPath)
		p.build = append(p.build, strings.TrimSuffix(e.Output, "\n"))
	case result.BuildFail:
		m.pkg(e.ImportPath)
	case result.Run, result.Output, result.Pass, result.Fail, result.Skip, result.Blocked, result.NotRun, result.Files:
		m.tested(e)
	}
	return nil
}

// tested takes the events about tests and about packages as a whole.
func (m *Matrix) tested(e result.Event) {
	p := m.pkg(e.Package)
	if e.Kernel == "" {
		if e.FailedBuild != "" && len(p.build) == 0 {
			p.build = []string{"it does not build"}
		}
		p.untested = p.untested || e.Action == result.Skip
		return
	}
	c := m.cell(p, e)
	switch e.Action {
	case result.Output:
		if !framing(e) {
			c.printing.add(e.Output)
		}
	case result.Files:
		if max(e.Attempt, 1) == c.attempt {
			c.kept(e)
		}
	case result.Pass, result.Fail, result.Skip, result.Blocked, result.NotRun:
		c.ended(e)
		if c.outcome == flaky && e.Attempt > 1 {
			p.forgive(m.kernel(e.Kernel), e)
		}
		if e.Test == "" && e.Action == result.Pass {
			p.benchmarked(m.kernel(e.Kernel))
		}
	}
}

// framing reports whether an output is the testing package's own and repeats
// only what other events say.
func framing(e result.Event) bool {
	line := strings.TrimLeft(e.Output, " ")
	if e.Test == "" {
		return isSummary(line)
	}
	for _, verb := range []string{"=== RUN   ", "=== PAUSE ", "=== CONT  ", "--- PASS: ", "--- FAIL: ", "--- SKIP: "} {
		if rest, ok := strings.CutPrefix(line, verb); ok && strings.HasPrefix(rest, e.Test) {
			return true
		}
	}
	return false
}

func (m *Matrix) kernel(name string) *kernel {
	i := slices.IndexFunc(m.kernels, func(k *kernel) bool { return k.name == name })
	if i >= 0 {
		return m.kernels[i]
	}
	k := &kernel{name: name, column: len(m.kernels)}
	m.kernels = append(m.kernels, k)
	m.label()
	return k
}

// label gives the kernels short names, where those are all different.
func (m *Matrix) label() {
	users := map[string]int{}
	for _, k := range m.kernels {
		k.label = shortName(k.name)
		users[k.label]++
	}
	for _, k := range m.kernels {
		if users[k.label] > 1 {
			k.label = k.name
		}
	}
}

// shortName leaves out of ghcr.io/org/kernels:6.12@sha256:… what is the same
// for all kernels, most of the time.
func shortName(name string) string {
	short, _, _ := strings.Cut(name, "@")
	if strings.Count(short, "/") > 1 {
		short = path.Base(short)
	}
	return short
}

func (m *Matrix) pkg(path string) *pkg {
	p := m.packages[path]
	if p == nil {
		p = &pkg{path: path, tests: map[string]*test{}}
		m.packages[path] = p
	}
	return p
}

func (m *Matrix) cell(p *pkg, e result.Event) *cell {
	k := m.kernel(e.Kernel)
	cells := &p.cells
	if e.Test != "" {
		t := p.tests[e.Test]
		if t == nil {
			t = &test{pkg: p, name: e.Test}
			p.tests[e.Test] = t
			for i, c := range e.Test {
				if above := p.tests[e.Test[:i]]; c == '/' && above != nil {
					above.above = true
				}
			}
		}
		cells = &t.cells
	}
	for len(*cells) <= k.column {
		*cells = append(*cells, nil)
	}
	if (*cells)[k.column] == nil {
		(*cells)[k.column] = &cell{try: try{outcome: absent}}
	}
	return (*cells)[k.column]
}

// ended takes the end of a test.
func (c *cell) ended(e result.Event) {
	out := c.printing
	c.printing = output{}
	o := outcomeOf(e)
	if o == ok || o == skipped {
		out.shrink()
	}
	c.runs++
	if o == failed {
		c.failures++
	}
	t := try{outcome: o, attempt: max(e.Attempt, 1), reason: e.Reason, output: out}
	if e.Elapsed != nil {
		t.elapsed = *e.Elapsed
	}
	switch {
	case c.attempt == 0:
	case t.attempt > c.attempt && c.outcome.bad():
		if o == skipped {
			return // which is not to pass
		}
		c.earlier = append(c.earlier, c.try)
		if !o.bad() {
			t.outcome, t.output, t.files = flaky, c.output, c.files // what it printed when it failed
		}
	case o.rank() >= c.outcome.rank():
		return
	}
	c.try, c.block = t, e.Block
}

// kept takes what there is of a try that has just failed.
func (t *try) kept(e result.Event) {
	t.output.whole = outputFile(e)
	for _, name := range e.Files {
		t.files = append(t.files, filepath.Join(e.Path, name))
	}
}

// forgive makes subtests flaky that failed and did not come again when the test
// above them passed in a further attempt.
func (p *pkg) forgive(k *kernel, e result.Event) {
	for name, t := range p.tests {
		c := t.cell(k)
		if strings.HasPrefix(name, e.Test+"/") && c.outcome.bad() && c.attempt < e.Attempt {
			c.earlier = append(c.earlier, c.try)
			c.outcome, c.attempt, c.reason = flaky, e.Attempt, ""
		}
	}
}

func outcomeOf(e result.Event) outcome {
	switch e.Action {
	case result.Pass:
		return ok
	case result.Skip:
		return skipped
	case result.Blocked:
		return blocked
	case result.NotRun:
		return notRun
	}
	switch {
	case e.Block == nil:
		return failed
	case e.Block.Expect == "flaky":
		return flaky
	}
	return expected
}

// benchmarked ends the benchmarks of a package that passed: they report by a
// result only.
func (p *pkg) benchmarked(k *kernel) {
	for _, t := range p.tests {
		if c := t.cell(k); c.outcome == absent && c != nowhere && strings.HasPrefix(t.name, "Benchmark") {
			c.outcome, c.output, c.printing = measured, c.printing, output{}
			c.output.shrink()
		}
	}
}

// note is what the blocklist has to say about a cell.
func (c *cell) note() string { return note(c.block) }

func note(b *result.BlockInfo) string {
	if b == nil {
		return ""
	}
	s := b.Reason
	if b.Issue != "" {
		s += fmt.Sprintf(" (%s)", b.Issue)
	}
	if b.Where != "" {
		s += ", at " + b.Where
	}
	return s
}
