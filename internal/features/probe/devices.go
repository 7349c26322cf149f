package main

import (
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// discard is where datagrams go that nobody waits for.
const discard = "127.0.0.1:9"

// sendDatagram sends one over lo.
func sendDatagram() error {
	conn, err := net.Dial("udp4", discard)
	if err != nil {
		return err
	}
	_, err = conn.Write([]byte("vmtest"))
	if errors.Is(err, unix.ECONNREFUSED) { // the answer to an earlier one
		err = nil
	}
	return errors.Join(err, conn.Close())
}

// devices are what network programs are attached to. Those that the kernel
// has not got are an error each.
type devices struct {
	lo                 netlink.Link
	veth, vethPeer     netlink.Link
	netkit             netlink.Link
	vethErr, netkitErr error
}

// makeDevices makes a pair of veth and one of netkit devices, and brings them
// up. Only a kernel without lo is an error.
func makeDevices() (*devices, error) {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return nil, fmt.Errorf("find lo: %w", err)
	}
	d := &devices{lo: lo}
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "veth0"
	d.veth, d.vethPeer, d.vethErr = makePair(&netlink.Veth{LinkAttrs: attrs, PeerName: "veth1"}, "veth1")

	attrs.Name = "netkit0"
	pair := &netlink.Netkit{LinkAttrs: attrs, Mode: netlink.NETKIT_MODE_L2, Policy: netlink.NETKIT_POLICY_FORWARD, PeerPolicy: netlink.NETKIT_POLICY_FORWARD}
	peer := netlink.NewLinkAttrs()
	peer.Name = "netkit1"
	pair.SetPeerAttrs(&peer)
	d.netkit, _, d.netkitErr = makePair(pair, peer.Name)
	return d, nil
}

func makePair(pair netlink.Link, peerName string) (link, peer netlink.Link, err error) {
	if err := netlink.LinkAdd(pair); err != nil {
		return nil, nil, unsupported(err, "make a pair of "+pair.Type()+" devices")
	}
	if link, err = netlink.LinkByName(pair.Attrs().Name); err == nil {
		peer, err = netlink.LinkByName(peerName)
	}
	if err == nil {
		err = errors.Join(netlink.LinkSetUp(link), netlink.LinkSetUp(peer))
	}
	return link, peer, err
}

func (d *devices) attachments() []attachment {
	xdp := func(on netlink.Link, mode link.XDPAttachFlags, problem error) func(*ebpf.Program) (io.Closer, error) {
		return func(p *ebpf.Program) (io.Closer, error) {
			if problem != nil {
				return nil, problem
			}
			return link.AttachXDP(link.XDPOptions{Program: p, Interface: on.Attrs().Index, Flags: mode})
		}
	}
	const pass, next = 2, -1 // XDP_PASS; TC_ACT_UNSPEC, TCX_NEXT and NETKIT_NEXT
	return []attachment{
		{"xdp_generic", ebpf.ProgramSpec{Type: ebpf.XDP}, pass, xdp(d.lo, link.XDPGenericMode, nil), sendDatagram},
		{"xdp_native", ebpf.ProgramSpec{Type: ebpf.XDP}, pass, xdp(d.veth, link.XDPDriverMode, d.vethErr), func() error {
			return sendFrame(d.vethPeer)
		}},
		{"clsact", ebpf.ProgramSpec{Type: ebpf.SchedCLS}, next, d.attachClsact, sendDatagram},
		{"tcx", ebpf.ProgramSpec{Type: ebpf.SchedCLS}, next, func(p *ebpf.Program) (io.Closer, error) {
			return link.AttachTCX(link.TCXOptions{Interface: d.lo.Attrs().Index, Program: p, Attach: ebpf.AttachTCXIngress})
		}, sendDatagram},
		{"netkit", ebpf.ProgramSpec{Type: ebpf.SchedCLS}, next, func(p *ebpf.Program) (io.Closer, error) {
			if d.netkitErr != nil {
				return nil, d.netkitErr
			}
			return link.AttachNetkit(link.NetkitOptions{Interface: d.netkit.Attrs().Index, Program: p, Attach: ebpf.AttachNetkitPrimary})
		}, func() error { return sendFrame(d.netkit) }},
	}
}

// attachClsact attaches the way every kernel has, through netlink.
func (d *devices) attachClsact(p *ebpf.Program) (io.Closer, error) {
	index := d.lo.Attrs().Index
	qdisc := &netlink.Clsact{QdiscAttrs: netlink.QdiscAttrs{
		LinkIndex: index, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT,
	}}
	// ENOENT: there is no such queueing discipline, or classifier.
	if err := netlink.QdiscAdd(qdisc); err != nil {
		return nil, unsupported(err, "add clsact")
	}
	filter := &netlink.BpfFilter{
		FilterAttrs: netlink.FilterAttrs{
			LinkIndex: index, Parent: netlink.HANDLE_MIN_INGRESS, Handle: 1, Protocol: unix.ETH_P_ALL, Priority: 1,
		},
		Fd: p.FD(), Name: "probe", DirectAction: true,
	}
	if err := netlink.FilterAdd(filter); err != nil {
		return nil, errors.Join(unsupported(err, "add a bpf filter"), netlink.QdiscDel(qdisc))
	}
	return closer(func() error { return netlink.QdiscDel(qdisc) }), nil
}

type closer func() error

func (c closer) Close() error { return c() }

// sendFrame sends an Ethernet frame of no protocol in particular.
func sendFrame(from netlink.Link) error {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	frame := make([]byte, 64)
	copy(frame, "\xff\xff\xff\xff\xff\xff\x02\x00\x00\x00\x00\x01\x88\xb5")
	err = unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: from.Attrs().Index})
	if errors.Is(err, unix.ENETDOWN) || errors.Is(err, unix.ENOBUFS) {
		err = nil // the devices are not quite up yet, or the program dropped it
	}
	return err
}
