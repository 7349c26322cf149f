package tc

import (
	"encoding/binary"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/bpf-vmtest/bpf-vmtest/examples/internal/privileged"
)

// What a classifier returns, from linux/pkt_cls.h.
const (
	ok       = 0
	shot     = 2
	redirect = 7
)

// load loads the programs with the given constants set.
func load(t *testing.T, constants map[string]uint32) *tcObjects {
	t.Helper()
	privileged.Require(t)
	spec, err := loadTc()
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range constants {
		if err := spec.Variables[name].Set(value); err != nil {
			t.Fatal(err)
		}
	}
	var objs tcObjects
	if err := spec.LoadAndAssign(&objs, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { objs.Close() })
	return &objs
}

// skb is struct __sk_buff of linux/bpf.h, of which only the mark is used. Its
// size is that of new kernels; those that have a shorter one do not mind.
type skb struct {
	_    [2]uint32
	Mark uint32
	_    [45]uint32
}

func run(t *testing.T, prog *ebpf.Program, frame []byte) (ret, mark uint32) {
	t.Helper()
	var out skb
	ret, err := prog.Run(&ebpf.RunOptions{Data: frame, Context: skb{}, ContextOut: &out})
	if err != nil {
		t.Fatal(err)
	}
	return ret, out.Mark
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

func TestMark(t *testing.T) {
	objs := load(t, map[string]uint32{"dns_mark": 0x35})
	for _, tt := range []struct {
		name  string
		frame []byte
		mark  uint32
	}{
		{"DNS", udp(53), 0x35},
		{"other", udp(54), 0},
		{"not IP", make([]byte, 64), 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if ret, mark := run(t, objs.MarkDns, tt.frame); ret != ok || mark != tt.mark {
				t.Errorf("returned %d with mark %#x, want %d with %#x", ret, mark, ok, tt.mark)
			}
		})
	}
}

func TestRedirect(t *testing.T) {
	objs := load(t, map[string]uint32{"redirect_ifindex": 1})
	if ret, _ := run(t, objs.MarkDns, udp(53)); ret != redirect {
		t.Errorf("returned %d for DNS, want %d", ret, redirect)
	}
	if ret, _ := run(t, objs.MarkDns, udp(54)); ret != ok {
		t.Errorf("returned %d for another port, want %d", ret, ok)
	}
}

func TestTailCalls(t *testing.T) {
	objs := load(t, nil)
	for i, prog := range []*ebpf.Program{objs.ChainFirst, objs.ChainSecond, objs.ChainThird} {
		if err := objs.Chain.Put(uint32(i), prog); err != nil {
			t.Fatal(err)
		}
	}
	if ret, mark := run(t, objs.ChainFirst, udp(53)); ret != ok || mark != 123 {
		t.Errorf("chain returned %d with mark %d, want %d with 123", ret, mark, ok)
	}

	// A call into an empty slot falls through to the next instruction.
	if err := objs.Chain.Delete(uint32(1)); err != nil {
		t.Fatal(err)
	}
	if ret, mark := run(t, objs.ChainFirst, udp(53)); ret != shot || mark != 1 {
		t.Errorf("broken chain returned %d with mark %d, want %d with 1", ret, mark, shot)
	}
}

func TestTailCallLimit(t *testing.T) {
	objs := load(t, nil)
	if err := objs.Self.Put(uint32(0), objs.CallSelf); err != nil {
		t.Fatal(err)
	}
	// MAX_TAIL_CALL_CNT of linux/bpf.h: 33 calls succeed, the next does not.
	const limit = 33
	if ret, mark := run(t, objs.CallSelf, udp(53)); ret != ok || mark != limit {
		t.Errorf("program called itself %d times and returned %d, want %d times and %d", mark, ret, limit, ok)
	}
}
