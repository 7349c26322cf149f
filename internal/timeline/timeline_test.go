package timeline

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// at is so many milliseconds after some time.
func at(ms int) time.Time { return time.UnixMilli(int64(1_700_000_000_000 + ms)) }

func TestWriteAndRead(t *testing.T) {
	ctx, line := With(t.Context())
	spans := []Span{
		{Vmtest, "all", at(0), at(100)},
		{QEMU, "start", at(10), at(40)},
		{Guest, "run", at(40), at(90)},
	}
	for _, i := range []int{2, 1, 0} { // a span is added when it ends
		Add(ctx, spans[i])
	}
	var b bytes.Buffer
	if err := line.Write(&b); err != nil {
		t.Fatal(err)
	}
	got, err := Read(&b)
	if diff := cmp.Diff(spans, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

func TestBegin(t *testing.T) {
	Begin(context.Background(), Vmtest, "nobody listens")()
	ctx, line := With(t.Context())
	before := time.Now()
	Begin(ctx, Vmtest, "something")()
	if len(line.spans) != 1 || line.spans[0].Name != "something" || line.spans[0].Start.Before(before) || line.spans[0].End.After(time.Now()) {
		t.Errorf("got %+v", line.spans)
	}
}

// TestNothing: an empty file is one that viewers take.
func TestNothing(t *testing.T) {
	var b bytes.Buffer
	if err := (&Timeline{}).Write(&b); err != nil || strings.TrimSpace(b.String()) != `{"traceEvents":[]}` {
		t.Errorf("%v %s", err, &b)
	}
}

// TestLanes: what overlaps without being within the other is beside it.
func TestLanes(t *testing.T) {
	var l lanes
	for i, tt := range []struct{ start, end, lane int }{
		{0, 100, 0},
		{10, 50, 0},   // within it
		{20, 60, 1},   // not within the one before
		{50, 100, 0},  // after that
		{55, 120, 2},  // beyond the first
		{100, 110, 0}, // after all of the first lane
		{105, 120, 1},
	} {
		if got := l.place(Span{Start: at(tt.start), End: at(tt.end)}); got != tt.lane {
			t.Errorf("span %d is in lane %d, want %d", i, got, tt.lane)
		}
	}
}
