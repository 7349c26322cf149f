package accel

import (
	"context"
	"os"
	"testing"
	"time"
)

// TestProbe runs the real probe on whatever host this is. The right answer is
// known only where the kernel admits to be a software hypervisor.
func TestProbe(t *testing.T) {
	cacheDir := t.TempDir()
	start := time.Now()
	result, err := Probe(t.Context(), Options{CacheDir: cacheDir})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v after %v", result, time.Since(start))
	if result.Detail == "" || result.Usable == (result.Reason != "") {
		t.Errorf("got %+v: want a detail, and a reason exactly where unusable", result)
	}
	if _, err := os.Stat("/sys/module/kvm_pvm"); err == nil && result.Reason == "" {
		t.Errorf("a PVM host passes for real KVM: %+v", result)
	}
	start = time.Now()
	again, err := Probe(t.Context(), Options{CacheDir: cacheDir})
	if err != nil || again != result {
		t.Errorf("second probe: %+v, %v", again, err)
	}
	t.Logf("second probe: %v", time.Since(start))
}

func TestProbeStopsWithContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	memory.result = nil
	if result, err := Probe(ctx, Options{}); err == nil {
		t.Errorf("got %+v: want an error", result)
	}
}
