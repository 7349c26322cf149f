package main

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/bpf-vmtest/bpf-vmtest/internal/accel"
	"github.com/bpf-vmtest/bpf-vmtest/internal/boot"
	"github.com/bpf-vmtest/bpf-vmtest/internal/bundle"
	"github.com/bpf-vmtest/bpf-vmtest/internal/guest"
	"github.com/bpf-vmtest/bpf-vmtest/internal/kernelref"
)

const (
	// defaultKernel needs neither a registry nor a compiler.
	defaultKernel     = "debian:6.12"
	defaultRepository = "ghcr.io/bpf-vmtest/kernels"
)

// machineFlags are the flags of every command that boots something.
type machineFlags struct {
	kernel   string
	arch     archFlag
	settings boot.Settings
	locked   bool
	verify   verifyMode
	hermetic bool
	mounts   stringList
	env      stringList
	extra    stringList
	append   stringList

	showCommand, showConsole bool
}

func (m *machineFlags) register(fs *flag.FlagSet) {
	fs.StringVar(&m.kernel, "kernel", kernelsByDefault(), "`reference` of the kernel, see \"vmtest help kernels\"; several for vmtest test, separated by commas")
	m.registerMachine(fs)
	fs.BoolVar(&m.locked, "locked", false, "fail where the lock file does not say which kernel a reference means")
	m.verify.register(fs)
	fs.BoolVar(&m.hermetic, "hermetic", false, "leave out the host's /usr and libraries, and with them /bin/sh")
	fs.Var(&m.mounts, "mount", "show the directory `HOST[:GUEST]` in the guest; may be repeated")
	fs.Var(&m.env, "env", "set a variable, `NAME=VALUE`, or pass on NAME; may be repeated")
}

// registerMachine registers the flags that are about the machine alone.
func (m *machineFlags) registerMachine(fs *flag.FlagSet) {
	m.arch.register(fs)
	fs.TextVar(&m.settings.Accel, "accel", accel.Auto, "`accelerator`: auto, kvm or tcg")
	fs.BoolVar(&m.settings.RequireKVM, "require-kvm", false, "fail where KVM does not work")
	fs.IntVar(&m.settings.CPUs, "cpus", 2, "virtual CPUs of a machine")
	fs.IntVar(&m.settings.MemoryMiB, "memory", 2048, "memory of a machine in `MiB`")
	fs.DurationVar(&m.settings.BootTimeout, "boot-timeout", 0, "`time` a kernel gets to boot, of which waiting for a processor of the host is no part (default 1m with KVM, 3m without)")
	fs.DurationVar(&m.settings.SilenceTimeout, "silence-timeout", 0, "`time` a guest may give no sign of life, counted in the same way (default 1m with KVM, 3m without)")
	fs.BoolVar(&m.settings.Cold, "cold", false, "boot every machine from the start, not from a saved one")
	fs.StringVar(&m.settings.QEMU, "qemu", "", "the QEMU `binary`")
	fs.Var(&m.extra, "qemu-arg", "one more `argument` for QEMU; may be repeated")
	fs.Var(&m.append, "append", "one more kernel `parameter`; may be repeated")
	fs.BoolVar(&m.showCommand, "show-command", false, "print the QEMU command line")
	fs.BoolVar(&m.showConsole, "show-console", false, "print what the kernel prints")
}

func (m *machineFlags) kernels() ([]kernelref.Ref, error) {
	refs, err := parseKernels(m.kernel)
	if err != nil || !m.locked {
		return refs, err
	}
	lock, err := moduleLock()
	if err != nil {
		return nil, err
	}
	return refs, lock.Require(refs, string(m.arch))
}

// parseKernels reads a list of references.
func parseKernels(list string) ([]kernelref.Ref, error) {
	return kernelref.ParseList(list, cmp.Or(os.Getenv("VMTEST_REPOSITORY"), defaultRepository))
}

// kernelsByDefault are the references that -kernel has unless it is given.
func kernelsByDefault() string { return cmp.Or(os.Getenv("VMTEST_KERNEL_DEFAULT"), defaultKernel) }

// finish checks what the flag package cannot.
func (m *machineFlags) finish(a *app, cache string) error {
	m.settings.CacheDir = cache
	m.settings.Templates = os.Getenv("VMTEST_TEMPLATES")
	m.settings.AsRoot = os.Getenv("VMTEST_QEMU_ROOT") != ""
	m.settings.Warn = a.progress
	if m.showCommand {
		m.settings.Show = func(argv []string) { fmt.Fprintln(a.stderr, bundle.Quote(argv)) }
	}
	if m.showConsole {
		m.settings.Console = a.stderr
	}
	m.settings.ExtraQEMU, m.settings.Append = m.extra, m.append
	if m.settings.CPUs < 1 {
		return usagef("", "-cpus %d: want at least 1", m.settings.CPUs)
	}
	if m.settings.MemoryMiB < 128 {
		return usagef("", "-memory %d: want at least 128 (MiB)", m.settings.MemoryMiB)
	}
	for _, e := range m.env {
		if e == "" || e[0] == '=' {
			return usagef("", "-env %q: want NAME=VALUE or NAME", e)
		}
	}
	return nil
}

// needsToolbox reports whether the guest's commands are u-root's, since the
// host's are for another architecture.
func (m *machineFlags) needsToolbox() bool { return m.arch.foreign() && !m.hermetic }

func (m *machineFlags) shares() ([]guest.Share, error) {
	var shares []guest.Share
	for _, s := range m.mounts {
		host, target, _ := strings.Cut(s, ":")
		abs, err := filepath.Abs(host)
		if err != nil {
			return nil, err
		}
		info, err := os.Stat(abs)
		if err != nil || !info.IsDir() {
			return nil, usagef("", "-mount %s: %s is not a directory", s, abs)
		}
		if target != "" && !filepath.IsAbs(target) {
			return nil, usagef("", "-mount %s: the guest's path must be absolute", s)
		}
		shares = append(shares, guest.Share{Path: abs, Target: filepath.Clean(cmp.Or(target, abs))})
	}
	return shares, nil
}

// environment resolves -env's bare names.
func (m *machineFlags) environment() []string {
	var env []string
	for _, e := range m.env {
		if strings.Contains(e, "=") {
			env = append(env, e)
		} else if v, ok := os.LookupEnv(e); ok {
			env = append(env, e+"="+v)
		}
	}
	return env
}
