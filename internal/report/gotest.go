package report

import (
	"cmp"
	"io"
	"slices"
	"strings"

	"github.com/bpf-vmtest/bpf-vmtest/internal/result"
)

// GoTest renders a stream as go test -json would have printed it, for programs
// that read that, such as gotestsum, and know nothing of kernels. Where there
// are several, a package's name begins with its kernel's. What only our stream
// says is made the output and the end of a test, or of a package with the
// kernel's name.
type GoTest struct {
	out      result.Sink
	several  bool
	packages map[string]*goTestPackage // by the name that is printed
	troubles map[string][]result.Event // splats and losses, by kernel
	err      error
}

type goTestPackage struct {
	running []string // tests
}

// NewGoTest makes a sink that writes to w.
func NewGoTest(w io.Writer) *GoTest {
	return &GoTest{out: result.Encode(w), packages: map[string]*goTestPackage{}, troubles: map[string][]result.Event{}}
}

// Event takes the next event of the stream.
func (g *GoTest) Event(e result.Event) error {
	kernel := e.Kernel
	if g.several && kernel != "" && e.Package != "" {
		e.Package = kernel + " " + e.Package
	}
	switch e.Action {
	case result.Header:
		g.several = len(e.Run.Kernels) > 1
	case result.BuildOutput, result.BuildFail:
		g.emit(e)
	case result.Start:
		delete(g.packages, e.Package) // a further attempt is a run like the first
		g.start(e)
	case result.Run:
		g.run(e)
	case result.Output, result.Pause, result.Cont, result.Bench, result.Attr, result.Artifacts:
		g.start(e)
		g.emit(e)
	case result.Pass, result.Fail, result.Skip:
		g.end(e)
	case result.Blocked:
		g.say(e, "blocked: "+note(e.Block), result.Skip)
	case result.NotRun:
		g.say(e, "did not run: "+e.Reason, result.Fail)
	case result.Splat, result.Lost:
		g.troubles[kernel] = append(g.troubles[kernel], e)
	case result.Ended:
		g.kernel(kernel, e)
	}
	return g.err
}

// emit writes an event with go test's fields alone.
func (g *GoTest) emit(e result.Event) {
	e = result.Event{
		Time: e.Time, Action: e.Action, Package: e.Package, Test: e.Test, Elapsed: e.Elapsed, Output: e.Output,
		FailedBuild: e.FailedBuild, ImportPath: e.ImportPath, Key: e.Key, Value: e.Value, Path: e.Path,
	}
	g.err = cmp.Or(g.err, g.out.Event(e))
}

// start makes sure that an event's package has started.
func (g *GoTest) start(e result.Event) *goTestPackage {
	p := g.packages[e.Package]
	if p == nil {
		p = &goTestPackage{}
		g.packages[e.Package] = p
		g.emit(result.Event{Time: e.Time, Action: result.Start, Package: e.Package})
	}
	return p
}

func (g *GoTest) run(e result.Event) {
	p := g.start(e)
	p.running = append(p.running, e.Test)
	g.emit(result.Event{Time: e.Time, Action: result.Run, Package: e.Package, Test: e.Test})
}

func (g *GoTest) end(e result.Event) {
	p := g.start(e)
	if e.Test == "" && e.Action == result.Pass {
		for _, test := range p.running { // benchmarks, which end without saying so
			g.emit(result.Event{Time: e.Time, Action: result.Pass, Package: e.Package, Test: test})
		}
	}
	p.running = slices.DeleteFunc(p.running, func(test string) bool { return test == e.Test })
	switch {
	case e.Action == result.Fail && e.Block != nil:
		g.output(e, "    failed as expected: "+note(e.Block))
		e.Action = result.Pass
	case e.Reason != "":
		g.output(e, e.Reason)
	}
	g.emit(e)
}

func (g *GoTest) output(e result.Event, lines ...string) {
	for _, line := range lines {
		g.emit(result.Event{Time: e.Time, Action: result.Output, Package: e.Package, Test: e.Test, Output: strings.TrimSuffix(line, "\n") + "\n"})
	}
}

// say ends a test that did not run, or a package, with the reason.
func (g *GoTest) say(e result.Event, why string, end result.Action) {
	if e.Test != "" {
		g.run(e)
	}
	g.start(e)
	g.output(e, "    "+why)
	e.Action, e.Reason, e.Block, e.Elapsed = end, "", nil, new(0.0)
	g.end(e)
}

// kernel reports a kernel's troubles as a package of its name.
func (g *GoTest) kernel(name string, e result.Event) {
	if len(g.troubles[name]) == 0 {
		return
	}
	e = result.Event{Time: e.Time, Action: result.Pass, Package: name, Elapsed: e.Elapsed}
	g.start(e)
	for _, trouble := range g.troubles[name] {
		g.output(e, append([]string{trouble.Reason}, trouble.Report()...)...)
		if trouble.Code != nil {
			e.Action = result.Fail
		}
	}
	delete(g.troubles, name)
	g.end(e)
}
