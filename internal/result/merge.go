package result

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// A Source is a recorded stream that is to be joined with others.
type Source struct {
	Name string // in messages
	R    io.Reader
}

// Merge joins the streams of several runs, such as the legs of a CI matrix or
// the shards of one, into the stream of one run. Its kernels are those of
// expect, then the others in the order of the sources.
//
// What does not fit together is said in merged events. An expected kernel that
// no source has is lost, and so is one whose stream ends before its verdict:
// what did not report there has not run.
func Merge(sources []Source, expect []string, sink Sink) error {
	m := merger{sink: sink, kernels: map[string]*mergedKernel{}, tests: map[testKey]*mergedTest{}, reasons: map[string]bool{}, common: map[commonKey]*leg{}}
	for _, s := range sources {
		leg := &leg{name: s.Name, d: decoder{r: bufio.NewReader(s.R)}, open: map[string]bool{}, running: map[testKey]bool{}}
		e, err := leg.d.next()
		if err != nil {
			return fmt.Errorf("%s: %w", s.Name, err)
		}
		leg.header = e
		m.legs = append(m.legs, leg)
	}
	if len(m.legs) == 0 {
		return fmt.Errorf("read result stream: there is none")
	}
	m.header(expect)
	for _, leg := range m.legs {
		if err := m.leg(leg); err != nil {
			return fmt.Errorf("%s: %w", leg.name, err)
		}
	}
	m.missing(expect)
	m.shards()
	m.duplicates()
	m.end()
	return m.err
}

// codeInfra is the exit code of a run whose kernel was lost, see
// docs/results.md.
const codeInfra = 3

type testKey struct{ kernel, pkg, test string }

// A commonKey is an event about a package that does not build or has no tests.
type commonKey struct {
	action                  Action
	pkg, importPath, output string
}

type merger struct {
	sink    Sink
	err     error
	legs    []*leg
	kernels map[string]*mergedKernel
	tests   map[testKey]*mergedTest
	order   []testKey // of tests
	reasons map[string]bool
	common  map[commonKey]*leg // events about no kernel, which every leg has

	findings map[string]bool
	coverage []Event
	code     int
	why      []string
	elapsed  float64
}

// A leg is one of the streams.
type leg struct {
	name    string
	d       decoder
	header  Event
	open    map[string]bool  // kernels that have not ended
	running map[testKey]bool // tests and, without a test's name, packages
	verdict bool
}

type mergedKernel struct {
	machine *MachineInfo
	leg     *leg
}

// A mergedTest is what the legs say of a top-level test on a kernel.
type mergedTest struct {
	legs     []*leg
	outcomes []Action
}

func (m *merger) emit(e Event) {
	if m.err == nil {
		m.err = m.sink.Event(e)
	}
}

func (m *merger) say(hint, format string, args ...any) {
	m.emit(Event{Action: Merged, Reason: fmt.Sprintf(format, args...), Hint: hint})
}

// header heads the joined stream with what the legs have in common.
func (m *merger) header(expect []string) {
	first := m.legs[0]
	info := *first.header.Run
	info.Kernels, info.Packages, info.Dirs = slices.Clone(expect), nil, map[string]string{}
	info.Shard = nil
	for _, leg := range m.legs {
		run := leg.header.Run
		info.Kernels = union(info.Kernels, run.Kernels)
		info.Packages = union(info.Packages, run.Packages)
		maps.Copy(info.Dirs, run.Dirs)
		if !slices.Equal(info.Args, run.Args) {
			info.Args = nil
		}
	}
	m.emit(Event{Time: first.header.Time, Action: Header, Run: &info})
	for _, leg := range m.legs[1:] {
		run := leg.header.Run
		for _, v := range []struct{ what, one, other string }{
			{"vmtest", info.Version, run.Version}, {"Go", info.Go, run.Go}, {"QEMU", info.QEMU, run.QEMU},
		} {
			if v.one != v.other {
				m.say("", "%s is %s in %s and %s in %s", v.what, v.one, first.name, v.other, leg.name)
			}
		}
	}
}

func union(list, more []string) []string {
	for _, s := range more {
		if !slices.Contains(list, s) {
			list = append(list, s)
		}
	}
	return list
}

// leg passes on the events of one stream, and ends it if it does not end by
// itself.
func (m *merger) leg(l *leg) error {
	for _, k := range l.header.Run.Kernels {
		l.open[k] = true
	}
	for {
		e, err := l.d.next()
		if err == io.EOF || err != nil && l.d.cut && !l.verdict {
			break
		}
		if err != nil {
			return err
		}
		m.event(l, e)
	}
	if !l.verdict {
		m.torn(l)
	}
	return nil
}

func (m *merger) event(l *leg, e Event) {
	key := testKey{e.Kernel, e.Package, e.Test}
	if m.repeated(l, e) {
		return
	}
	switch e.Action {
	case Header:
		return
	case Verdict:
		l.verdict = true
		m.verdict(*e.Code, e.Reason)
		if e.Elapsed != nil {
			m.elapsed = max(m.elapsed, *e.Elapsed)
		}
		return
	case Coverage:
		m.coverage = append(m.coverage, e)
		return
	case Finding:
		if m.seen(e.Reason) {
			return // about an entry, not about a kernel
		}
	case Kernel:
		m.booted(l, e)
	case Ended:
		delete(l.open, e.Kernel)
	case Start, Run:
		l.running[key] = true
	case Pass, Fail, Skip, Blocked, NotRun:
		delete(l.running, key)
		m.outcome(l, key, e)
	}
	m.emit(e)
}

// repeated reports whether an event about no kernel says what another leg has
// said.
func (m *merger) repeated(l *leg, e Event) bool {
	if e.Kernel != "" || e.Package == "" && e.ImportPath == "" {
		return false
	}
	key := commonKey{e.Action, e.Package, e.ImportPath, e.Output}
	if m.common[key] == nil {
		m.common[key] = l
	}
	return m.common[key] != l
}

func (m *merger) seen(finding string) bool {
	if m.findings == nil {
		m.findings = map[string]bool{}
	}
	seen := m.findings[finding]
	m.findings[finding] = true
	return seen
}

func (m *merger) verdict(code int, reason string) {
	m.code = max(m.code, code)
	if reason != "" && !m.reasons[reason] {
		m.reasons[reason] = true
		m.why = append(m.why, reason)
	}
}

// booted holds a kernel against what another leg had under its name.
func (m *merger) booted(l *leg, e Event) {
	old := m.kernels[e.Kernel]
	if old == nil || old.leg == l {
		m.kernels[e.Kernel] = &mergedKernel{e.Machine, l}
		return
	}
	for _, v := range []struct{ one, other string }{
		{old.machine.Digest, e.Machine.Digest}, {old.machine.Arch, e.Machine.Arch}, {old.machine.Accel, e.Machine.Accel},
	} {
		if v.one != v.other {
			m.say("name kernels by digest, so that all legs run the same", "%s is %s in %s and %s in %s",
				e.Kernel, v.one, old.leg.name, v.other, l.name)
		}
	}
}

func (m *merger) outcome(l *leg, key testKey, e Event) {
	if key.kernel == "" || key.test == "" || strings.Contains(key.test, "/") {
		return
	}
	t := m.tests[key]
	if t == nil {
		t = &mergedTest{}
		m.tests[key] = t
		m.order = append(m.order, key)
	}
	if last := len(t.legs) - 1; last >= 0 && t.legs[last] == l {
		t.outcomes[last] = e.Action // again, with -count or after a failure
		return
	}
	t.legs, t.outcomes = append(t.legs, l), append(t.outcomes, e.Action)
}

// torn ends a stream that has no verdict: vmtest was killed, or the file was
// cut.
func (m *merger) torn(l *leg) {
	reason := "the result stream " + l.name + " has no end: vmtest was killed, or the file is not whole"
	keys := slices.SortedFunc(maps.Keys(l.running), func(a, b testKey) int {
		return cmp.Or(strings.Compare(a.kernel, b.kernel), strings.Compare(a.pkg, b.pkg), strings.Compare(b.test, a.test))
	})
	for _, k := range keys { // subtests, then their parents, then the package
		if k.test == "" && k.kernel == "" {
			continue
		}
		e := Event{Action: Fail, Kernel: k.kernel, Package: k.pkg, Test: k.test, Reason: reason}
		m.outcome(l, k, e)
		m.emit(e)
	}
	for _, k := range l.header.Run.Kernels {
		if l.open[k] {
			m.lost(k, reason)
		}
	}
	m.verdict(codeInfra, "a result stream has no end")
}

func (m *merger) lost(kernel, reason string) {
	m.emit(Event{Action: Lost, Kernel: kernel, Reason: reason, Code: new(codeInfra)})
	m.emit(Event{Action: Ended, Kernel: kernel})
}

// missing reports the expected kernels that no leg ran, and as not run there
// what the legs ran elsewhere.
func (m *merger) missing(expect []string) {
	for _, kernel := range expect {
		if slices.ContainsFunc(m.legs, func(l *leg) bool { return slices.Contains(l.header.Run.Kernels, kernel) }) {
			continue
		}
		const reason = "no result stream has it"
		m.lost(kernel, reason)
		seen := map[testKey]bool{}
		for _, key := range m.order {
			key.kernel = kernel
			if !seen[key] {
				seen[key] = true
				m.emit(Event{Action: NotRun, Kernel: kernel, Package: key.pkg, Test: key.test, Reason: reason})
			}
		}
		m.verdict(codeInfra, "not every expected kernel was run")
	}
}

// shards makes sure that all shards of a split are there, on each kernel that
// has one, and that they are of the same split.
func (m *merger) shards() {
	var kernels []string
	first := map[string]*leg{} // by kernel
	seen := map[string]map[int]bool{}
	for _, l := range m.legs {
		s := l.header.Run.Shard
		if s == nil {
			continue
		}
		for _, k := range l.header.Run.Kernels {
			if first[k] == nil {
				kernels, first[k], seen[k] = append(kernels, k), l, map[int]bool{}
			}
			seen[k][s.Index] = true
			if one := first[k].header.Run.Shard; one.Plan != s.Plan || one.Count != s.Count {
				m.say("give all shards the same tests and -shard-durations", "%s: the tests are not split in the same way in %s and in %s", k, first[k].name, l.name)
				m.verdict(codeInfra, "the shards do not belong together")
			}
		}
	}
	for _, k := range kernels {
		for i := 1; i <= first[k].header.Run.Shard.Count; i++ {
			if !seen[k][i] {
				m.say("", "%s: no result stream has shard %d of %d", k, i, first[k].header.Run.Shard.Count)
				m.verdict(codeInfra, "not every shard was run")
			}
		}
	}
}

// duplicates names the tests that legs disagree about, and counts those that
// they merely repeated.
func (m *merger) duplicates() {
	repeated, repeating := 0, map[*leg]bool{}
	for _, key := range m.order {
		t := m.tests[key]
		if len(t.legs) < 2 {
			continue
		}
		names := make([]string, len(t.legs))
		same := true
		for i, l := range t.legs {
			names[i] = fmt.Sprintf("%s in %s", t.outcomes[i], l.name)
			same = same && t.outcomes[i] == t.outcomes[0]
		}
		if !same {
			m.say("the worst counts; a test belongs into one stream", "%s of %s on %s: %s", key.test, key.pkg, key.kernel, strings.Join(names, ", "))
			continue
		}
		if t.outcomes[0] == Blocked {
			continue // every shard says so
		}
		repeated++
		for _, l := range t.legs {
			repeating[l] = true
		}
	}
	if repeated > 0 {
		var names []string
		for _, l := range m.legs {
			if repeating[l] {
				names = append(names, l.name)
			}
		}
		m.say("", "the same in more than one stream: %d tests, in %s", repeated, strings.Join(names, ", "))
	}
}

func (m *merger) end() {
	switch len(m.coverage) {
	case 0:
	case 1:
		m.emit(m.coverage[0])
	default:
		m.say("add up the files of -coverprofile", "the coverage of %d streams is not known together", len(m.coverage))
	}
	m.emit(Event{Action: Verdict, Code: &m.code, Reason: strings.Join(m.why, "; "), Elapsed: &m.elapsed})
}
