// Package result is the one stream of events that a run produces and every
// report is rendered from.
//
// On disk it is JSON lines. Events about tests are those of go test -json (see
// go doc test2json) with the kernel's name added, so tools that read that
// format can read ours; they ignore the actions they do not know. The first
// line names the protocol's version. docs/results.md describes it for users.
package result

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"
)

// Protocol is the version of the stream. It grows when a reader of the old one
// would misunderstand the new one.
const Protocol = 1

// An Action says what an event is about.
type Action string

// Actions of go test -json.
const (
	Start       Action = "start" // a package's test binary is about to run
	Run         Action = "run"   // a test has started
	Pause       Action = "pause"
	Cont        Action = "cont"
	Pass        Action = "pass"
	Bench       Action = "bench"
	Fail        Action = "fail"
	Skip        Action = "skip" // the test skipped itself, or a package has no tests
	Output      Action = "output"
	Attr        Action = "attr"
	Artifacts   Action = "artifacts"
	BuildOutput Action = "build-output"
	BuildFail   Action = "build-fail"
)

// Our own actions.
const (
	Header   Action = "vmtest"   // the first event: Header
	Kernel   Action = "kernel"   // a kernel has booted: Machine
	Setup    Action = "setup"    // -setup-cmd has printed Output
	Teardown Action = "teardown" // -teardown-cmd has printed Output
	Blocked  Action = "blocked"  // a test was not run, or may fail, by the blocklist: Block
	NotRun   Action = "notrun"   // an expected test did not report: Reason
	Splat    Action = "splat"    // the kernel reported a fault: Reason, Fingerprint, Lines
	Lost     Action = "lost"     // the kernel cannot go on: Reason, Lines, Hint
	Files    Action = "files"    // what was kept of a test or a package: Path, Files; Reason for what was not
	Ended    Action = "ended"    // nothing more comes of this kernel: Elapsed, Console, Path
	Coverage Action = "coverage" // of all packages and kernels: Percent
	Finding  Action = "finding"  // something about the blocklist: Reason, Hint
	Merged   Action = "merged"   // something about streams that were joined: Reason, Hint
	Verdict  Action = "verdict"  // the last event: Code, Elapsed
)

// An Event is one line of the stream. Which fields are set depends on the
// action.
type Event struct {
	Time    time.Time `json:",omitzero"`
	Action  Action
	Kernel  string   `json:",omitempty"` // its name, in every event about one
	Package string   `json:",omitempty"`
	Test    string   `json:",omitempty"`
	Attempt int      `json:",omitempty"` // of what is run again after it failed: from 2
	Elapsed *float64 `json:",omitempty"` // seconds
	Output  string   `json:",omitempty"`

	FailedBuild string `json:",omitempty"`
	ImportPath  string `json:",omitempty"` // of build-output and build-fail
	Key, Value  string `json:",omitempty"` // of attr
	Path        string `json:",omitempty"` // a directory: of artifacts, files, ended

	Reason  string   `json:",omitempty"`
	Hint    string   `json:",omitempty"`
	Lines   []string `json:",omitempty"`
	Source  []string `json:",omitempty"` // of splat and lost: where in the kernel's source the functions in Lines were
	Console string   `json:",omitempty"` // path of the console's file
	Files   []string `json:",omitempty"` // of files, relative to Path
	// Fingerprint of a splat is the same each time the same fault is reported.
	Fingerprint string  `json:",omitempty"`
	Code        *int    `json:",omitempty"` // exit code: of the verdict, or what lost, splat or finding alone would make it
	Percent     float64 `json:",omitempty"` // of coverage: statements that ran

	Run     *RunInfo     `json:",omitempty"`
	Machine *MachineInfo `json:",omitempty"`
	Block   *BlockInfo   `json:",omitempty"`
}

// Report is what the console has to say, for people: Lines, and then Source.
func (e Event) Report() []string { return slices.Concat(e.Lines, e.Source) }

// RunInfo heads a stream.
type RunInfo struct {
	Protocol int
	Version  string // of vmtest
	Go       string // of the toolchain that compiled the tests
	QEMU     string `json:",omitempty"`
	Args     []string
	Kernels  []string // their names, in the order in which they were asked for
	Packages []string
	Command  string     `json:",omitempty"` // that was run instead of tests
	Shard    *ShardInfo `json:",omitempty"` // nil: all of the tests

	Root string            `json:",omitempty"` // the checkout, or the module where there is none
	Dir  string            `json:",omitempty"` // where vmtest was run, relative to Root
	Dirs map[string]string `json:",omitempty"` // of packages, relative to Root; without those outside it
	// Bundle is the directory of all files that were kept.
	Bundle string `json:",omitempty"`
}

// ShardInfo says which part of the tests a run had.
type ShardInfo struct {
	Index, Count int    // the second of five is 2, 5
	Plan         string // digest of how the tests were split: the same in shards that belong together
	Tests        int    // how many there are in this one
}

// MachineInfo is what a kernel ran on.
type MachineInfo struct {
	Release string // uname -r
	Digest  string
	Arch    string
	Accel   string // kvm or tcg
	Note    string `json:",omitempty"` // why that accelerator
	// Without is what the guest lacks because the kernel does not have it,
	// such as a file system, as errors of mounting it.
	Without   []string `json:",omitempty"`
	CPUs      int
	MemoryMiB int
	Boot      float64 // seconds until commands could run
	Warm      bool    `json:",omitempty"` // it was started from a saved machine
}

// BlockInfo is the blocklist's entry about a test. Beside a pass it is one that
// expected a failure.
type BlockInfo struct {
	Expect string // skip, fail or flaky
	Reason string
	Issue  string `json:",omitempty"`
	Where  string // file:line
}

// A Sink takes the events of a run, in order. It is called by one goroutine at
// a time.
type Sink interface {
	Event(Event) error
}

// SinkFunc makes a Sink of a function.
type SinkFunc func(Event) error

// Event calls f.
func (f SinkFunc) Event(e Event) error { return f(e) }

// Encode returns a sink that writes the stream to w.
func Encode(w io.Writer) Sink {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return SinkFunc(func(e Event) error { return enc.Encode(e) })
}

// Decode reads a recorded stream into a sink. A stream that does not begin with
// a header of a version it knows is an error.
func Decode(r io.Reader, sink Sink) error {
	d := decoder{r: bufio.NewReader(r)}
	for {
		e, err := d.next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if err := sink.Event(e); err != nil {
			return err
		}
	}
}

// A decoder reads a stream event by event.
type decoder struct {
	r    *bufio.Reader
	line int
	cut  bool // the last line has no end
}

// next returns io.EOF behind the last event.
func (d *decoder) next() (e Event, err error) {
	line, err := d.r.ReadBytes('\n')
	if err != nil && err != io.EOF {
		return e, fmt.Errorf("read result stream: %w", err)
	}
	if len(line) == 0 {
		if d.line == 0 {
			return e, fmt.Errorf("read result stream: it is empty")
		}
		return e, io.EOF
	}
	d.line, d.cut = d.line+1, err == io.EOF
	if err := json.Unmarshal(line, &e); err != nil {
		return e, fmt.Errorf("read result stream: line %d: %w", d.line, err)
	}
	if d.line == 1 && (e.Action != Header || e.Run == nil || e.Run.Protocol != Protocol) {
		return e, fmt.Errorf("read result stream: line 1 is not the header of a stream of version %d", Protocol)
	}
	if what := e.lacks(); what != "" {
		return e, fmt.Errorf("read result stream: line %d: %s without %s", d.line, e.Action, what)
	}
	return e, nil
}

// lacks names what an event must have and has not.
func (e Event) lacks() string {
	switch {
	case e.Action == Header && e.Run == nil:
		return "Run"
	case e.Action == Kernel && e.Machine == nil:
		return "Machine"
	case e.Action == Blocked && e.Block == nil:
		return "Block"
	case (e.Action == Lost || e.Action == Verdict) && e.Code == nil:
		return "Code"
	}
	return ""
}

// Seconds is d as an event's Elapsed.
func Seconds(d time.Duration) *float64 {
	s := float64(d.Round(time.Millisecond)/time.Millisecond) / 1000 // Duration.Seconds gives 1.2349999999999999
	return &s
}
