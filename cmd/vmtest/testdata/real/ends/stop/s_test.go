package stop

import (
	"syscall"
	"testing"
)

// TestStop cannot say that its time is over.
func TestStop(t *testing.T) {
	syscall.Kill(syscall.Getpid(), syscall.SIGSTOP)
	select {}
}
