package guest

import (
	"fmt"
	"time"
)

// A patience is how long something of the guest is waited for. Its limit is
// time in which the guest can do something: while QEMU waits for a processor it
// does not count.
type patience struct {
	limit  time.Duration
	began  time.Time
	waited func() time.Duration // QEMU, since it was started
	before time.Duration        // that, at the beginning
}

// mostPatience is how often the limit an answer may take. On a host that gives
// a machine less than that the run cannot end well.
const mostPatience = 10

func newPatience(limit time.Duration, waited func() time.Duration) patience {
	return patience{limit: limit, began: time.Now(), waited: waited, before: waited()}
}

// left is what is left of it; not more than nothing when it is over.
func (p patience) left() time.Duration {
	spent := time.Since(p.began)
	return min(p.limit-spent+p.missed(), mostPatience*p.limit-spent)
}

// missed is the time that does not count.
func (p patience) missed() time.Duration {
	return min(max(0, p.waited()-p.before), time.Since(p.began))
}

// String is "3m0s", or how it came to be more.
func (p patience) String() string { return stretched(p.limit, p.missed()) }

func stretched(limit, missed time.Duration) string {
	if missed < time.Second { // there is always a little
		return limit.String()
	}
	return fmt.Sprintf("%v (and %v in which QEMU waited for a processor)", limit, missed.Round(time.Second))
}

// Slowdown says how many times as long everything takes in the guest as it would
// on an idle host: from 1 to 10, on the average of its life so far.
func (g *Guest) Slowdown() float64 {
	return slowdown(time.Since(g.started), g.machine.Waited())
}

func slowdown(life, waited time.Duration) float64 {
	ran := max(life-waited, life/mostPatience, 1)
	return max(1, life.Seconds()/ran.Seconds())
}
