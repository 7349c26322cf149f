package runner

import (
	"time"

	"github.com/bpf-vmtest/bpf-vmtest/internal/result"
)

// spans are when tests ran, in the order in which they began.
type spans []span

type span struct {
	test     string
	from, to time.Time // to is zero while it runs
}

// event takes what is told of tests.
func (s *spans) event(e result.Event) {
	switch e.Action {
	case result.Run:
		*s = append(*s, span{test: e.Test, from: time.Now()})
	case result.Pass, result.Fail, result.Skip:
		for i := len(*s) - 1; i >= 0; i-- {
			if x := &(*s)[i]; x.test == e.Test && x.to.IsZero() {
				x.to = time.Now()
				return
			}
		}
	}
}

// apart is how much later or earlier than a test's report something may arrive
// over the console that happened before, or after it.
const apart = 100 * time.Millisecond

// at is the test that began last of those that ran at a time, or empty.
func (s spans) at(t time.Time) string {
	for i := len(s) - 1; i >= 0; i-- {
		if x := s[i]; !x.from.After(t) && (x.to.IsZero() || t.Before(x.to.Add(apart))) {
			return x.test
		}
	}
	for _, x := range s {
		if x.from.After(t) && x.from.Before(t.Add(apart)) {
			return x.test
		}
	}
	return ""
}
