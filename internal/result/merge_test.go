package result

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// stream writes a stream of events in the short notation of [events].
func stream(t *testing.T, run RunInfo, lines ...string) string {
	t.Helper()
	var b bytes.Buffer
	sink := Encode(&b)
	run.Protocol = Protocol
	for _, e := range append([]Event{{Action: Header, Run: &run}}, events(t, lines)...) {
		if err := sink.Event(e); err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

// events reads "action kernel package test", a dash for what is left out; of a
// kernel the last word is its digest, of a verdict the first its code.
func events(t *testing.T, lines []string) []Event {
	var list []Event
	for _, line := range lines {
		w := append(strings.Fields(strings.ReplaceAll(line, " -", " \x00")), "", "", "")
		for i := range w {
			w[i] = strings.Trim(w[i], "\x00")
		}
		e := Event{Action: Action(w[0]), Kernel: w[1], Package: w[2], Test: w[3]}
		switch e.Action {
		case Kernel:
			e.Machine, e.Package = &MachineInfo{Digest: w[2]}, ""
		case Verdict:
			var code int
			if _, err := fmt.Sscan(w[1], &code); err != nil {
				t.Fatal(err)
			}
			e.Code, e.Kernel, e.Package, e.Elapsed = &code, "", "", new(float64(10+code))
		case Finding, Splat:
			e.Reason, e.Package = w[2], ""
		case Coverage:
			e.Percent = 50
		case Blocked:
			e.Block = &BlockInfo{Expect: "skip"}
		}
		list = append(list, e)
	}
	return list
}

// merged is what Merge makes of streams, in the notation of events, with the
// reasons.
func merged(t *testing.T, expect []string, streams ...string) []string {
	t.Helper()
	var sources []Source
	for i, s := range streams {
		sources = append(sources, Source{Name: fmt.Sprintf("%c.jsonl", 'a'+i), R: strings.NewReader(s)})
	}
	var lines []string
	err := Merge(sources, expect, SinkFunc(func(e Event) error {
		words := []string{string(e.Action)}
		for _, w := range []string{e.Kernel, e.Package, e.Test, e.Reason} {
			if w != "" {
				words = append(words, w)
			}
		}
		switch {
		case e.Run != nil:
			words = append(words, fmt.Sprint(e.Run.Kernels, e.Run.Packages, e.Run.Args))
		case e.Machine != nil:
			words = append(words, e.Machine.Digest)
		case e.Action == Verdict:
			words = append(words, fmt.Sprint(*e.Code, *e.Elapsed))
		}
		lines = append(lines, strings.Join(words, " "))
		return nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

func TestMerge(t *testing.T) {
	legA := RunInfo{Version: "v1", Args: []string{"./..."}, Kernels: []string{"a"}, Packages: []string{"m"}}
	legB := RunInfo{Version: "v1", Args: []string{"./..."}, Kernels: []string{"b"}, Packages: []string{"m", "n"}}
	otherVersion := legB
	otherVersion.Version, otherVersion.Args = "v2", nil
	for _, tt := range []struct {
		name    string
		expect  []string
		streams []string
		want    []string
	}{
		{
			name: "one stream is itself",
			streams: []string{stream(t, legA, "kernel a 1", "start a m", "run a m T", "pass a m T", "pass a m",
				"ended a", "coverage", "finding - x", "verdict 0")},
			want: []string{"vmtest [a] [m] [./...]", "kernel a 1", "start a m", "run a m T", "pass a m T", "pass a m",
				"ended a", "finding x", "coverage", "verdict 0 10"},
		},
		{
			name:   "two legs, the expected order",
			expect: []string{"b", "a"},
			streams: []string{
				stream(t, legA, "kernel a 1", "run a m T", "pass a m T", "pass a m", "ended a", "finding - x", "verdict 0"),
				stream(t, legB, "kernel b 2", "run b m T", "fail b m T", "fail b m", "ended b", "finding - x", "verdict 1"),
			},
			want: []string{"vmtest [b a] [m n] [./...]",
				"kernel a 1", "run a m T", "pass a m T", "pass a m", "ended a", "finding x",
				"kernel b 2", "run b m T", "fail b m T", "fail b m", "ended b", "verdict 1 11"},
		},
		{
			name:    "versions",
			streams: []string{stream(t, legA, "ended a", "verdict 0"), stream(t, otherVersion, "ended b", "verdict 0")},
			want: []string{"vmtest [a b] [m n] []", "merged vmtest is v1 in a.jsonl and v2 in b.jsonl",
				"ended a", "ended b", "verdict 0 10"},
		},
		{
			name:    "a leg that never came",
			expect:  []string{"a", "c"},
			streams: []string{stream(t, legA, "run a m T", "run a m T/sub", "pass a m T/sub", "pass a m T", "pass a m", "ended a", "verdict 0")},
			want: []string{"vmtest [a c] [m] [./...]", "run a m T", "run a m T/sub", "pass a m T/sub", "pass a m T", "pass a m", "ended a",
				"lost c no result stream has it", "ended c", "notrun c m T no result stream has it",
				"verdict not every expected kernel was run 3 10"},
		},
		{
			name: "a stream without an end",
			streams: []string{stream(t, legA, "kernel a 1", "start a m", "run a m S", "pass a m S", "run a m T", "run a m T/sub") + `{"Action":"pa`,
				stream(t, legB, "ended b", "verdict 1")},
			want: []string{"vmtest [a b] [m n] [./...]", "kernel a 1", "start a m", "run a m S", "pass a m S", "run a m T", "run a m T/sub",
				"fail a m T/sub " + torn, "fail a m T " + torn, "fail a m " + torn, "lost a " + torn, "ended a",
				"ended b", "verdict a result stream has no end 3 11"},
		},
		{
			name: "shards",
			streams: []string{
				stream(t, legA, "kernel a 1", "blocked a m X", "run a m S", "pass a m S", "pass a m", "ended a", "coverage", "verdict 0"),
				stream(t, legA, "kernel a 1", "blocked a m X", "run a m T", "pass a m T", "pass a m", "ended a", "coverage", "verdict 0"),
			},
			want: []string{"vmtest [a] [m] [./...]",
				"kernel a 1", "blocked a m X", "run a m S", "pass a m S", "pass a m", "ended a",
				"kernel a 1", "blocked a m X", "run a m T", "pass a m T", "pass a m", "ended a",
				"merged the coverage of 2 streams is not known together", "verdict 0 10"},
		},
		{
			name: "what does not fit together",
			streams: []string{
				stream(t, legA, "kernel a 1", "run a m S", "pass a m S", "run a m T", "fail a m T", "pass a m T", "run a m U", "pass a m U", "ended a", "verdict 0"),
				stream(t, legA, "kernel a 2", "run a m S", "fail a m S", "run a m T", "pass a m T", "run a m U", "pass a m U", "ended a", "verdict 1"),
			},
			want: []string{"vmtest [a] [m] [./...]",
				"kernel a 1", "run a m S", "pass a m S", "run a m T", "fail a m T", "pass a m T", "run a m U", "pass a m U", "ended a",
				"merged a is 1 in a.jsonl and 2 in b.jsonl",
				"kernel a 2", "run a m S", "fail a m S", "run a m T", "pass a m T", "run a m U", "pass a m U", "ended a",
				"merged S of m on a: pass in a.jsonl, fail in b.jsonl",
				"merged the same in more than one stream: 2 tests, in a.jsonl, b.jsonl", "verdict 1 11"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, merged(t, tt.expect, tt.streams...)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

const torn = "the result stream a.jsonl has no end: vmtest was killed, or the file is not whole"

func TestMergeErrors(t *testing.T) {
	whole := stream(t, RunInfo{Kernels: []string{"a"}}, "ended a", "verdict 0")
	for _, tt := range []struct{ name, stream, want string }{
		{"nothing", "", "b.jsonl: read result stream: it is empty"},
		{"another version", `{"Action":"vmtest","Run":{"Protocol":99}}`, "b.jsonl: read result stream: line 1 is not the header"},
		{"a broken line", whole + "{", "b.jsonl: read result stream: line 4: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			sources := []Source{{"a.jsonl", strings.NewReader(whole)}, {"b.jsonl", strings.NewReader(tt.stream)}}
			err := Merge(sources, nil, SinkFunc(func(Event) error { return nil }))
			if err == nil || !strings.HasPrefix(err.Error(), tt.want) {
				t.Errorf("Merge = %v, want %s", err, tt.want)
			}
		})
	}
	if err := Merge(nil, nil, nil); err == nil {
		t.Error("no stream at all is no error")
	}
	full := errors.New("full")
	err := Merge([]Source{{"a", strings.NewReader(whole)}}, nil, SinkFunc(func(Event) error { return full }))
	if !errors.Is(err, full) {
		t.Errorf("a sink's error is lost: %v", err)
	}
}
