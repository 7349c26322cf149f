package guest

import (
	"sync/atomic"
	"time"

	"github.com/bpf-vmtest/bpf-vmtest/initramfs/wire"
	"github.com/bpf-vmtest/bpf-vmtest/internal/machine"
)

// A pulse is what is known of a guest's being alive.
type pulse struct {
	beats    atomic.Uint64 // frames that have arrived
	handling atomic.Bool   // one is being handled, and we do not listen
	sysrq    chan struct{} // the answer to sysrqPing
	over     atomic.Bool   // it has said Done, and owes no more signs of life
	// Both are a time.Duration, when it was too long: how long there was
	// nothing, and how much longer since QEMU waited for a processor.
	silence, missed atomic.Int64
}

// beat is called when a frame has arrived, and when it has been handled.
func (p *pulse) beat(handling bool) {
	p.beats.Add(1)
	p.handling.Store(handling)
}

// sysrqPing is the number of the ping behind a sysrq, which init answers when it
// is done with that.
const sysrqPing = 1

// silenceChecks is how often a guest is asked for a sign of life before it is
// taken for dead. As each time counts that we looked, and not what a clock says,
// nothing happens to a guest that was stopped together with us.
const silenceChecks = 6

// watch kills the machine when the guest gives no sign of life: then every CPU
// is stuck, or nothing can be run any more.
func (g *Guest) watch(limit time.Duration) {
	step := limit / silenceChecks
	tick := time.NewTicker(step)
	defer tick.Stop()
	var asking atomic.Bool
	var missed time.Duration
	waited := g.machine.Waited()
	for last, silent := g.pulse.beats.Load(), time.Duration(0); silent < step*silenceChecks; {
		select {
		case <-g.gone:
			return
		case <-tick.C:
		}
		if g.pulse.over.Load() {
			return
		}
		before := waited
		waited = g.machine.Waited()
		now := g.pulse.beats.Load()
		if now != last || g.pulse.handling.Load() {
			last, silent, missed = now, 0, 0
		} else {
			lacked := min(max(0, waited-before), step-step/machine.MostPatience)
			silent, missed = silent+step-lacked, missed+lacked
		}
		if asking.CompareAndSwap(false, true) {
			go func() { // a guest that does not read holds it up
				_ = g.conn.Send(wire.Ping, 0, nil)
				asking.Store(false)
			}()
		}
	}
	g.pulse.missed.Store(int64(missed))
	g.pulse.silence.Store(int64(limit))
	_ = g.machine.Kill()
}
