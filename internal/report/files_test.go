package report

import (
	"fmt"
	"strings"
	"testing"

	"github.com/bpf-vmtest/bpf-vmtest/internal/result"
)

// TestWhole reports a test that printed more than reports hold, and was kept.
func TestWhole(t *testing.T) {
	var stream strings.Builder
	sink := result.Encode(&stream)
	send := func(e result.Event) {
		e.Kernel, e.Package = "debian:6.12", "m/load"
		if err := sink.Event(e); err != nil {
			t.Fatal(err)
		}
	}
	_ = sink.Event(result.Event{Action: result.Header, Run: &result.RunInfo{Protocol: result.Protocol, Kernels: []string{"debian:6.12"}, Bundle: "/out"}})
	send(result.Event{Action: result.Run, Test: "TestLoad"})
	for i := range 10_000 {
		send(result.Event{Action: result.Output, Test: "TestLoad", Output: fmt.Sprintf("    %d: (bf) r4 = r3\n", i)})
	}
	send(result.Event{Action: result.Output, Test: "TestLoad", Output: "--- FAIL: TestLoad (0.01s)\n"})
	send(result.Event{Action: result.Fail, Test: "TestLoad"})
	send(result.Event{
		Action: result.Files, Test: "TestLoad", Path: "/out/debian_6.12/m_load",
		Files: []string{"TestLoad/output.txt", "TestLoad/dmesg.txt", "artifacts/TestLoad/output.txt"},
	})
	send(result.Event{Action: result.Files, Path: "/out/debian_6.12/m_load", Reason: "1 of its files was left in the guest", Lines: []string{"x: why"}, Hint: "remedy"})
	send(result.Event{Action: result.Fail})
	send(result.Event{Action: result.Ended, Path: "/out/debian_6.12"})
	_ = sink.Event(result.Event{Action: result.Verdict, Code: new(1)})

	var out, notes strings.Builder
	text := &Text{Out: &out, Notes: &notes}
	if err := renderText(strings.NewReader(stream.String()), text); err != nil {
		t.Fatal(err)
	}
	printed := map[string]string{"text": out.String()}
	for _, f := range Formats {
		var b strings.Builder
		if err := text.Matrix.Write(&b, f.Name); err != nil {
			t.Fatal(err)
		}
		printed[f.Name] = b.String()
	}
	for _, format := range []string{"text", "junit", "tap", "html", "summary"} {
		got := printed[format]
		if len(got) > 200_000 || strings.Contains(got, " 5000: (bf)") {
			t.Errorf("%s: %d bytes", format, len(got))
		}
		if !strings.Contains(got, "debian_6.12/m_load/TestLoad/output.txt") {
			t.Errorf("%s: nothing says where the rest is", format)
		}
	}
	if n := strings.Count(printed["summary"], "\n"); n >= 50 {
		t.Errorf("the summary has %d lines", n)
	}
	want := `vmtest: m/load: 1 of its files was left in the guest
    x: why
vmtest: hint: remedy
vmtest: debian:6.12: what failed tests and the kernel have left is in /out/debian_6.12
`
	if !strings.HasPrefix(notes.String(), want) {
		t.Errorf("notes:\n%s", notes.String())
	}
}
