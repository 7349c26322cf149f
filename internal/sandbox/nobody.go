// Package sandbox is what a program of the host's is kept in that talks to guests:
// whoever breaks out of a machine is then in here.
package sandbox

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Nobody is the user, and the group, that own nothing. Kernels count owners whom
// they cannot name as theirs.
const Nobody = 65534

// needed are the capabilities that root must have to start a program as nobody,
// to let it read, to give it a file and use that itself, and to end it again. Docker
// leaves out the first.
var needed = []struct {
	bit  uint
	name string
}{
	{unix.CAP_DAC_READ_SEARCH, "CAP_DAC_READ_SEARCH"},
	{unix.CAP_SETUID, "CAP_SETUID"},
	{unix.CAP_SETGID, "CAP_SETGID"},
	{unix.CAP_SETPCAP, "CAP_SETPCAP"},
	{unix.CAP_CHOWN, "CAP_CHOWN"},
	{unix.CAP_DAC_OVERRIDE, "CAP_DAC_OVERRIDE"},
	{unix.CAP_KILL, "CAP_KILL"},
}

// ErrNotRoot says that there is nothing to give up.
var ErrNotRoot = errors.New("only root can run a program as somebody else")

// Check says why [AsNobody] is of no use here, if it is not.
func Check() error {
	if os.Geteuid() != 0 {
		return ErrNotRoot
	}
	have, err := capabilities("/proc/self/status", "CapEff")
	if err != nil {
		return err
	}
	for _, c := range needed {
		if have&(1<<c.bit) == 0 {
			return fmt.Errorf("root here lacks %s", c.name)
		}
	}
	for _, file := range []string{"/proc/self/uid_map", "/proc/self/gid_map"} {
		ids, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if !mapped(string(ids)) {
			return fmt.Errorf("root's user namespace has no user %d", Nobody)
		}
	}
	return nil
}

// mapped reports whether a user namespace has nobody; see user_namespaces(7).
func mapped(ids string) bool {
	for line := range strings.Lines(ids) {
		var first, outside, count uint64
		if n, err := fmt.Sscan(line, &first, &outside, &count); n == 3 && err == nil && first <= Nobody && Nobody-first < count {
			return true
		}
	}
	return false
}

// capabilities reads a set of them.
func capabilities(status, name string) (uint64, error) {
	b, err := os.ReadFile(status)
	if err != nil {
		return 0, err
	}
	for s := bufio.NewScanner(bytes.NewReader(b)); s.Scan(); {
		if value, ok := strings.CutPrefix(s.Text(), name+":"); ok {
			return strconv.ParseUint(strings.TrimSpace(value), 16, 64)
		}
	}
	return 0, fmt.Errorf("read %s: there is no %s", status, name)
}

// AsNobody makes root's cmd run as [Nobody]. It may read whatever root can, and has no
// other right: no file, process or device of the host's is its own. Devices are
// those for whose groups it is given a place. The calling goroutine is locked to a
// thread that does not go on; see [Apart].
func AsNobody(cmd *exec.Cmd, devices ...string) error {
	var groups []uint32
	for _, device := range devices {
		g, err := group(device)
		if err != nil {
			return err
		}
		if g != Nobody {
			groups = append(groups, g)
		}
	}
	// The program is found with root's rights, also where nobody could not look for
	// it. What is in force when it starts is what execve leaves: nothing but the
	// ambient capability.
	if err := unix.Prctl(unix.PR_SET_SECUREBITS, noSetuidFixup, 0, 0, 0); err != nil {
		return fmt.Errorf("keep capabilities while the user changes: %w", err)
	}
	cmd.SysProcAttr.Credential = &syscall.Credential{Uid: Nobody, Gid: Nobody, Groups: groups}
	cmd.SysProcAttr.AmbientCaps = []uintptr{unix.CAP_DAC_READ_SEARCH}
	return nil
}

// noSetuidFixup is SECBIT_NO_SETUID_FIXUP of linux/securebits.h.
const noSetuidFixup = 1 << 2

// group is the one that may read and write a device, where not everybody may. Root's
// own is none to give away.
func group(device string) (uint32, error) {
	info, err := os.Stat(device)
	if err != nil {
		return 0, err
	}
	s := info.Sys().(*syscall.Stat_t)
	switch mode := info.Mode().Perm(); {
	case mode&0o006 == 0o006:
		return Nobody, nil
	case mode&0o060 == 0o060 && s.Gid != 0:
		return s.Gid, nil
	}
	return 0, fmt.Errorf("%s is for root alone", device)
}

// NoNetwork takes the network from this thread and what it starts, which takes
// CAP_SYS_ADMIN: they are in a namespace where there is none.
func NoNetwork() error { return unix.Unshare(unix.CLONE_NEWNET | unix.CLONE_NEWIPC) }

// Readable tries whether the files can be read that way: on some file systems
// capabilities count for nothing.
func Readable(files ...string) error {
	tried := make(chan error)
	Apart(func() { tried <- readable(files) })
	return <-tried
}

// readable makes the file system take this thread for nobody's.
func readable(files []string) error {
	for _, call := range []uintptr{unix.SYS_SETFSGID, unix.SYS_SETFSUID} {
		_, _, _ = unix.RawSyscall(call, Nobody, 0, 0) // it returns no error
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	const bit = 1 << unix.CAP_DAC_READ_SEARCH
	data := [2]unix.CapUserData{{Effective: bit, Permitted: bit}}
	if _, _, errno := unix.RawSyscall(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&data[0])), 0); errno != 0 {
		return fmt.Errorf("give up capabilities: %w", errno)
	}
	for _, file := range files {
		fd, err := unix.Open(file, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return &os.PathError{Op: "read as nobody", Path: file, Err: err}
		}
		_ = unix.Close(fd)
	}
	return nil
}
