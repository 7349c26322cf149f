package segv

import (
	"testing"
	"unsafe"
)

func TestSegv(t *testing.T) {
	*(*int)(unsafe.Pointer(uintptr(1 << 40))) = 1
}
