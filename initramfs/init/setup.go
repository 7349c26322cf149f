package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"unsafe"

	"github.com/bpf-vmtest/bpf-vmtest/initramfs/wire"
)

// prepare turns the booted initramfs into a machine that lacks only what tells
// it from others.
func prepare(m wire.PrepareMsg) wire.ReadyMsg {
	if err := leaveInitramfs(); err != nil {
		return wire.ReadyMsg{Error: err.Error()}
	}
	return doAll(m.Steps)
}

// setup makes it the machine that commands run in.
func setup(m wire.SetupMsg) wire.ReadyMsg {
	err := identify(m)
	if err == nil {
		err = allowCores(m.CorePattern, m.CoreLimit)
	}
	if err != nil {
		return wire.ReadyMsg{Error: err.Error()}
	}
	return doAll(m.Steps)
}

func doAll(steps []wire.Step) wire.ReadyMsg {
	var ready wire.ReadyMsg
	for _, s := range steps {
		err := do(s)
		if err != nil && s.Optional {
			ready.Skipped = append(ready.Skipped, err.Error())
		} else if err != nil {
			ready.Error = err.Error()
			return ready
		}
	}
	return ready
}

func leaveInitramfs() error {
	if err := loopbackUp(); err != nil {
		return fmt.Errorf("bring up lo: %w", err)
	}
	// Go raises the soft limit itself; the hard limit is what systemd gives.
	limit := syscall.Rlimit{Cur: 1024, Max: 524288}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("set the limit of open files: %w", err)
	}
	return switchRoot()
}

// identify gives the machine a time, random numbers and a name of its own: one
// that was restored has those of the moment in which it was saved.
func identify(m wire.SetupMsg) error {
	if m.Clock != 0 {
		tv := syscall.NsecToTimeval(m.Clock)
		if err := syscall.Settimeofday(&tv); err != nil {
			return fmt.Errorf("set the clock: %w", err)
		}
	}
	if err := addEntropy(m.Entropy); err != nil {
		return fmt.Errorf("seed the random generator: %w", err)
	}
	if err := syscall.Sethostname([]byte(m.Hostname)); err != nil {
		return fmt.Errorf("set the host name to %q: %w", m.Hostname, err)
	}
	return nil
}

// allowCores has commands dump core, on kernels that can.
func allowCores(pattern string, size uint64) error {
	if pattern == "" {
		return nil
	}
	err := os.WriteFile("/proc/sys/kernel/core_pattern", []byte(pattern), 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	limit := syscall.Rlimit{Cur: size, Max: ^uint64(0)}
	if err == nil {
		err = syscall.Setrlimit(syscall.RLIMIT_CORE, &limit)
	}
	if err != nil {
		return fmt.Errorf("set up core dumps: %w", err)
	}
	return nil
}

// switchRoot moves to an empty tmpfs. Nothing can be unmounted from the
// initramfs itself and pivot_root(2) does not work on it, so tests that make
// containers would fail there.
func switchRoot() error {
	const root = "/vmtest/root"
	if err := os.MkdirAll(root, 0o755); err != nil {
		return err
	}
	if err := syscall.Mount("tmpfs", root, "tmpfs", 0, "mode=755"); err != nil {
		return fmt.Errorf("mount the root: %w", err)
	}
	moved := []string{"/dev", "/proc", "/sys"}
	for _, dir := range moved {
		if err := moveMount(dir, root+dir, syscall.MS_MOVE); err != nil {
			return err
		}
	}
	// The u-root toolbox, when the archive carries it.
	if _, err := os.Stat("/bbin"); err == nil {
		if err := moveMount("/bbin", root+"/bbin", syscall.MS_BIND); err != nil {
			return err
		}
	}
	_ = os.Remove("/init") // gives its pages back once the process no longer needs them
	if err := os.Chdir(root); err != nil {
		return err
	}
	if err := syscall.Mount(".", "/", "", syscall.MS_MOVE, ""); err != nil {
		return fmt.Errorf("move the root: %w", err)
	}
	if err := syscall.Chroot("."); err != nil {
		return fmt.Errorf("change the root: %w", err)
	}
	return os.Chdir("/")
}

func moveMount(from, to string, how uintptr) error {
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	if err := syscall.Mount(from, to, "", how, ""); err != nil {
		return fmt.Errorf("move mount %s: %w", from, err)
	}
	return nil
}

func do(s wire.Step) error {
	switch {
	case s.Mkdir != nil:
		return mkdir(*s.Mkdir)
	case s.Mount != nil:
		return mount(*s.Mount)
	case s.Symlink != nil:
		return symlink(*s.Symlink)
	case s.Write != nil:
		return write(*s.Write)
	}
	return fmt.Errorf("empty step")
}

func mkdir(m wire.Mkdir) error {
	if err := os.MkdirAll(m.Path, 0o755); err != nil {
		return err
	}
	if m.Mode == 0 {
		return nil
	}
	return syscall.Chmod(m.Path, m.Mode) // the raw mode: sticky bits, no umask
}

func mount(m wire.Mount) error {
	if err := os.MkdirAll(m.Target, 0o755); err != nil {
		return err
	}
	if err := syscall.Mount(m.Source, m.Target, m.Type, m.Flags, m.Data); err != nil {
		return fmt.Errorf("mount %s on %s: %w", m.Type, m.Target, err)
	}
	return nil
}

// symlink leaves what is there already: it came with a share of the user's.
func symlink(s wire.Symlink) error {
	if err := os.MkdirAll(filepath.Dir(s.Path), 0o755); err != nil {
		return err
	}
	err := os.Symlink(s.Target, s.Path)
	if errors.Is(err, os.ErrExist) {
		return nil
	}
	return err
}

func write(w wire.Write) error {
	if err := os.MkdirAll(filepath.Dir(w.Path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(w.Path, w.Data, os.FileMode(w.Mode))
}

// addEntropy credits seed to the kernel's generator, so that nothing in the
// guest waits for interrupts to provide it, and makes the generator use it: a
// machine that was restored would go on with the numbers of the one that was
// saved for up to five minutes.
func addEntropy(seed []byte) error {
	if len(seed) == 0 {
		return nil
	}
	f, err := os.OpenFile("/dev/urandom", os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	// struct rand_pool_info { int entropy_count; int buf_size; __u32 buf[]; }
	info := binary.NativeEndian.AppendUint32(nil, uint32(8*len(seed)))
	info = binary.NativeEndian.AppendUint32(info, uint32(len(seed)))
	info = append(info, seed...)
	const rndAddEntropy, rndReseedCRNG = 0x40085203, 0x5207
	if err := ioctl(f.Fd(), rndAddEntropy, unsafe.Pointer(&info[0])); err != nil {
		return err
	}
	err = ioctl(f.Fd(), rndReseedCRNG, nil)
	if err == syscall.EINVAL { // Linux before 4.14
		return nil
	}
	return err
}

func loopbackUp() error {
	s, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, 0)
	if err == syscall.EAFNOSUPPORT {
		return nil // a kernel without IPv4 has no use for lo
	}
	if err != nil {
		return err
	}
	defer syscall.Close(s)
	var ifreq struct { // struct ifreq
		name  [syscall.IFNAMSIZ]byte
		flags uint16
		_     [22]byte
	}
	copy(ifreq.name[:], "lo")
	ifreq.flags = syscall.IFF_UP | syscall.IFF_RUNNING
	return ioctl(uintptr(s), syscall.SIOCSIFFLAGS, unsafe.Pointer(&ifreq))
}

func ioctl(fd, request uintptr, arg unsafe.Pointer) error {
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, fd, request, uintptr(arg)); errno != 0 {
		return errno
	}
	return nil
}
