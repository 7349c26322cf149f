package tc

import (
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// newNetns moves the test into a network namespace of its own. Its thread is
// not unlocked, so Go ends it with the test, and the namespace with it.
func newNetns(t *testing.T) {
	t.Helper()
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatalf("create network namespace: %v", err)
	}
}

// newVeth returns the ends of a new pair of interfaces. What is sent to
// 192.0.2.2 leaves by the near end and comes in by the far one.
func newVeth(t *testing.T) (near, far netlink.Link) {
	t.Helper()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "near"
	if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: "far"}); err != nil {
		t.Fatalf("add veth: %v", err)
	}
	links := make(map[string]netlink.Link)
	for _, name := range []string{"near", "far"} {
		l, err := netlink.LinkByName(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := netlink.LinkSetUp(l); err != nil {
			t.Fatalf("set %s up: %v", name, err)
		}
		links[name] = l
	}
	near, far = links["near"], links["far"]
	addr, err := netlink.ParseAddr("192.0.2.1/24")
	if err != nil {
		t.Fatal(err)
	}
	if err := netlink.AddrAdd(near, addr); err != nil {
		t.Fatalf("add address: %v", err)
	}
	if err := netlink.NeighSet(&netlink.Neigh{
		LinkIndex:    near.Attrs().Index,
		State:        netlink.NUD_PERMANENT,
		IP:           net.IPv4(192, 0, 2, 2),
		HardwareAddr: far.Attrs().HardwareAddr,
	}); err != nil {
		t.Fatalf("add neighbour: %v", err)
	}
	return near, far
}

func TestAttach(t *testing.T) {
	objs := load(t, nil)
	newNetns(t)
	_, far := newVeth(t)

	conn, err := net.Dial("udp4", "192.0.2.2:53")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	send := func() {
		t.Helper()
		if _, err := conn.Write([]byte("query")); err != nil {
			t.Fatal(err)
		}
	}
	marked := func() (n uint64) {
		t.Helper()
		if err := objs.Marked.Lookup(uint32(0), &n); err != nil {
			t.Fatal(err)
		}
		return n
	}

	attached, err := Attach(far.Attrs().Index, objs.MarkDns)
	if err != nil {
		t.Fatal(err)
	}
	// Packets are lost until the kernel has noticed that the link is up.
	for deadline := time.Now().Add(10 * time.Second); marked() == 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("no packet reached the program")
		}
		send()
	}
	if err := attached.Close(); err != nil {
		t.Fatal(err)
	}
	before := marked()
	send()
	time.Sleep(100 * time.Millisecond)
	if n := marked() - before; n != 0 {
		t.Errorf("%d packets reached the program after it was detached", n)
	}
}
