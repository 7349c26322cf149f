package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	libfeatures "github.com/cilium/ebpf/features"
	"golang.org/x/sys/unix"

	"github.com/bpf-vmtest/bpf-vmtest/internal/features"
)

// probeKernel looks at what belongs to no type of program or map.
func probeKernel(t *features.Table) {
	add := func(name string, err error) { t.Add(features.Kernel, finding(name, err)) }
	add("bounded_loops", libfeatures.HaveBoundedLoops())
	add("large_instructions", libfeatures.HaveLargeInstructions())
	add("isa_v2", libfeatures.HaveV2ISA())
	add("isa_v3", libfeatures.HaveV3ISA())
	add("isa_v4", libfeatures.HaveV4ISA())
	add("jit", haveJIT())
	add("af_xdp", haveAFXDP())
	add("module_btf", haveModuleBTF())
	add("sched_ext", haveSchedExt())
	t.Add(features.Kernel, kernelBTF())
}

// kernelBTF loads the kernel's types. Their number goes into the table, so that
// a comparison of two kernels' tables shows it.
func kernelBTF() features.Feature {
	if _, err := os.Stat("/sys/kernel/btf/vmlinux"); err != nil {
		return finding("btf", unsupported(err, "there is no /sys/kernel/btf/vmlinux"))
	}
	spec, err := btf.LoadKernelSpec()
	if err != nil {
		return finding("btf", err)
	}
	types := 0
	for _, err := range spec.All() {
		if err != nil {
			return finding("btf", err)
		}
		types++
	}
	f := finding("btf", nil)
	f.Detail = fmt.Sprintf("%d types", types)
	return f
}

// haveModuleBTF loads the types of a module, of any that is loaded.
func haveModuleBTF() error {
	modules, err := os.ReadDir("/sys/kernel/btf")
	if err != nil {
		return unsupported(err, "there is no /sys/kernel/btf")
	}
	for _, m := range modules {
		if m.Name() != "vmlinux" {
			_, err := btf.LoadKernelModuleSpec(m.Name())
			return err
		}
	}
	if loaded, err := os.ReadFile("/proc/modules"); err != nil || len(loaded) == 0 {
		return errors.New("no module is loaded")
	}
	return fmt.Errorf("no module has BTF: %w", ebpf.ErrNotSupported)
}

// haveJIT looks at what has become of a program.
func haveJIT() error {
	enabled, err := os.ReadFile("/proc/sys/net/core/bpf_jit_enable")
	if err == nil && strings.TrimSpace(string(enabled)) == "0" {
		return fmt.Errorf("net.core.bpf_jit_enable is 0: %w", ebpf.ErrNotSupported)
	}
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SocketFilter, Instructions: returning(0), License: "GPL"})
	if err != nil {
		return err
	}
	defer p.Close()
	info, err := p.Info()
	if err != nil {
		return err
	}
	size, err := info.JitedSize()
	if err == nil && size == 0 {
		err = fmt.Errorf("a program was not compiled: %w", ebpf.ErrNotSupported)
	}
	return err
}

func haveAFXDP() error {
	fd, err := unix.Socket(unix.AF_XDP, unix.SOCK_RAW, 0)
	if err != nil {
		return unsupported(err, "make an AF_XDP socket")
	}
	return unix.Close(fd)
}

func haveSchedExt() error {
	const dir = "/sys/kernel/sched_ext"
	if _, err := os.Stat(dir); err != nil {
		return unsupported(err, "there is no "+dir)
	}
	return nil
}

// unsupported makes the errors that mean that the kernel has no such thing
// ErrNotSupported.
func unsupported(err error, what string) error {
	for _, none := range []error{os.ErrNotExist, unix.EAFNOSUPPORT, unix.EOPNOTSUPP, unix.EPROTONOSUPPORT} {
		if errors.Is(err, none) {
			return fmt.Errorf("%s: %w", what, ebpf.ErrNotSupported)
		}
	}
	return fmt.Errorf("%s: %w", what, err)
}
