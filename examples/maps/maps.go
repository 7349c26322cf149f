// Package maps counts packets by tenant in maps of maps, and keeps a counter
// pinned to the BPF file system.
package maps

//go:generate go tool bpf2go -target bpfel -cc clang-14 -strip llvm-strip-14 maps maps.c -- -O2 -Wall -Werror -I/usr/include/x86_64-linux-gnu -I/usr/include/aarch64-linux-gnu

import (
	"fmt"

	"github.com/cilium/ebpf"
)

// A Meter counts packets.
type Meter struct {
	objs  mapsObjects
	inner *ebpf.MapSpec
}

// New loads a Meter whose counter of strangers is pinned to dir, a directory
// of a BPF file system; one that is pinned there already is taken over.
func New(dir string) (*Meter, error) {
	spec, err := loadMaps()
	if err != nil {
		return nil, err
	}
	m := &Meter{inner: spec.Maps["tenants"].InnerMap}
	opts := &ebpf.CollectionOptions{Maps: ebpf.MapOptions{PinPath: dir}}
	if err := spec.LoadAndAssign(&m.objs, opts); err != nil {
		return nil, fmt.Errorf("load meter: %w", err)
	}
	return m, nil
}

// Close unloads the meter. The pinned counter stays.
func (m *Meter) Close() error { return m.objs.Close() }

// AddTenant begins to count a tenant's packets and returns the counters, by
// receive queue. They are the caller's to close, whenever it likes.
func (m *Meter) AddTenant(id uint32) (*ebpf.Map, error) {
	counters, err := ebpf.NewMap(m.inner)
	if err != nil {
		return nil, fmt.Errorf("create counters: %w", err)
	}
	if err := m.objs.Tenants.Put(id, counters); err != nil {
		counters.Close()
		return nil, fmt.Errorf("add tenant %d: %w", id, err)
	}
	return counters, nil
}

// RemoveTenant makes a tenant a stranger.
func (m *Meter) RemoveTenant(id uint32) error {
	if err := m.objs.Tenants.Delete(id); err != nil {
		return fmt.Errorf("remove tenant %d: %w", id, err)
	}
	return nil
}
