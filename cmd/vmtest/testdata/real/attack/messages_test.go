package attack

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

var le = binary.LittleEndian

// Messages of 9P2000.L.
const (
	rlerror  = 7
	tlopen   = 12
	tversion = 100
	tattach  = 104
	twalk    = 110
	tread    = 116
	twrite   = 118
)

// TestMessages takes a share's device from the kernel and speaks to QEMU itself: what
// the kernel's client would never say.
func TestMessages(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("the device has ports on a PC alone")
	}
	d := openDevice(t, os.Getenv("GOCACHE"))
	d.attach(t)
	const root, file, other, closed = 1, 2, 3, 4
	for _, names := range [][]string{
		{"..", "..", "..", "etc", "shadow"}, {"/etc/shadow"}, {"../../../../../../etc/shadow"}, {"..", "..", "..", "proc", "self", "environ"}, {strings.Repeat("x", 5000)},
	} {
		d.call(walk(root, other, names...))
		if answer, _ := d.call(message(tlopen, uint32(other), uint32(0))); answer != rlerror {
			t.Errorf("QEMU opens %q", names)
		}
	}
	begin := func() {
		d.call(walk(root, file, "README"))
		d.call(walk(root, other))
		d.call(walk(root, closed, "README"))
		d.call(message(tlopen, uint32(file), uint32(0)))
	}
	begin()
	if answer, _ := d.call(message(tread, uint32(file), uint64(0), uint32(16))); answer != tread+1 {
		t.Fatalf("the file cannot be read: answer %d", answer)
	}
	z := uint64(0)
	for name, m := range map[string][]byte{
		"write":            message(twrite, uint32(file), z, uint32(4), []byte("evil")),
		"write, too long":  message(twrite, uint32(file), z, uint32(1<<30), []byte("evil")),
		"open to write":    message(tlopen, uint32(closed), uint32(os.O_RDWR)),
		"open to truncate": message(tlopen, uint32(closed), uint32(os.O_WRONLY|os.O_TRUNC)),
		"create":           message(14, uint32(other), "evil", uint32(os.O_RDWR), uint32(0o4777), uint32(0)),
		"create elsewhere": message(14, uint32(other), "../evil", uint32(os.O_RDWR), uint32(0o777), uint32(0)),
		"create, as 9P.u":  message(114, uint32(other), "evil", uint32(0o777), uint8(2), ""),
		"symlink":          message(16, uint32(other), "evil", "/etc/shadow", uint32(0)),
		"mknod":            message(18, uint32(other), "evil", uint32(syscall.S_IFBLK|0o666), uint32(8), uint32(0), uint32(0)),
		"rename":           message(20, uint32(file), uint32(root), "evil"),
		"chmod":            message(26, uint32(file), uint32(1), uint32(0o4777), uint32(0), uint32(0), z, z, z, z, z),
		"chown":            message(26, uint32(file), uint32(6), uint32(0), uint32(1), uint32(1), z, z, z, z, z),
		"truncate":         message(26, uint32(file), uint32(8), uint32(0), uint32(0), uint32(0), z, z, z, z, z),
		"setxattr":         message(32, uint32(other), "user.evil", uint64(4), uint32(0)),
		"link":             message(70, uint32(root), uint32(file), "evil"),
		"mkdir":            message(72, uint32(other), "evil", uint32(0o777), uint32(0)),
		"renameat":         message(74, uint32(root), "README", uint32(root), "../evil"),
		"unlinkat":         message(76, uint32(root), "README", uint32(0)),
		"remove":           message(122, uint32(file)),
		"wstat":            message(126, uint32(file), "\x00\x00"),
	} {
		if answer, _ := d.call(m); answer != rlerror {
			t.Errorf("%s: answer %d", name, answer)
		}
		begin()
	}
	d.noise(t)
}

// noise is messages and descriptors of any kind. QEMU may give up on the device; it
// may not end.
func (d *device) noise(t *testing.T) {
	source := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		b := make([]byte, 7+source.IntN(100))
		for i := range b {
			b[i] = byte(source.Uint32() >> (8 * source.IntN(4)) & 0x7f)
		}
		le.PutUint32(b, uint32(len(b)))
		b[4] = byte(8 + source.IntN(120))
		d.limit = 100 * time.Millisecond
		if answer, _ := d.call(b); answer == 0 {
			d.attach(t)
		}
	}
	for range 200 {
		chain := make([]descriptor, 1+source.IntN(4))
		for i := range chain {
			chain[i] = descriptor{source.Uint64() >> source.IntN(64), source.Uint32() >> source.IntN(32), uint16(source.IntN(8)), uint16(source.IntN(300))}
		}
		d.push(time.Millisecond, chain...)
		d.reset()
	}
	d.attach(t)
}

// A device is a virtio 9p device of a PC, of the kind before version 1.0: a few
// ports, and a queue in memory.
type device struct {
	ports *os.File
	mem   []byte // 2 MiB, at phys
	phys  uint64
	size  int
	done  uint16
	limit time.Duration // for an answer
}

// The ports, and where in the memory a message and its answer are.
const (
	portFeatures, portQueue, portSize, portSelect, portNotify, portStatus = 4, 8, 12, 14, 16, 18

	request, answer, answerSize = 64 << 10, 1 << 20, 512 << 10
)

type descriptor struct {
	address     uint64
	length      uint32
	flags, next uint16
}

// openDevice takes the device of what is mounted at a path.
func openDevice(t *testing.T, path string) *device {
	t.Helper()
	mounts, err := os.ReadFile("/proc/mounts")
	if err != nil {
		t.Fatal(err)
	}
	var lower, tag string
	for line := range strings.Lines(string(mounts)) {
		f := strings.Fields(line)
		if _, dir, ok := strings.Cut(f[3], "lowerdir="); ok && f[1] == path {
			lower, _, _ = strings.Cut(dir, ",")
		}
	}
	for line := range strings.Lines(string(mounts)) {
		if f := strings.Fields(line); f[1] == lower {
			tag = f[0]
		}
	}
	for _, dir := range []string{path, lower} {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Fatalf("unmount %q: %v", dir, err)
		}
	}
	found, _ := filepath.Glob("/sys/bus/pci/devices/*/virtio*/mount_tag")
	for _, file := range found {
		name, err := os.ReadFile(file)
		if err != nil || strings.Trim(string(name), "\x00\n") != tag {
			continue
		}
		dir := filepath.Dir(filepath.Dir(file))
		d := &device{}
		write(t, "/sys/bus/pci/drivers/virtio-pci/unbind", 0, []byte(filepath.Base(dir)))
		write(t, dir+"/enable", 0, []byte("1"))
		write(t, dir+"/config", 4, []byte{7, 0}) // ports, memory, and to read that by itself
		if d.ports, err = os.OpenFile(dir+"/resource0", os.O_RDWR, 0); err != nil {
			t.Fatal(err)
		}
		d.allocate(t)
		return d
	}
	t.Fatalf("%s: there is no device %q", path, tag)
	return nil
}

func write(t *testing.T, file string, at int64, b []byte) {
	t.Helper()
	f, err := os.OpenFile(file, os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteAt(b, at)
		f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// allocate makes memory that is in one piece, and finds out where it is.
func (d *device) allocate(t *testing.T) {
	t.Helper()
	write(t, "/proc/sys/vm/nr_hugepages", 0, []byte("4"))
	var err error
	d.mem, err = syscall.Mmap(-1, 0, 2<<20, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_PRIVATE|syscall.MAP_ANONYMOUS|syscall.MAP_HUGETLB|syscall.MAP_POPULATE)
	if err != nil {
		t.Fatal(err)
	}
	pages, err := os.Open("/proc/self/pagemap")
	if err != nil {
		t.Fatal(err)
	}
	defer pages.Close()
	entry := make([]byte, 8)
	if _, err := pages.ReadAt(entry, int64(uintptr(unsafe.Pointer(&d.mem[0]))/4096*8)); err != nil {
		t.Fatal(err)
	}
	d.phys = le.Uint64(entry) & (1<<55 - 1) * 4096
}

func (d *device) out(port int64, b ...byte) { _, _ = d.ports.WriteAt(b, port) }

// reset begins anew, with an empty queue.
func (d *device) reset() {
	clear(d.mem[:request])
	d.done = 0
	for _, status := range []byte{0, 1, 3} {
		d.out(portStatus, status)
	}
	d.out(portFeatures, 0, 0, 0, 0)
	d.out(portSelect, 0, 0)
	size := make([]byte, 2)
	_, _ = d.ports.ReadAt(size, portSize)
	d.size = int(le.Uint16(size))
	d.out(portQueue, le.AppendUint32(nil, uint32(d.phys/4096))...)
	d.out(portStatus, 7)
}

// attach begins a conversation, on a device in any state.
func (d *device) attach(t *testing.T) {
	t.Helper()
	d.reset()
	d.limit = 10 * time.Second
	d.call(message(tversion, uint32(answerSize), "9P2000.L"))
	if a, _ := d.call(message(tattach, uint32(1), ^uint32(0), "root", "/../..", uint32(0))); a != tattach+1 {
		t.Fatalf("the device does not answer any more: %d", a)
	}
}

// push offers a chain and waits until QEMU is done with it.
func (d *device) push(limit time.Duration, chain ...descriptor) bool {
	for i, c := range chain {
		b := le.AppendUint64(nil, c.address)
		b = le.AppendUint32(b, c.length)
		b = le.AppendUint16(b, c.flags)
		copy(d.mem[16*i:], le.AppendUint16(b, c.next))
	}
	available := 16 * d.size
	used := (available + 6 + 2*d.size + 4095) / 4096 * 4096
	n := le.Uint16(d.mem[available+2:])
	le.PutUint16(d.mem[available+4+2*(int(n)%d.size):], 0)
	le.PutUint16(d.mem[available+2:], n+1)
	d.out(portNotify, 0, 0)
	for end := time.Now().Add(limit); time.Now().Before(end); runtime.Gosched() {
		if le.Uint16(d.mem[used+2:]) != d.done {
			d.done++
			return true
		}
	}
	return false
}

// call sends a message and returns the type of the answer and what is in it; 0 is
// none.
func (d *device) call(m []byte) (byte, []byte) {
	copy(d.mem[request:], m)
	clear(d.mem[answer : answer+7])
	if !d.push(d.limit, descriptor{d.phys + request, uint32(len(m)), 1, 1}, descriptor{d.phys + answer, answerSize, 2, 0}) {
		return 0, nil
	}
	a := d.mem[answer:]
	return a[4], a[7:max(7, min(le.Uint32(a), answerSize))]
}

// message is one with these fields.
func message(kind byte, fields ...any) []byte {
	b := []byte{0, 0, 0, 0, kind, 1, 0}
	for _, field := range fields {
		switch v := field.(type) {
		case uint8:
			b = append(b, v)
		case uint16:
			b = le.AppendUint16(b, v)
		case uint32:
			b = le.AppendUint32(b, v)
		case uint64:
			b = le.AppendUint64(b, v)
		case string:
			b = append(le.AppendUint16(b, uint16(len(v))), v...)
		case []byte:
			b = append(b, v...)
		default:
			panic(fmt.Sprintf("a field of type %T", field))
		}
	}
	le.PutUint32(b, uint32(len(b)))
	return b
}

// walk names a file, from another one, newID.
func walk(id, newID uint32, names ...string) []byte {
	fields := []any{id, newID, uint16(len(names))}
	for _, name := range names {
		fields = append(fields, name)
	}
	return message(twalk, fields...)
}
