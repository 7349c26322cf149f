package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"reflect"
	"runtime"

	"github.com/cilium/ebpf"
	libfeatures "github.com/cilium/ebpf/features"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/bpf-vmtest/bpf-vmtest/internal/features"
)

// An attachment is a place where a program is attached, and what makes the
// kernel call it there.
type attachment struct {
	name    string
	spec    ebpf.ProgramSpec
	verdict int32 // lets pass what comes by
	attach  func(*ebpf.Program) (io.Closer, error)
	trigger func() error
}

// syscallFunction is the function of a system call: on every architecture it
// is called from another file, so that no compiler makes it disappear.
var syscallFunction = map[string]string{"amd64": "__x64_sys_", "arm64": "__arm64_sys_"}[runtime.GOARCH] + "getpgid"

const lsmHook = "file_open"

func callSyscall() error { _, err := unix.Getpgid(0); return err }

func openFile() error {
	f, err := os.Open("/proc/self/stat")
	if err != nil {
		return err
	}
	return f.Close()
}

func attachTracing(p *ebpf.Program) (io.Closer, error) {
	return link.AttachTracing(link.TracingOptions{Program: p})
}

// tracing are the attachments to functions and trace points.
func tracing() []attachment {
	probe := func(t ebpf.ProgramType, a ebpf.AttachType) ebpf.ProgramSpec {
		return ebpf.ProgramSpec{Type: t, AttachType: a}
	}
	to := func(a ebpf.AttachType, function string) ebpf.ProgramSpec {
		return ebpf.ProgramSpec{Type: ebpf.Tracing, AttachType: a, AttachTo: function}
	}
	return []attachment{
		{"kprobe", probe(ebpf.Kprobe, 0), 0, func(p *ebpf.Program) (io.Closer, error) {
			return link.Kprobe(syscallFunction, p, nil)
		}, callSyscall},
		{"kretprobe", probe(ebpf.Kprobe, 0), 0, func(p *ebpf.Program) (io.Closer, error) {
			return link.Kretprobe(syscallFunction, p, nil)
		}, callSyscall},
		{"kprobe_multi", probe(ebpf.Kprobe, ebpf.AttachTraceKprobeMulti), 0, func(p *ebpf.Program) (io.Closer, error) {
			return link.KprobeMulti(p, link.KprobeMultiOptions{Symbols: []string{syscallFunction}})
		}, callSyscall},
		{"uprobe", probe(ebpf.Kprobe, 0), 0, func(p *ebpf.Program) (io.Closer, error) {
			return onExecutable(func(exe *link.Executable) (link.Link, error) { return exe.Uprobe(userSymbol(), p, nil) })
		}, func() error { userFunction(); return nil }},
		{"uprobe_multi", probe(ebpf.Kprobe, ebpf.AttachTraceUprobeMulti), 0, func(p *ebpf.Program) (io.Closer, error) {
			if err := libfeatures.HaveBPFLinkUprobeMulti(); err != nil {
				return nil, err
			}
			return onExecutable(func(exe *link.Executable) (link.Link, error) {
				return exe.UprobeMulti([]string{userSymbol()}, p, nil)
			})
		}, func() error { userFunction(); return nil }},
		{"tracepoint", probe(ebpf.TracePoint, 0), 0, func(p *ebpf.Program) (io.Closer, error) {
			return link.Tracepoint("sched", "sched_switch", p, nil)
		}, nothing},
		{"raw_tracepoint", probe(ebpf.RawTracepoint, 0), 0, func(p *ebpf.Program) (io.Closer, error) {
			return link.AttachRawTracepoint(link.RawTracepointOptions{Name: "sched_switch", Program: p})
		}, nothing},
		{"tp_btf", to(ebpf.AttachTraceRawTp, "sched_switch"), 0, attachTracing, nothing},
		{"fentry", to(ebpf.AttachTraceFEntry, syscallFunction), 0, attachTracing, callSyscall},
		{"fexit", to(ebpf.AttachTraceFExit, syscallFunction), 0, attachTracing, callSyscall},
		{"fmod_ret", to(ebpf.AttachModifyReturn, "security_"+lsmHook), 0, attachTracing, openFile},
		{"lsm", ebpf.ProgramSpec{Type: ebpf.LSM, AttachType: ebpf.AttachLSMMac, AttachTo: lsmHook}, 0, func(p *ebpf.Program) (io.Closer, error) {
			return link.AttachLSM(link.LSMOptions{Program: p})
		}, openFile},
		iterator(),
	}
}

// nothing is the trigger of what happens all the time.
func nothing() error { return nil }

// userFunction is what a uprobe is attached to.
//
//go:noinline
func userFunction() {}

func userSymbol() string {
	return runtime.FuncForPC(reflect.ValueOf(userFunction).Pointer()).Name()
}

func onExecutable(attach func(*link.Executable) (link.Link, error)) (io.Closer, error) {
	exe, err := link.OpenExecutable("/proc/self/exe")
	if err != nil {
		return nil, err
	}
	return attach(exe)
}

// iterator reads an iterator over tasks, which calls the program for each.
func iterator() attachment {
	var iter *link.Iter
	return attachment{
		"iter", ebpf.ProgramSpec{Type: ebpf.Tracing, AttachType: ebpf.AttachTraceIter, AttachTo: "task"}, 0,
		func(p *ebpf.Program) (_ io.Closer, err error) {
			iter, err = link.AttachIter(link.IterOptions{Program: p})
			return iter, err
		},
		func() error {
			r, err := iter.Open()
			if err != nil {
				return err
			}
			_, err = io.Copy(io.Discard, r)
			return errors.Join(err, r.Close())
		},
	}
}

const cgroupRoot = "/sys/fs/cgroup"

// sockets are the attachments that a datagram over lo passes.
func sockets() []attachment {
	cgroup := func(a ebpf.AttachType) func(*ebpf.Program) (io.Closer, error) {
		return func(p *ebpf.Program) (io.Closer, error) {
			return link.AttachCgroup(link.CgroupOptions{Path: cgroupRoot, Attach: a, Program: p})
		}
	}
	return []attachment{
		{"socket_filter", ebpf.ProgramSpec{Type: ebpf.SocketFilter}, 0xffff, attachSocketFilter, sendDatagram},
		{"cgroup_skb", ebpf.ProgramSpec{Type: ebpf.CGroupSKB, AttachType: ebpf.AttachCGroupInetEgress}, 1,
			cgroup(ebpf.AttachCGroupInetEgress), sendDatagram},
		{"cgroup_sock_addr", ebpf.ProgramSpec{Type: ebpf.CGroupSockAddr, AttachType: ebpf.AttachCGroupInet4Connect}, 1,
			cgroup(ebpf.AttachCGroupInet4Connect), sendDatagram},
		{"sk_lookup", ebpf.ProgramSpec{Type: ebpf.SkLookup, AttachType: ebpf.AttachSkLookup}, 1, func(p *ebpf.Program) (io.Closer, error) {
			ns, err := os.Open("/proc/self/ns/net")
			if err != nil {
				return nil, err
			}
			defer ns.Close()
			return link.AttachNetNs(int(ns.Fd()), p)
		}, sendDatagram},
		{"netfilter", ebpf.ProgramSpec{Type: ebpf.Netfilter, AttachType: ebpf.AttachNetfilter}, 1, func(p *ebpf.Program) (io.Closer, error) {
			return link.AttachNetfilter(link.NetfilterOptions{
				Program: p, ProtocolFamily: link.NetfilterProtoIPv4, Hook: link.NetfilterInetLocalOut,
			})
		}, sendDatagram},
	}
}

// attachSocketFilter attaches to a socket that receives what sendDatagram
// sends.
func attachSocketFilter(p *ebpf.Program) (io.Closer, error) {
	conn, err := net.ListenPacket("udp4", discard)
	if err != nil {
		return nil, err
	}
	if err := link.AttachSocketFilter(conn.(*net.UDPConn), p); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

// probeAttaching attaches a program to each place in turn and sees that it is
// called.
func probeAttaching(t *features.Table) error {
	devices, err := makeDevices()
	if err != nil {
		return err
	}
	for _, list := range [][]attachment{tracing(), sockets(), devices.attachments()} {
		for _, a := range list {
			t.Add(features.Attach, finding(a.name, a.probe()))
		}
	}
	return nil
}

func (a *attachment) probe() error {
	// A program of a type that is not there fails for another reason.
	if err := libfeatures.HaveProgramType(a.spec.Type); errors.Is(err, ebpf.ErrNotSupported) {
		return err
	}
	c, err := newCounter(a.spec, a.verdict)
	if err != nil {
		return err
	}
	defer c.close()
	l, err := a.attach(c.Program)
	if err != nil {
		return fmt.Errorf("attach: %w", err)
	}
	defer l.Close()
	return c.await(a.trigger)
}
