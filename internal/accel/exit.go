package accel

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"
)

// An exit is why the vCPU came back.
type exit struct {
	reason exitReason
	mark   mark   // for exitMark
	detail uint64 // for exitInternalError its suberror, for exitRunFailed the errno
}

// An exitReason is one of KVM's (include/uapi/linux/kvm.h) or one of ours,
// which are negative.
type exitReason int

const (
	exitIO            exitReason = 2
	exitMMIO          exitReason = 6
	exitShutdown      exitReason = 8
	exitFailEntry     exitReason = 9
	exitInternalError exitReason = 17

	exitMark      exitReason = -1 // the program reported where it is
	exitTimeout   exitReason = -2 // stopped by us
	exitRunFailed exitReason = -3 // KVM_RUN itself failed
)

// A mark is a place in the program: the port or address it touches there.
type mark uint64

// exit reads KVM's report of why the guest was left.
func (m *machine) exit() exit {
	reason := exitReason(m.uint32(runExitReason))
	switch reason {
	case exitIO:
		return exit{reason: exitMark, mark: mark(binary.NativeEndian.Uint16(m.shared[runIOPort:]))}
	case exitMMIO:
		return exit{reason: exitMark, mark: mark(binary.NativeEndian.Uint64(m.shared[runMMIOAddress:]))}
	case exitInternalError:
		return exit{reason: reason, detail: uint64(m.uint32(runSuberror))}
	}
	return exit{reason: reason}
}

func (e exit) String() string {
	switch e.reason {
	case exitMark:
		return fmt.Sprintf("an access to %#x", uint64(e.mark))
	case exitInternalError:
		return fmt.Sprintf("an internal error (%d)", e.detail)
	case exitShutdown:
		return "a triple fault"
	case exitFailEntry:
		return "a failed entry"
	case exitRunFailed:
		return fmt.Sprintf("KVM_RUN: %v", unix.Errno(e.detail))
	}
	return fmt.Sprintf("KVM exit %d", int(e.reason))
}
