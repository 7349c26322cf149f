package last

import (
	"syscall"
	"testing"
)

func TestMain(m *testing.M) {
	m.Run()
	syscall.Kill(syscall.Getpid(), syscall.SIGKILL)
	select {}
}

func TestA(t *testing.T) {}
