package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

func mountKernelFS() error {
	for _, m := range []struct{ fs, dir string }{
		{"proc", "/proc"},
		{"sysfs", "/sys"},
		{"devtmpfs", "/dev"},
	} {
		_ = os.MkdirAll(m.dir, 0o755)
		err := syscall.Mount(m.fs, m.dir, m.fs, syscall.MS_NOSUID, "")
		if err != nil && !errors.Is(err, syscall.EBUSY) { // some kernels mount devtmpfs themselves
			return fmt.Errorf("mount %s on %s: %w", m.fs, m.dir, err)
		}
	}
	return nil
}

// loadModules loads what the host packed for this kernel, in the order in which
// it named the files.
func loadModules(dir string) error {
	files, err := filepath.Glob(filepath.Join(dir, "*.ko"))
	if err != nil {
		return err
	}
	for _, file := range files { // Glob sorts
		image, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if err := initModule(image); err != nil && err != syscall.EEXIST {
			return fmt.Errorf("load %s: %w", filepath.Base(file), err)
		}
		_ = os.Remove(file) // its pages are free for the tests again
	}
	return nil
}

func initModule(image []byte) error {
	params := [1]byte{}
	_, _, errno := syscall.Syscall(syscall.SYS_INIT_MODULE,
		uintptr(unsafe.Pointer(&image[0])), uintptr(len(image)), uintptr(unsafe.Pointer(&params[0])))
	if errno != 0 {
		return errno
	}
	return nil
}

// openPort opens the virtio-serial port of that name once the kernel has it.
//
// The descriptor stays out of Go's poller: virtio-console loses wake-ups when
// one is polled while it is written to.
func openPort(name string, timeout time.Duration) (*os.File, error) {
	for deadline := time.Now().Add(timeout); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		files, _ := filepath.Glob("/sys/class/virtio-ports/*/name")
		for _, file := range files {
			got, err := os.ReadFile(file)
			if err != nil || strings.TrimSpace(string(got)) != name {
				continue
			}
			dev := "/dev/" + filepath.Base(filepath.Dir(file))
			fd, err := syscall.Open(dev, syscall.O_RDWR|syscall.O_CLOEXEC, 0)
			if err != nil {
				return nil, fmt.Errorf("open %s: %w", dev, err)
			}
			return os.NewFile(uintptr(fd), dev), nil
		}
	}
	return nil, fmt.Errorf("no virtio-serial port %s: the kernel needs VIRTIO_CONSOLE and a virtio transport (VIRTIO_PCI or VIRTIO_MMIO)", name)
}

// powerOff ends the machine. A restart is what every machine type can do, also
// without ACPI; QEMU runs with -no-reboot.
func powerOff() {
	drainConsole()
	syscall.Sync()
	_ = syscall.Reboot(syscall.LINUX_REBOOT_CMD_RESTART)
	select {} // PID 1 must not return
}

// drainConsole waits until the serial line has taken all that was printed.
func drainConsole() {
	f, err := os.OpenFile("/dev/console", os.O_WRONLY|syscall.O_NOCTTY, 0)
	if err != nil {
		return
	}
	defer f.Close()
	const tcsbrk = 0x5409 // TCSBRK with argument 1 is tcdrain(3)
	_, _, _ = syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), tcsbrk, 1)
}
