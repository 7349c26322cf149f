package main

import (
	"flag"
	"fmt"
	"runtime"
	"slices"
	"strings"

	"github.com/bpf-vmtest/bpf-vmtest/internal/kernel"
)

// archFlag is the GOARCH of kernels and their guests.
type archFlag string

// register makes it the flag -arch, this machine's unless given.
func (f *archFlag) register(fs *flag.FlagSet) {
	*f = archFlag(runtime.GOARCH)
	fs.Var(f, "arch", "`architecture` of the kernel: "+strings.Join(kernel.Architectures, " or "))
}

func (f *archFlag) String() string { return string(*f) }

func (f *archFlag) Set(s string) error {
	if !slices.Contains(kernel.Architectures, s) {
		return fmt.Errorf("want %s", strings.Join(kernel.Architectures, " or "))
	}
	*f = archFlag(s)
	return nil
}

// foreign reports whether it is another than this machine's, whose programs
// are then of no use to a guest.
func (f archFlag) foreign() bool { return string(f) != runtime.GOARCH }
