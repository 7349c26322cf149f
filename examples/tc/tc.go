// Package tc marks and redirects packets, with one program and with chains of
// them.
package tc

//go:generate go tool bpf2go -target bpfel -cc clang-14 -strip llvm-strip-14 tc tc.c -- -O2 -Wall -Werror -I/usr/include/x86_64-linux-gnu -I/usr/include/aarch64-linux-gnu

import (
	"errors"
	"fmt"
	"io"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Attach runs the program on what comes in by the interface, until the
// returned Closer is closed: through TCX, or through clsact where the kernel
// has no TCX (before 6.6).
func Attach(ifindex int, prog *ebpf.Program) (io.Closer, error) {
	l, err := link.AttachTCX(link.TCXOptions{
		Interface: ifindex,
		Program:   prog,
		Attach:    ebpf.AttachTCXIngress,
	})
	if errors.Is(err, ebpf.ErrNotSupported) {
		return attachClsact(ifindex, prog)
	}
	if err != nil {
		return nil, fmt.Errorf("attach to interface %d: %w", ifindex, err)
	}
	return l, nil
}

// A filter is a program attached to a clsact queueing discipline.
type filter struct{ *netlink.BpfFilter }

func attachClsact(ifindex int, prog *ebpf.Program) (io.Closer, error) {
	qdisc := &netlink.Clsact{QdiscAttrs: netlink.QdiscAttrs{
		LinkIndex: ifindex,
		Handle:    netlink.MakeHandle(0xffff, 0),
		Parent:    netlink.HANDLE_CLSACT,
	}}
	if err := netlink.QdiscReplace(qdisc); err != nil {
		return nil, fmt.Errorf("add clsact to interface %d: %w", ifindex, err)
	}
	f := &netlink.BpfFilter{
		FilterAttrs: netlink.FilterAttrs{
			LinkIndex: ifindex,
			Parent:    netlink.HANDLE_MIN_INGRESS,
			Handle:    1,
			Protocol:  unix.ETH_P_ALL,
			Priority:  1,
		},
		Fd:           prog.FD(),
		Name:         "examples/tc",
		DirectAction: true,
	}
	if err := netlink.FilterReplace(f); err != nil {
		return nil, fmt.Errorf("add filter to interface %d: %w", ifindex, err)
	}
	return filter{f}, nil
}

// Close detaches the program. The queueing discipline stays: others may use it.
func (f filter) Close() error { return netlink.FilterDel(f.BpfFilter) }
