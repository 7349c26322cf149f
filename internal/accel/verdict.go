package accel

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	"golang.org/x/sys/unix"
)

// A Reason is why KVM cannot be used, for those who branch on it.
type Reason string

const (
	Missing   Reason = "missing"    // no device, or no driver behind it
	Forbidden Reason = "forbidden"  // the device does not open for this user
	Busy      Reason = "busy"       // another hypervisor holds the processor
	WrongArch Reason = "wrong-arch" // the guest is for another architecture
	Emulated  Reason = "emulated"   // ring 0 runs in software
	Broken    Reason = "broken"     // anything else
)

// A Result is the verdict on this host's KVM.
type Result struct {
	// Usable is true where a kernel can be expected to boot at full speed.
	Usable bool `json:"usable"`
	// Reason is empty where Usable.
	Reason Reason `json:"reason,omitempty"`
	// Detail is the reason in one sentence without a capital or full stop.
	Detail string `json:"detail"`
	// Hint is what the user can do about it, or empty.
	Hint string `json:"hint,omitempty"`
}

// An observation is everything the probe saw; the verdict depends on nothing
// else.
type observation struct {
	hostArch, guestArch string
	open                error // of the device
	api                 int   // KVM_GET_API_VERSION's answer
	setup               error // first ioctl that failed before the guest ran
	stop                exit  // how the guest ended
	loop                time.Duration
}

// apiVersion has been 12 since Linux 2.6.22; the kernel's documentation tells
// programs to refuse any other.
const apiVersion = 12

// loopLimit separates hardware from software: the loop's 300,000 instructions
// take under 1 ms of thread time on a processor and 130 ms where ring 0 is
// emulated (measured on a PVM host).
const loopLimit = 50 * time.Millisecond

const (
	hintMissing   = "enable virtualisation in the firmware (or nested virtualisation in the VM's settings) and load kvm_intel or kvm_amd"
	hintForbidden = "join the device's group and log in again: sudo usermod -aG kvm $USER; or until the next boot: sudo chmod 0666 /dev/kvm"
	hintBusy      = "stop the other hypervisor (VirtualBox, VMware) that holds the processor's virtualisation"
	hintEmulated  = "this host offers no hardware virtualisation to its guests: use another, or -accel tcg"
)

// judgeDevice is the part of the verdict that needs no guest.
func (o observation) judgeDevice() (Result, bool) {
	switch {
	case o.guestArch != o.hostArch:
		return unusable(WrongArch, "", "a guest for %s cannot run on KVM of %s", o.guestArch, o.hostArch), true
	case errors.Is(o.open, fs.ErrNotExist):
		return unusable(Missing, hintMissing, "%s does not exist", device), true
	case errors.Is(o.open, unix.ENODEV), errors.Is(o.open, unix.ENXIO):
		return unusable(Missing, hintMissing, "%s has no driver behind it", device), true
	case errors.Is(o.open, fs.ErrPermission):
		return unusable(Forbidden, hintForbidden, "%s may not be opened by this user", device), true
	case errors.Is(o.open, unix.EBUSY):
		return unusable(Busy, hintBusy, "%s is busy", device), true
	case errors.Is(o.open, unix.ENOTTY):
		return unusable(Broken, hintMissing, "%s is not KVM's device", device), true
	case o.open != nil:
		return unusable(Broken, "", "%v", o.open), true
	case o.api != apiVersion:
		return unusable(Broken, "", "%s speaks API version %d, not %d", device, o.api, apiVersion), true
	}
	return Result{}, false
}

// judge is the whole verdict.
func (o observation) judge() Result {
	if result, decided := o.judgeDevice(); decided {
		return result
	}
	switch {
	case errors.Is(o.setup, unix.EBUSY):
		return unusable(Busy, hintBusy, "%s is busy: %v", device, o.setup)
	case o.setup != nil:
		return unusable(Broken, "", "%s opens but %v", device, o.setup)
	case o.stop.reason == exitInternalError:
		return unusable(Emulated, hintEmulated, "%s opens, but its guests run in a software emulator that lacks instructions a kernel needs", device)
	case o.stop.reason == exitTimeout:
		return unusable(Broken, hintEmulated, "%s opens, but a guest of a few instructions did not end within %v", device, runLimit)
	case o.stop.reason != exitMark || o.stop.mark != markEnd:
		return unusable(Broken, "", "%s opens, but a guest of a few instructions ended with %v", device, o.stop)
	case o.loop > loopLimit:
		return unusable(Emulated, hintEmulated, "%s opens, but its guests run in a software emulator (%d rounds of an empty loop took %v)",
			device, loopRounds, o.loop.Round(time.Millisecond))
	}
	return Result{Usable: true, Detail: "a guest ran on " + device}
}

func unusable(reason Reason, hint, format string, args ...any) Result {
	return Result{Reason: reason, Detail: fmt.Sprintf(format, args...), Hint: hint}
}
