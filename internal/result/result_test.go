package result

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestRoundTrip(t *testing.T) {
	code := 1
	want := []Event{
		{Action: Header, Run: &RunInfo{Protocol: Protocol, Kernels: []string{"a"}}},
		{Action: Output, Kernel: "a", Package: "m", Test: "TestA", Output: "<&>\u2028\x00\x1b[31m\n"},
		{Action: Pass, Time: time.Unix(1, 5).UTC(), Kernel: "a", Package: "m", Test: "TestA", Elapsed: Seconds(0)},
		{Action: Verdict, Code: &code, Elapsed: Seconds(1234567 * time.Microsecond)},
	}
	var b bytes.Buffer
	sink := Encode(&b)
	for _, e := range want {
		if err := sink.Event(e); err != nil {
			t.Fatal(err)
		}
	}
	if n := strings.Count(b.String(), "\n"); n != len(want) {
		t.Errorf("%d lines, want %d", n, len(want))
	}
	if !strings.Contains(b.String(), `"Output":"<&>`) {
		t.Errorf("escaped for HTML: %s", b.String())
	}
	var got []Event
	collect := SinkFunc(func(e Event) error { got = append(got, e); return nil })
	if err := Decode(bytes.NewReader(b.Bytes()), collect); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("decoded (-want +got):\n%s", diff)
	}
	if *got[3].Elapsed != 1.235 {
		t.Errorf("Elapsed = %v", *got[3].Elapsed)
	}
}

func TestDecodeErrors(t *testing.T) {
	const header = `{"Action":"vmtest","Run":{"Protocol":1}}` + "\n"
	for _, tt := range []struct{ name, stream, want string }{
		{"nothing", "", "it is empty"},
		{"no header", `{"Action":"pass"}` + "\n", "line 1 is not the header"},
		{"another version", `{"Action":"vmtest","Run":{"Protocol":99}}` + "\n", "line 1 is not the header"},
		{"go test -json", `{"Time":"2026-01-01T00:00:00Z","Action":"start","Package":"m"}` + "\n", "line 1 is not the header"},
		{"text", "ok  \tm\t0.1s\n", "line 1: "},
		{"a broken line", header + "{\n", "line 2: "},
		{"an array", header + "[]\n", "line 2: "},
		{"half a kernel", header + `{"Action":"kernel","Kernel":"k"}` + "\n", "line 2: kernel without Machine"},
		{"half a verdict", header + `{"Action":"verdict"}` + "\n", "line 2: verdict without Code"},
		{"half a loss", header + `{"Action":"lost","Kernel":"k"}` + "\n", "line 2: lost without Code"},
		{"half a block", header + `{"Action":"blocked","Test":"T"}` + "\n", "line 2: blocked without Block"},
		{"another header", header + `{"Action":"vmtest"}` + "\n", "line 2: vmtest without Run"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := Decode(strings.NewReader(tt.stream), SinkFunc(func(Event) error { return nil }))
			if err == nil || !strings.HasPrefix(err.Error(), "read result stream: ") || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Decode = %v, want %s", err, tt.want)
			}
		})
	}
	full := errors.New("full")
	if err := Decode(strings.NewReader(header), SinkFunc(func(Event) error { return full })); !errors.Is(err, full) {
		t.Errorf("a sink's error is lost: %v", err)
	}
	// The last line of a file that somebody edited.
	n := 0
	err := Decode(strings.NewReader(header+`{"Action":"pass"}`), SinkFunc(func(Event) error { n++; return nil }))
	if err != nil || n != 2 {
		t.Errorf("a last line without an end: %d events, %v", n, err)
	}
}
