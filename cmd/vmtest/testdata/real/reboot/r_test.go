package reboot

import (
	"syscall"
	"testing"
	"time"
)

func TestBefore(t *testing.T) {}

func TestReboot(t *testing.T) {
	time.Sleep(time.Second) // for what was printed to leave the guest
	if err := syscall.Reboot(syscall.LINUX_REBOOT_CMD_RESTART); err != nil {
		t.Fatal(err)
	}
	select {}
}

func TestAfter(t *testing.T) {}
