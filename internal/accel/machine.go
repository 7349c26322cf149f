package accel

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ioctl numbers of include/uapi/linux/kvm.h, the same on every architecture.
const (
	kvmGetAPIVersion       = 0xae00
	kvmCreateVM            = 0xae01
	kvmGetVCPUMmapSize     = 0xae04
	kvmCreateVCPU          = 0xae41
	kvmSetUserMemoryRegion = 0x4020ae46
	kvmRun                 = 0xae80
)

// Fields of struct kvm_run, the page shared with the kernel.
const (
	runImmediateExit = 1
	runExitReason    = 8
	runIOPort        = 0x22 // io.port
	runMMIOAddress   = 0x20 // mmio.phys_addr
	runSuberror      = 0x20 // internal.suberror
)

// ramSize is a whole number of pages of 4, 16 and 64 KiB alike.
const ramSize = 64 << 10

// loopRounds is how often the guest's second part goes around.
const loopRounds = 100_000

// A machine is a VM with one vCPU and [ramSize] bytes of memory at guest
// address 0, loaded with the architecture's program.
type machine struct {
	vm, vcpu int
	ram      []byte
	shared   []byte // struct kvm_run
}

func newMachine(kvm uintptr) (m *machine, err error) {
	m = &machine{vm: -1, vcpu: -1}
	defer func() {
		if err != nil {
			m.close()
		}
	}()
	if m.vm, err = ioctl(kvm, "KVM_CREATE_VM", kvmCreateVM, 0); err != nil {
		return nil, err
	}
	if err := m.addMemory(); err != nil {
		return nil, err
	}
	if m.vcpu, err = ioctl(uintptr(m.vm), "KVM_CREATE_VCPU", kvmCreateVCPU, 0); err != nil {
		return nil, err
	}
	size, err := ioctl(kvm, "KVM_GET_VCPU_MMAP_SIZE", kvmGetVCPUMmapSize, 0)
	if err != nil {
		return nil, err
	}
	if m.shared, err = unix.Mmap(m.vcpu, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
		return nil, fmt.Errorf("map vcpu: %w", err)
	}
	return m, m.load(kvm)
}

// memoryRegion is struct kvm_userspace_memory_region.
type memoryRegion struct {
	slot, flags                   uint32
	guestAddress, size, hostStart uint64
}

func (m *machine) addMemory() (err error) {
	m.ram, err = unix.Mmap(-1, 0, ramSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return fmt.Errorf("map guest memory: %w", err)
	}
	region := memoryRegion{size: ramSize, hostStart: uint64(uintptr(unsafe.Pointer(&m.ram[0])))}
	return ioctlWith(m.vm, "KVM_SET_USER_MEMORY_REGION", kvmSetUserMemoryRegion, &region)
}

func (m *machine) close() {
	if m.shared != nil {
		unix.Munmap(m.shared)
	}
	for _, fd := range []int{m.vcpu, m.vm} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
	if m.ram != nil {
		unix.Munmap(m.ram)
	}
}

// run enters the guest until it leaves for a reason of its own or ctx ends.
// The calling goroutine must be locked to its thread.
func (m *machine) run(ctx context.Context) exit {
	thread := unix.Gettid()
	interrupted := make(chan struct{})
	disarm := context.AfterFunc(ctx, func() {
		defer close(interrupted)
		m.shared[runImmediateExit] = 1 // for a KVM_RUN not yet begun
		// Go's runtime expects SIGURG at any time and ignores it.
		unix.Tgkill(os.Getpid(), thread, unix.SIGURG)
	})
	defer func() {
		if !disarm() {
			<-interrupted // it uses m and the thread
		}
	}()
	for {
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(m.vcpu), kvmRun, 0)
		switch {
		case errno == 0:
			return m.exit()
		case errno == unix.EINTR && ctx.Err() != nil:
			return exit{reason: exitTimeout}
		case errno != unix.EINTR && errno != unix.EAGAIN:
			return exit{reason: exitRunFailed, detail: uint64(errno)}
		}
	}
}

func (m *machine) uint32(offset int) uint32 { return binary.NativeEndian.Uint32(m.shared[offset:]) }

// ioctl calls a KVM ioctl that takes a number and returns one.
func ioctl(fd uintptr, name string, request, arg uintptr) (int, error) {
	for {
		n, _, errno := unix.Syscall(unix.SYS_IOCTL, fd, request, arg)
		switch errno {
		case 0:
			return int(n), nil
		case unix.EINTR: // creating a VM can be interrupted
		default:
			return -1, fmt.Errorf("%s: %w", name, errno)
		}
	}
}

// ioctlWith calls a KVM ioctl that reads or fills in *arg. It does not use
// [ioctl], because only in the system call's own argument list may a pointer
// become a number.
func ioctlWith[T any](fd int, name string, request uintptr, arg *T) error {
	for {
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), request, uintptr(unsafe.Pointer(arg)))
		switch errno {
		case 0:
			return nil
		case unix.EINTR:
		default:
			return fmt.Errorf("%s: %w", name, errno)
		}
	}
}
