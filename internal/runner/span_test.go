package runner

import (
	"testing"
	"time"

	"github.com/bpf-vmtest/bpf-vmtest/internal/result"
)

func TestSpans(t *testing.T) {
	var s spans
	start := time.Now()
	if got := s.at(start); got != "" {
		t.Errorf("%q ran before all", got)
	}
	for _, e := range []result.Event{
		{Action: result.Run, Test: "TestA"}, {Action: result.Run, Test: "TestA/sub"},
		{Action: result.Pass, Test: "TestA/sub"}, {Action: result.Output, Test: "TestA"},
	} {
		s.event(e)
	}
	s[1].to = s[1].to.Add(-time.Second)
	s[1].from = s[1].to.Add(-time.Second)
	s[0].from = s[1].from.Add(-time.Second)
	for after, want := range map[time.Duration]string{
		-time.Second: "", -50 * time.Millisecond: "TestA", 500 * time.Millisecond: "TestA", 1500 * time.Millisecond: "TestA/sub",
		2050 * time.Millisecond: "TestA/sub", 2500 * time.Millisecond: "TestA", time.Hour: "TestA",
	} {
		if got := s.at(s[0].from.Add(after)); got != want {
			t.Errorf("after %v: %q, want %q", after, got, want)
		}
	}
	s.event(result.Event{Action: result.Fail, Test: "TestA"})
	if got := s.at(time.Now().Add(time.Second)); got != "" {
		t.Errorf("%q ran after all", got)
	}
}
