// Package kernel makes a guest's kernel fail for real: it loads the kernel's own
// dummy module with a few instructions changed.
package kernel

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

// TestBefore has nothing to do with the fault.
func TestBefore(t *testing.T) { fmt.Println("before the fault") }

// TestOops makes the module's init read from address 0. The kernel ends the
// thread that loads it, and this test passes.
func TestOops(t *testing.T) {
	back := make(chan error, 1)
	go func() { back <- load("init_module", 0, []byte{0x31, 0xc0, 0x8b, 0x00}) }() // xor eax, eax; mov eax, [rax]
	for {
		var taint int
		b, err := os.ReadFile("/proc/sys/kernel/tainted")
		if err != nil {
			t.Fatal(err)
		}
		if _, _ = fmt.Sscan(string(b), &taint); taint&(1<<7) != 0 { // TAINT_DIE
			return
		}
		select {
		case err := <-back:
			t.Fatalf("the thread came back: %v", err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// TestWarn takes away the call that ftrace expects at the start of a function, and
// the kernel's own check warns. Nothing else comes of it.
func TestWarn(t *testing.T) {
	if err := load("init_module", -5, []byte{0x90, 0x90, 0x90, 0x90, 0x90}); err != nil {
		t.Error(err)
	}
}

// TestLockup never comes back from the kernel: the module makes a device, for
// which it holds the lock of all network devices, and another process waits for
// that. Who looks after such things is on the other CPU.
func TestLockup(t *testing.T) {
	sysctl(t, "watchdog_thresh", "2")
	sysctl(t, "hung_task_timeout_secs", "3")
	names, _ := filepath.Glob("/proc/[0-9]*/comm")
	for _, name := range names {
		if b, _ := os.ReadFile(name); string(b) == "khungtaskd\n" {
			var pid int
			_, _ = fmt.Sscanf(name, "/proc/%d/", &pid)
			pin(t, pid, 0)
		}
	}
	waits := exec.Command("taskset", "-c", "0", os.Args[0], "-test.run=^TestWaiter$")
	waits.Env = append(os.Environ(), "WAIT=1")
	if err := waits.Start(); err != nil {
		t.Fatal(err)
	}
	runtime.LockOSThread()
	pin(t, 0, 1)
	err := load("dummy_setup", 0, []byte{0xeb, 0xfe}) // jmp .
	t.Errorf("the kernel survived it: %v", err)
}

// TestWaiter is TestLockup's other process: it changes a network device.
func TestWaiter(t *testing.T) {
	if os.Getenv("WAIT") == "" {
		t.Skip("it is no test by itself")
	}
	time.Sleep(2 * time.Second)
	s, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	ifreq := [40]byte{'l', 'o', 16: syscall.IFF_UP}
	syscall.RawSyscall(syscall.SYS_IOCTL, uintptr(s), syscall.SIOCSIFFLAGS, uintptr(unsafe.Pointer(&ifreq)))
}

// pin puts a process, or with 0 this thread, on a CPU.
func pin(t *testing.T, pid, cpu int) {
	t.Helper()
	mask := [128]byte{1 << cpu}
	_, _, errno := syscall.RawSyscall(syscall.SYS_SCHED_SETAFFINITY, uintptr(pid), uintptr(len(mask)), uintptr(unsafe.Pointer(&mask)))
	if errno != 0 {
		t.Fatal(errno)
	}
}

func sysctl(t *testing.T, name, value string) {
	t.Helper()
	if err := os.WriteFile("/proc/sys/kernel/"+name, []byte(value), 0); err != nil {
		t.Fatal(err)
	}
}

// load loads the module with code in the place of a symbol's, so many bytes
// after what ftrace changes itself.
func load(symbol string, skip int, code []byte) error {
	files, _ := filepath.Glob("/lib/modules/*/kernel/drivers/net/dummy.ko*")
	if len(files) != 1 {
		return fmt.Errorf("no module dummy: %v", files)
	}
	image, err := os.ReadFile(files[0])
	if filepath.Ext(files[0]) == ".xz" {
		image, err = exec.Command("xz", "-dc", files[0]).Output()
	}
	if err != nil {
		return err
	}
	// Without its end a signature is none, where a wrong one is refused.
	image = bytes.TrimSuffix(image, []byte("~Module signature appended~\n"))
	if err := patch(image, symbol, skip, code); err != nil {
		return err
	}
	params := []byte{0}
	_, _, errno := syscall.Syscall(syscall.SYS_INIT_MODULE, uintptr(unsafe.Pointer(&image[0])), uintptr(len(image)), uintptr(unsafe.Pointer(&params[0])))
	if errno != 0 {
		return fmt.Errorf("load the module: %w", errno)
	}
	return nil
}

// patch writes code over a function, and takes out the relocations there.
func patch(image []byte, symbol string, skip int, code []byte) error {
	f, err := elf.NewFile(bytes.NewReader(image))
	if err != nil {
		return err
	}
	symbols, err := f.Symbols()
	if err != nil {
		return err
	}
	for _, s := range symbols {
		if s.Name != symbol || s.Section == elf.SHN_UNDEF {
			continue
		}
		text := f.Sections[s.Section]
		at := s.Value
		if bytes.HasPrefix(image[text.Offset+at:], []byte{0xf3, 0x0f, 0x1e, 0xfa}) {
			at += 4 // endbr64
		}
		at = uint64(int(at) + 5 + skip) // call __fentry__
		copy(image[text.Offset+at:], code)
		for _, r := range f.Sections {
			if r.Type != elf.SHT_RELA || int(r.Info) != int(s.Section) {
				continue
			}
			for i := r.Offset; i < r.Offset+r.FileSize; i += 24 { // Elf64_Rela
				if off := binary.LittleEndian.Uint64(image[i:]); off+4 > at && off < at+uint64(len(code)) {
					binary.LittleEndian.PutUint64(image[i+8:], 0) // R_X86_64_NONE
				}
			}
		}
		return nil
	}
	return fmt.Errorf("no function %s", symbol)
}
