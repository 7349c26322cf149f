package accel

import (
	"context"
	"os"
	"runtime"
	"testing"
	"time"
)

// testMachine is a machine with another program than the probe's.
func testMachine(t *testing.T, code []byte) *machine {
	t.Helper()
	kvm, err := os.OpenFile(device, os.O_RDWR, 0)
	if err != nil {
		t.Skipf("%s does not open here: %v", device, err)
	}
	defer kvm.Close()
	m, err := newMachine(kvm.Fd())
	if err != nil {
		t.Skipf("KVM makes no machine here: %v", err)
	}
	t.Cleanup(m.close)
	clear(m.ram[codeStart:dataStart])
	copy(m.ram[codeStart:], code)
	runtime.LockOSThread()
	t.Cleanup(runtime.UnlockOSThread)
	return m
}

// TestLoop measures the second sign of emulation alone; the missing
// instructions hide it from the verdict.
func TestLoop(t *testing.T) {
	m := testMachine(t, program(false, false))
	if got, want := m.run(t.Context()), (exit{reason: exitMark, mark: markInstructions}); got != want {
		t.Fatalf("first exit: %v, want %v", got, want)
	}
	start := threadTime()
	if got, want := m.run(t.Context()), (exit{reason: exitMark, mark: markEnd}); got != want {
		t.Fatalf("second exit: %v, want %v", got, want)
	}
	loop := threadTime() - start
	t.Logf("%d rounds took %v of thread time", loopRounds, loop)
	if _, err := os.Stat("/sys/module/kvm_pvm"); err == nil && loop < loopLimit {
		t.Errorf("loop under PVM took %v: the limit of %v does not tell it from hardware", loop, loopLimit)
	}
}

func TestRunStops(t *testing.T) {
	forever := []byte{0xeb, 0xfe} // jmp here
	for _, delay := range []time.Duration{0, time.Millisecond, 50 * time.Millisecond} {
		t.Run(delay.String(), func(t *testing.T) {
			m := testMachine(t, forever)
			ctx, cancel := context.WithTimeout(t.Context(), delay)
			defer cancel()
			start := time.Now()
			if got := m.run(ctx); got.reason != exitTimeout {
				t.Errorf("run: %v, want a timeout", got)
			}
			if took := time.Since(start); took > delay+5*time.Second {
				t.Errorf("run stopped after %v, asked after %v", took, delay)
			}
		})
	}
}
