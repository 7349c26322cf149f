package maps

import (
	"encoding/binary"
	"path/filepath"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/bpf-vmtest/bpf-vmtest/examples/internal/privileged"
)

func newMeter(t *testing.T, dir string) *Meter {
	t.Helper()
	privileged.Require(t)
	m, err := New(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

// send has the meter see a packet of the tenant.
func send(t *testing.T, m *Meter, tenant uint32) {
	t.Helper()
	packet := make([]byte, 64)
	binary.LittleEndian.PutUint32(packet, tenant)
	if _, err := m.objs.CountTenant.Run(&ebpf.RunOptions{Data: packet}); err != nil {
		t.Fatal(err)
	}
}

func first(t *testing.T, counters *ebpf.Map) (n uint64) {
	t.Helper()
	if err := counters.Lookup(uint32(0), &n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestTenants(t *testing.T) {
	m := newMeter(t, privileged.BPFFS(t))
	counters := make(map[uint32]*ebpf.Map)
	for _, id := range []uint32{7, 8} {
		c, err := m.AddTenant(id)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		counters[id] = c
	}
	for _, tenant := range []uint32{7, 8, 7, 9} {
		send(t, m, tenant)
	}
	if seven, eight, strangers := first(t, counters[7]), first(t, counters[8]), first(t, m.objs.Strangers); seven != 2 || eight != 1 || strangers != 1 {
		t.Errorf("counted %d and %d packets and %d of strangers, want 2, 1 and 1", seven, eight, strangers)
	}

	if err := m.RemoveTenant(7); err != nil {
		t.Fatal(err)
	}
	send(t, m, 7)
	if seven, strangers := first(t, counters[7]), first(t, m.objs.Strangers); seven != 2 || strangers != 2 {
		t.Errorf("counted %d packets of a removed tenant and %d of strangers, want 2 and 2", seven, strangers)
	}
}

func TestPin(t *testing.T) {
	dir := privileged.BPFFS(t)
	m := newMeter(t, dir)
	send(t, m, 1)
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}

	pinned, err := ebpf.LoadPinnedMap(filepath.Join(dir, "strangers"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer pinned.Close()
	if n := first(t, pinned); n != 1 {
		t.Errorf("the pin holds %d packets, want 1", n)
	}

	// The next meter goes on with the pinned counter.
	send(t, newMeter(t, dir), 1)
	if n := first(t, pinned); n != 2 {
		t.Errorf("the pin holds %d packets after the next meter's, want 2", n)
	}
}
