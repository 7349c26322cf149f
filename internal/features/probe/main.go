// Probe finds out what the kernel it runs on can do for BPF, and prints a table
// of package features as JSON. It is the program of a guest: it attaches
// programs to everything it can, adds network devices, and leaves them behind.
package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"github.com/cilium/ebpf/rlimit"
	"golang.org/x/sys/unix"

	"github.com/bpf-vmtest/bpf-vmtest/internal/features"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintf(os.Stderr, "probe: %v\n", err)
		os.Exit(1)
	}
}

func run() error {
	if os.Getppid() != 1 { // in a guest, init starts it
		return errors.New("this changes the machine it runs on, and is meant for guests of vmtest")
	}
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return fmt.Errorf("ask for the kernel's release: %w", err)
	}
	// Before 5.11 maps count against it.
	if err := rlimit.RemoveMemlock(); err != nil {
		return err
	}
	t := &features.Table{Release: unix.ByteSliceToString(u.Release[:]), Arch: runtime.GOARCH}
	probeKernel(t)
	probeTypes(t)
	probeHelpers(t)
	if err := probeAttaching(t); err != nil {
		return err
	}
	b, err := t.Encode()
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(b)
	return err
}
