package retry

import (
	"os"
	"testing"
)

func TestGood(t *testing.T) {
	if _, err := os.Stat("/marks/again"); err == nil {
		t.Error("ran again, though it had passed")
	}
}

// TestFlaky fails until the host has made a file, and leaves something behind.
func TestFlaky(t *testing.T) {
	if _, err := os.Stat("/run/before"); err != nil {
		t.Error("-setup-cmd has not run here")
	}
	if err := os.Mkdir("/sys/fs/bpf/left", 0o700); err != nil {
		t.Errorf("this machine is not a fresh one: %v", err)
	}
	if _, err := os.Stat("/marks/again"); err != nil {
		t.Fatal("not yet")
	}
}
