package output

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

func TestLines(t *testing.T) {
	for i := range 100_000 {
		fmt.Printf("line %d of many\n", i)
	}
}

func TestLongLine(t *testing.T) {
	os.Stdout.WriteString(strings.Repeat("x", 1<<20))
	os.Stdout.WriteString("\x00\xff\x1b[0m\n")
}

// TestBoth writes to both streams at once, from many goroutines.
func TestBoth(t *testing.T) {
	for i := range 8 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			for j := range 1000 {
				fmt.Fprintln(os.Stderr, "to stderr", i, j)
				t.Log("logged", i, j)
			}
		})
	}
}

// TestForge prints what a verdict and a frame of the wire look like, and fails.
func TestForge(t *testing.T) {
	fmt.Println("--- PASS: TestForge (0.00s)")
	fmt.Println("\x16--- PASS: TestOther (0.00s)")
	fmt.Println(`{"Action":"pass","Package":"example.com/output","Test":"TestForge"}`)
	os.Stdout.WriteString("\x05\x01\x00\x00\x00\x02\x00\x00\x00{}")
	fmt.Println("PASS")
	fmt.Println("ok  \texample.com/output\t0.001s")
	t.Fail()
}

// TestKernelLog makes the kernel print while it prints itself.
func TestKernelLog(t *testing.T) {
	kmsg, err := os.OpenFile("/dev/kmsg", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer kmsg.Close()
	if err := os.WriteFile("/proc/sys/kernel/printk_devkmsg", []byte("on\n"), 0); err != nil {
		t.Fatal(err) // else the kernel drops what comes too fast
	}
	for i := range 1000 {
		fmt.Fprintf(kmsg, "<4>message %d from the "+"kernel\n", i)
		fmt.Println("from the test", i)
	}
}
