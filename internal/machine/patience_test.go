package machine

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		waited := 5 * time.Second // before it began
		p := newPatience(time.Minute, func() time.Duration { return waited })
		check := func(left time.Duration, text string) {
			t.Helper()
			if got := p.Left(); got != left {
				t.Errorf("%v are left, want %v", got, left)
			}
			if got := p.String(); got != text {
				t.Errorf("it is %q, want %q", got, text)
			}
		}
		check(time.Minute, "1m0s")
		time.Sleep(40 * time.Second)
		check(20*time.Second, "1m0s")
		waited += 30 * time.Second
		check(50*time.Second, "1m0s (and 30s in which QEMU waited for a processor)")
		time.Sleep(50 * time.Second)
		check(0, "1m0s (and 30s in which QEMU waited for a processor)")
		// QEMU gets nothing.
		p = newPatience(time.Minute, func() time.Duration { return waited })
		time.Sleep(9*time.Minute + 30*time.Second)
		waited += 20 * time.Minute // a reading may be of more than was asked for
		check(30*time.Second, "1m0s (and 9m30s in which QEMU waited for a processor)")
		time.Sleep(30 * time.Second)
		check(0, "1m0s (and 10m0s in which QEMU waited for a processor)")
	})
}

func TestSlowdown(t *testing.T) {
	for _, c := range []struct {
		life, waited time.Duration
		want         float64
	}{
		{0, 0, 1},
		{time.Minute, 0, 1},
		{time.Minute, 30 * time.Second, 2},
		{time.Minute, 59 * time.Second, 10},
		{time.Minute, 2 * time.Minute, 10}, // of two readings, the later one
	} {
		if got := slowdown(c.life, c.waited); got != c.want {
			t.Errorf("slowdown(%v, %v) = %v, want %v", c.life, c.waited, got, c.want)
		}
	}
}

func TestWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		// QEMU gets half of the time.
		p := newPatience(time.Minute, func() time.Duration { return time.Since(start) / 2 })
		if !p.Wait(nil) || time.Since(start) < 2*time.Minute-time.Second || time.Since(start) > 2*time.Minute+time.Second {
			t.Errorf("it was over after %v", time.Since(start))
		}
		done := make(chan struct{})
		close(done)
		if newPatience(time.Minute, func() time.Duration { return 0 }).Wait(done) {
			t.Error("it was over although it was done")
		}
	})
}
