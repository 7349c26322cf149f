package oom

import (
	"syscall"
	"testing"
)

// TestMemory takes all there is, and has the kernel fill it at once. What it runs
// from is locked: else the kernel spends its last pages on reading that again.
func TestMemory(t *testing.T) {
	if err := syscall.Mlockall(syscall.MCL_CURRENT); err != nil {
		t.Fatal(err)
	}
	for {
		_, err := syscall.Mmap(-1, 0, 64<<20, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_PRIVATE|syscall.MAP_ANONYMOUS|syscall.MAP_POPULATE)
		if err != nil {
			t.Fatal(err)
		}
	}
}
