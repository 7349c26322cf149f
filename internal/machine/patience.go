package machine

import (
	"fmt"
	"time"
)

// A Patience is how long something of a machine is waited for. Its limit is time
// in which the machine can do something: while QEMU waits for a processor it does
// not count.
type Patience struct {
	limit  time.Duration
	began  time.Time
	waited func() time.Duration // QEMU, since it was started
	before time.Duration        // that, at the beginning
}

// MostPatience is how often the limit an answer may take. On a host that gives a
// machine less than that the run cannot end well.
const MostPatience = 10

// Patience begins to wait.
func (m *Machine) Patience(limit time.Duration) Patience { return newPatience(limit, m.Waited) }

func newPatience(limit time.Duration, waited func() time.Duration) Patience {
	return Patience{limit: limit, began: time.Now(), waited: waited, before: waited()}
}

// Left is what is left of it; not more than nothing when it is over.
func (p Patience) Left() time.Duration {
	spent := time.Since(p.began)
	return min(p.limit-spent+p.missed(), MostPatience*p.limit-spent)
}

// Wait reports whether it is over before done is closed.
func (p Patience) Wait(done <-chan struct{}) (over bool) {
	for left := p.Left(); left > 0; left = p.Left() {
		select {
		case <-done:
			return false
		case <-time.After(left):
		}
	}
	return true
}

// missed is the time that does not count.
func (p Patience) missed() time.Duration {
	return min(max(0, p.waited()-p.before), time.Since(p.began))
}

// String is "3m0s", or how it came to be more.
func (p Patience) String() string { return Stretched(p.limit, p.missed()) }

// Stretched is a limit, and what it was longer by.
func Stretched(limit, missed time.Duration) string {
	if missed < time.Second { // there is always a little
		return limit.String()
	}
	return fmt.Sprintf("%v (and %v in which QEMU waited for a processor)", limit, missed.Round(time.Second))
}

// Slowdown says how many times as long everything takes in the machine as it would
// on an idle host: from 1 to 10, on the average of its life so far.
func (m *Machine) Slowdown() float64 { return slowdown(time.Since(m.started), m.Waited()) }

func slowdown(life, waited time.Duration) float64 {
	ran := max(life-waited, life/MostPatience, 1)
	return max(1, life.Seconds()/ran.Seconds())
}
