package crash

import (
	"fmt"
	"os"
	"testing"
	"time"
)

func TestBefore(t *testing.T) {}

func TestCrash(t *testing.T) {
	fmt.Println("before the crash")
	time.Sleep(time.Second) // for the line to leave the guest
	if err := os.WriteFile("/proc/sysrq-trigger", []byte("c"), 0); err != nil {
		t.Fatal(err)
	}
	select {}
}

func TestAfter(t *testing.T) {}
