// Package timeline is where the time of a run goes: spans of time, each somebody's
// and with a name, in a file that https://ui.perfetto.dev shows.
package timeline

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/google/renameio/v2"
)

// Who is the one whose time it is.
type Who string

const (
	Vmtest Who = "vmtest"
	QEMU   Who = "QEMU"
	Kernel Who = "kernel"
	Guest  Who = "guest" // user space
)

// A Span is what somebody did, and when.
type Span struct {
	Who        Who
	Name       string
	Start, End time.Time
}

// A Timeline collects spans. Its methods may be called from several goroutines.
type Timeline struct {
	mu    sync.Mutex
	spans []Span
}

type contextKey struct{}

// With returns a context in which a timeline is kept.
func With(ctx context.Context) (context.Context, *Timeline) {
	t := &Timeline{}
	return context.WithValue(ctx, contextKey{}, t), t
}

// Begin begins a span of the context's timeline, if there is one; the caller ends
// it.
func Begin(ctx context.Context, who Who, name string) (end func()) {
	start := time.Now()
	return func() { Add(ctx, Span{who, name, start, time.Now()}) }
}

// Add adds a span that is over.
func Add(ctx context.Context, s Span) {
	t, ok := ctx.Value(contextKey{}).(*Timeline)
	if !ok {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.spans = append(t.spans, s)
}

// An event is a span in the format of the viewers of traces: Chrome's.
type event struct {
	Name     string `json:"name"`
	Category Who    `json:"cat"`
	Phase    string `json:"ph"`
	Start    int64  `json:"ts"`  // microseconds since 1970
	Duration int64  `json:"dur"` // microseconds
	Process  int    `json:"pid"`
	Lane     int    `json:"tid"`
}

const complete = "X" // the phase of an event with a duration

type file struct {
	Events []event `json:"traceEvents"`
}

// WriteFile writes what has been collected to a file.
func (t *Timeline) WriteFile(path string) error {
	var b bytes.Buffer
	err := t.Write(&b)
	if err == nil {
		err = renameio.WriteFile(path, b.Bytes(), 0o644)
	}
	if err != nil {
		return fmt.Errorf("write the timeline: %w", err)
	}
	return nil
}

// Write writes what has been collected.
func (t *Timeline) Write(w io.Writer) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	spans := slices.Clone(t.spans)
	slices.SortStableFunc(spans, func(a, b Span) int {
		return cmp.Or(a.Start.Compare(b.Start), b.End.Compare(a.End))
	})
	var l lanes
	f := file{Events: []event{}}
	for _, s := range spans {
		f.Events = append(f.Events, event{
			Name: s.Name, Category: s.Who, Phase: complete,
			Start: s.Start.UnixMicro(), Duration: s.End.Sub(s.Start).Microseconds(),
			Process: 1, Lane: l.place(s),
		})
	}
	return json.NewEncoder(w).Encode(f)
}

// lanes hold the ends of the spans that are open in each lane, the inner ones
// last: in one lane a viewer shows spans only within each other.
type lanes [][]time.Time

// place finds the lane of a span that begins no earlier than those before it.
func (l *lanes) place(s Span) int {
	for i, open := range *l {
		for len(open) > 0 && !open[len(open)-1].After(s.Start) {
			open = open[:len(open)-1]
		}
		if len(open) == 0 || !open[len(open)-1].Before(s.End) {
			(*l)[i] = append(open, s.End)
			return i
		}
	}
	*l = append(*l, []time.Time{s.End})
	return len(*l) - 1
}

// Read reads what Write has written.
func Read(r io.Reader) ([]Span, error) {
	var f file
	if err := json.NewDecoder(r).Decode(&f); err != nil {
		return nil, err
	}
	var spans []Span
	for _, e := range f.Events {
		start := time.UnixMicro(e.Start)
		spans = append(spans, Span{e.Category, e.Name, start, start.Add(time.Duration(e.Duration) * time.Microsecond)})
	}
	return spans, nil
}
