package accel

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const device = "/dev/kvm"

// runLimit ends a guest that neither finishes nor fails. It is wall time: a
// real one needs microseconds, an emulated one 0.15 s.
const runLimit = time.Second

// Options are a probe's.
type Options struct {
	// GuestArch is the guest's GOARCH; empty means the host's.
	GuestArch string
	// CacheDir keeps the verdict between processes, for as long as this boot
	// of the host lasts; empty means in memory only.
	CacheDir string
}

// Probe finds out whether this host's KVM runs a guest as a kernel needs it.
// The first one on a host takes a few ms where KVM is real and up to 1 s
// where it is not; later ones only open the device. The error is ctx's.
func Probe(ctx context.Context, o Options) (Result, error) {
	seen := observation{hostArch: runtime.GOARCH, guestArch: orHostArch(o.GuestArch)}
	kvm, err := os.OpenFile(device, os.O_RDWR, 0)
	if err == nil {
		defer kvm.Close()
		seen.api, err = ioctl(kvm.Fd(), "KVM_GET_API_VERSION", kvmGetAPIVersion, 0)
	}
	seen.open = err
	// The device's state may change at any time (chmod, modprobe), so it is
	// looked at anew; what a guest does on it stays the same until reboot.
	if result, decided := seen.judgeDevice(); decided {
		return result, ctx.Err()
	}
	return remembered(o.CacheDir, func() (Result, error) {
		seen.runGuest(ctx, kvm.Fd())
		return seen.judge(), ctx.Err()
	})
}

// memory holds the verdict on the host's own architecture for this process.
var memory struct {
	sync.Mutex
	result *Result
}

func remembered(cacheDir string, find func() (Result, error)) (Result, error) {
	memory.Lock()
	defer memory.Unlock()
	if memory.result != nil {
		return *memory.result, nil
	}
	disk := verdictFile(cacheDir)
	result, ok := disk.load()
	if !ok {
		var err error
		if result, err = find(); err != nil {
			return Result{}, err
		}
		// Busy passes, and a broken attempt may have been bad luck.
		if result.Reason == Busy || result.Reason == Broken {
			return result, nil
		}
		disk.store(result)
	}
	memory.result = &result
	return result, nil
}

// runGuest fills in how the guest behaved.
func (o *observation) runGuest(ctx context.Context, kvm uintptr) {
	m, err := newMachine(kvm)
	if err != nil {
		o.setup = err
		return
	}
	defer m.close()
	ctx, cancel := context.WithTimeout(ctx, runLimit)
	defer cancel()

	// Thread time is what the host spends, however busy it is; the vCPU
	// belongs to the thread that runs it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	o.stop = m.run(ctx)
	if o.stop.reason != exitMark || o.stop.mark != markInstructions {
		return
	}
	start := threadTime()
	o.stop = m.run(ctx)
	o.loop = threadTime() - start
}

// threadTime is the processor time this thread has used.
func threadTime() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts); err != nil {
		panic(fmt.Sprintf("read thread time: %v", err)) // no Linux lacks the clock
	}
	return time.Duration(ts.Nano())
}
