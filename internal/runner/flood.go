package runner

import (
	"fmt"

	"github.com/dustin/go-humanize"

	"github.com/bpf-vmtest/bpf-vmtest/internal/result"
)

// eventCost is what an event takes in the stream and in memory beside its text,
// in bytes, roughly: lines may be empty.
const eventCost = 64

// cost is what an event counts of what a package may print.
func cost(e result.Event) int64 {
	return int64(eventCost + len(e.Output) + len(e.Test) + len(e.Key) + len(e.Value))
}

// spend counts what the package has printed, in all of its machines, and drops
// what comes after the limit: all but the ends of tests.
func (pr *packageRun) spend(e result.Event) {
	if total := pr.task.whole.printed.Add(cost(e)); pr.flooded || total <= pr.OutputLimit {
		return
	}
	pr.flooded = true
	if pr.conv != nil {
		pr.conv.Mute()
	}
	last := result.Event{Action: result.Output, Test: e.Test, Output: "vmtest: what follows is not kept: " + pr.flood() + "\n"}
	pr.printed(last)
	pr.emit(last)
}

// flood is why a package fails that has printed too much.
func (r *Run) flood() string {
	return fmt.Sprintf("it printed more than %s (-output-limit)", humanize.IBytes(uint64(r.OutputLimit)))
}

// orFlood adds to the reason of an end that there was too much output.
func (pr *packageRun) orFlood(reason string) string {
	switch {
	case !pr.flooded:
		return reason
	case reason == "":
		return pr.flood()
	}
	return pr.flood() + "; " + reason
}
