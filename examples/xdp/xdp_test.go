package xdp

import (
	"encoding/binary"
	"net"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/bpf-vmtest/bpf-vmtest/examples/internal/privileged"
)

// What an XDP program returns, from linux/bpf.h.
const (
	drop = 1
	pass = 2
)

func newFilter(t *testing.T, o Options) *Filter {
	t.Helper()
	privileged.Require(t)
	f, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// udp is an Ethernet frame that holds an empty UDP packet to the port.
func udp(port uint16) []byte {
	frame := make([]byte, 64)
	binary.BigEndian.PutUint16(frame[12:], 0x0800) // IPv4
	ip := frame[14:]
	ip[0] = 4<<4 | 5 // version, header length in words
	ip[9] = 17       // UDP
	binary.BigEndian.PutUint16(ip[20+2:], port)
	return frame
}

func TestPorts(t *testing.T) {
	f := newFilter(t, Options{})
	if err := f.Block(53); err != nil {
		t.Fatal(err)
	}
	tcp := udp(53)
	tcp[14+9] = 6
	for name, tt := range map[string]struct {
		frame []byte
		want  uint32
	}{
		"blocked port":    {udp(53), drop},
		"other port":      {udp(54), pass},
		"TCP":             {tcp, pass},
		"shorter than IP": {make([]byte, 20), pass},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := f.Ports.Run(&ebpf.RunOptions{Data: tt.frame})
			if err != nil {
				t.Fatal(err)
			}
			if got != tt.want {
				t.Errorf("returned %d, want %d", got, tt.want)
			}
		})
	}
}

func TestPacketsAreCounted(t *testing.T) {
	f := newFilter(t, Options{})
	for range 3 {
		if _, err := f.Ports.Run(&ebpf.RunOptions{Data: udp(4789)}); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := f.Packets(4789); err != nil || n != 3 {
		t.Errorf("counted %d packets, %v, want 3", n, err)
	}
	if n, err := f.Packets(4790); err == nil {
		t.Errorf("counted %d packets to a port without any", n)
	}
}

// xdpMD is struct xdp_md of linux/bpf.h. For a test run its pointers are
// offsets into the data.
type xdpMD struct {
	Data, DataEnd, DataMeta                     uint32
	IngressIfindex, RXQueueIndex, EgressIfindex uint32
}

// TestMark gives the program a context. Kernels before 5.15 do not take one:
// .vmtest/blocklist.yaml keeps the test away from them.
func TestMark(t *testing.T) {
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	const mark = 0xbadc0de
	index := uint32(lo.Index)
	for name, tt := range map[string]struct {
		mark, guarded uint32
		want          uint32
	}{
		"marked":          {mark, index, drop},
		"other mark":      {mark + 1, index, pass},
		"other interface": {mark, index + 1, pass},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFilter(t, Options{Ifindex: tt.guarded, DropMark: mark})
			data := append(binary.LittleEndian.AppendUint32(nil, tt.mark), udp(80)...)
			got, err := f.Mark.Run(&ebpf.RunOptions{
				Data:    data,
				Context: xdpMD{Data: 4, DataEnd: uint32(len(data)), IngressIfindex: index},
			})
			if err != nil {
				t.Fatal(err)
			}
			if got != tt.want {
				t.Errorf("returned %d, want %d", got, tt.want)
			}
		})
	}
}

func TestNoMetadata(t *testing.T) {
	f := newFilter(t, Options{})
	got, err := f.Mark.Run(&ebpf.RunOptions{Data: udp(80)})
	if err != nil {
		t.Fatal(err)
	}
	if got != pass {
		t.Errorf("returned %d for a packet without metadata, want %d", got, pass)
	}
}
