// Package xdp drops packets by UDP port, and by what an earlier program wrote
// into their metadata.
package xdp

//go:generate go tool bpf2go -target bpfel -cc clang-14 -strip llvm-strip-14 xdp xdp.c -- -O2 -Wall -Werror -I/usr/include/x86_64-linux-gnu -I/usr/include/aarch64-linux-gnu

import (
	"fmt"
	"io"

	"github.com/cilium/ebpf"
)

// A Filter is the XDP programs and their maps, loaded.
type Filter struct {
	// Ports is the program that drops packets to blocked ports.
	Ports *ebpf.Program
	// Mark is the program that drops marked packets.
	Mark *ebpf.Program

	blocked, packets *ebpf.Map
	objects          io.Closer
}

// Options are what a Filter is built with.
type Options struct {
	Ifindex  uint32 // the interface whose marked packets are dropped
	DropMark uint32 // the mark
}

// New loads a Filter.
func New(o Options) (*Filter, error) {
	spec, err := loadXdp()
	if err != nil {
		return nil, err
	}
	if err := spec.Variables["guarded_ifindex"].Set(o.Ifindex); err != nil {
		return nil, fmt.Errorf("set interface: %w", err)
	}
	if err := spec.Variables["drop_mark"].Set(o.DropMark); err != nil {
		return nil, fmt.Errorf("set mark: %w", err)
	}
	var objs xdpObjects
	if err := spec.LoadAndAssign(&objs, nil); err != nil {
		return nil, fmt.Errorf("load XDP programs: %w", err)
	}
	return &Filter{
		Ports: objs.FilterPorts, Mark: objs.FilterMark,
		blocked: objs.Blocked, packets: objs.Packets,
		objects: &objs,
	}, nil
}

// Close unloads what no interface uses.
func (f *Filter) Close() error { return f.objects.Close() }

// Block drops the packets to a port from now on.
func (f *Filter) Block(port uint16) error {
	if err := f.blocked.Put(port, uint8(1)); err != nil {
		return fmt.Errorf("block port %d: %w", port, err)
	}
	return nil
}

// Packets returns how many packets a port was sent.
func (f *Filter) Packets(port uint16) (n uint64, err error) {
	if err := f.packets.Lookup(port, &n); err != nil {
		return 0, fmt.Errorf("count packets to port %d: %w", port, err)
	}
	return n, nil
}
