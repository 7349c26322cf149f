package log

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/rlimit"
	"golang.org/x/sys/unix"
)

// TestSmallBuffer checks what docs/bundle.md says a kernel does with a log that
// does not fit the buffer.
func TestSmallBuffer(t *testing.T) {
	if err := rlimit.RemoveMemlock(); err != nil {
		t.Fatal(err)
	}
	way := asm.Instructions{asm.Mov.Imm(asm.R0, 0)}
	for range 1000 {
		way = append(way, asm.Add.Imm(asm.R0, 1))
	}
	var program bytes.Buffer
	if err := append(way, asm.Return()).Marshal(&program, binary.LittleEndian); err != nil {
		t.Fatal(err)
	}
	instructions, license, buffer := program.Bytes(), []byte("GPL\x00"), make([]byte, 4096)
	attr := struct { // of BPF_PROG_LOAD, its beginning
		progType, count       uint32
		instructions, license uintptr
		logLevel, logSize     uint32
		logBuffer             uintptr
	}{
		1, uint32(len(instructions) / 8),
		uintptr(unsafe.Pointer(&instructions[0])), uintptr(unsafe.Pointer(&license[0])),
		2, uint32(len(buffer)),
		uintptr(unsafe.Pointer(&buffer[0])),
	}
	_, _, errno := unix.Syscall(unix.SYS_BPF, unix.BPF_PROG_LOAD, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr))
	runtime.KeepAlive([][]byte{instructions, license, buffer})
	if !errors.Is(errno, unix.ENOSPC) {
		t.Errorf("a correct program fails with %v, want ENOSPC", errno)
	}
	log, _, _ := strings.Cut(string(buffer), "\x00")
	beginning, end := strings.Contains(log, "0: (b7) r0 = 0"), strings.Contains(log, "processed 1002 insns")
	major, minor, _ := strings.Cut(os.Getenv("VMTEST_RELEASE"), ".")
	minor, _, _ = strings.Cut(minor, ".")
	x, _ := strconv.Atoi(major)
	y, _ := strconv.Atoi(minor)
	if rotates := x > 6 || x == 6 && y >= 4; beginning == rotates || end != rotates {
		t.Errorf("of %d bytes, the beginning is kept: %v, the end: %v\n%s", len(log), beginning, end, log)
	}
	t.Logf("%v, beginning %v, end %v", errno, beginning, end)
}
