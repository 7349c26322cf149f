package machine

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/bpf-vmtest/bpf-vmtest/initramfs/wire"
)

// A device is one part of the command line.
type device interface {
	args() []string
}

// arguments is the command line of a machine made of these devices.
func arguments(devices []device) []string {
	var all []string
	for _, d := range devices {
		all = append(all, d.args()...)
	}
	return all
}

// A platform is what differs between architectures.
type platform struct {
	binary  string
	machine string // type, with its options
	cpu     string // model for TCG
	console string // the kernel's name for the serial line
	timer   string // kernel parameter for a host without time to spare
	reboot  string // kernel parameter for a reboot that always works
	routing string // kernel parameter against the routing of wired interrupts
	tsc     bool   // whether time is read from a TSC
}

func platformOf(goarch string) (platform, error) {
	switch goarch {
	case "amd64":
		// pc boots 0.3 s faster than q35 under TCG. A reboot by triple
		// fault needs neither ACPI nor a keyboard controller. On a busy
		// host an emulated timer does not tick in the time in which a
		// kernel looks whether it does, which then panics ("IO-APIC +
		// timer doesn't work!"); with KVM it does not look.
		return platform{"qemu-system-x86_64", "pc,vmport=off", "max", "ttyS0", "no_timer_check", "reboot=t", "acpi=noirq", true}, nil
	case "arm64":
		// Signing pointers by software takes two thirds of the time of a
		// boot: pauth-impdef=on, a cheaper algorithm, a fifth. Kernels
		// before 5.12 do not start on a processor with LPA2.
		return platform{"qemu-system-aarch64", "virt,gic-version=max", "max,pauth=off,lpa2=off", "ttyAMA0", "", "", "", false}, nil
	}
	return platform{}, fmt.Errorf("choose a machine for %q: only amd64 and arm64 are supported", goarch)
}

func (m *Machine) devices(p platform) []device {
	parameters := p.plainParameters()
	if !m.Plain {
		parameters = p.parameters()
		if !m.KVM {
			parameters = append(parameters, patience...)
			parameters = append(parameters, p.clock()...)
		}
		// ACPI's routing is bytecode, interpreted by a kernel that is itself
		// translated: a fifth of a boot. Our own devices send messages
		// instead; those that were added may have wires.
		if !m.KVM && p.routing != "" && len(m.Extra) == 0 {
			parameters = append(parameters, p.routing)
		}
	}
	kind, ram := p.machine, device(memory(m.MemoryMiB))
	if m.Snapshot != nil {
		kind += ",memory-backend=" + snapshotRAM
		ram = snapshotMemory{mib: m.MemoryMiB, Snapshot: *m.Snapshot, restore: m.Restore}
	}
	devices := []device{
		nothingByDefault{},
		seccomp{},
		machineType(kind),
		accelerator{kvm: m.KVM, cpu: p.cpu},
		processors(m.CPUs),
		ram,
		boot{kernel: m.Kernel, initramfs: m.Initramfs, parameters: append(parameters, m.Append...)},
		serialConsole{},
	}
	if !m.Plain {
		devices = append(devices, exitInsteadOfReboot{}, wirePort{})
	}
	if m.Snapshot != nil {
		devices = append(devices, monitorPort{restore: m.Restore})
	}
	for i, s := range m.Shares {
		devices = append(devices, share{n: i, Share: s})
	}
	return append(devices, extra(m.Extra))
}

// plainParameters are what a kernel cannot do without in our machines.
func (p platform) plainParameters() []string {
	params := []string{"console=" + p.console}
	if p.timer != "" {
		params = append(params, p.timer)
	}
	return params
}

// patience makes a kernel that QEMU translates wait three times as long before it
// says that a CPU is stuck: on a busy host it is not the CPU that is.
var patience = []string{"watchdog_thresh=30", "rcupdate.rcu_cpu_stall_timeout=63"}

// clock has a kernel trust the TSC where the host's own does, for QEMU's is made of
// that. Otherwise a kernel compares it with another clock, which on a busy host
// takes its time; until then timers are coarse, and an idle machine takes a
// twelfth of a processor for its ticks, instead of a hundredth.
func (p platform) clock() []string {
	host, err := os.ReadFile("/sys/devices/system/clocksource/clocksource0/current_clocksource")
	if p.tsc && err == nil && strings.TrimSpace(string(host)) == "tsc" {
		return []string{"tsc=reliable"}
	}
	return nil
}

func (p platform) parameters() []string {
	params := append(p.plainParameters(),
		"panic=-1",                    // a panic reboots at once, and -no-reboot makes that an exit
		"loglevel=7", "printk.time=1", // the console tells the kernel's own lines by their time
	)
	if p.reboot != "" {
		params = append(params, p.reboot)
	}
	return params
}

// nothingByDefault leaves out QEMU's own idea of a PC: network card, display,
// floppy, monitor.
type nothingByDefault struct{}

func (nothingByDefault) args() []string {
	return []string{"-nodefaults", "-no-user-config", "-display", "none"}
}

// exitInsteadOfReboot ends QEMU when the guest restarts, panics or dies of a
// triple fault.
type exitInsteadOfReboot struct{}

func (exitInsteadOfReboot) args() []string { return []string{"-no-reboot"} }

// seccomp denies QEMU the system calls that a machine like ours never needs.
type seccomp struct{}

func (seccomp) args() []string {
	return []string{"-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"}
}

type machineType string

func (t machineType) args() []string { return []string{"-machine", string(t)} }

type accelerator struct {
	kvm bool
	cpu string // without KVM
}

func (a accelerator) args() []string {
	if a.kvm {
		return []string{"-accel", "kvm", "-cpu", "host"}
	}
	return []string{
		// All vCPUs in one thread. With a thread each, a vCPU may go on
		// running code that another has just patched, and kernels patch
		// themselves all the time (static keys, ftrace): a stale int3 is
		// an oops in finish_task_switch, seen with QEMU 7.2.
		"-accel", "tcg,thread=single",
		// max has the atomic instructions that new kernels may be built for.
		"-cpu", a.cpu,
	}
}

type processors int

func (n processors) args() []string { return []string{"-smp", strconv.Itoa(int(n))} }

// memory in MiB.
type memory int

func (mib memory) args() []string { return []string{"-m", strconv.Itoa(int(mib)) + "M"} }

type boot struct {
	kernel, initramfs string
	parameters        []string
}

func (b boot) args() []string {
	args := []string{"-kernel", b.kernel, "-append", strings.Join(b.parameters, " ")}
	if b.initramfs != "" {
		args = append(args, "-initrd", b.initramfs)
	}
	return args
}

// serialConsole takes the kernel's messages on a channel of their own.
type serialConsole struct{}

func (serialConsole) args() []string {
	return []string{"-chardev", "socket,id=console,fd=4", "-serial", "chardev:console"}
}

// wirePort is the guest's line to vmtest.
type wirePort struct{}

func (wirePort) args() []string {
	return []string{
		"-chardev", "socket,id=wire,fd=3",
		"-device", "virtio-serial-pci",
		"-device", "virtserialport,chardev=wire,name=" + wire.PortName,
	}
}

type share struct {
	n int
	Share
}

func (s share) args() []string {
	id := fmt.Sprintf("share%d", s.n)
	return []string{
		// A share that spans file systems needs its inode numbers remapped.
		"-fsdev", fmt.Sprintf("local,id=%s,path=%s,security_model=none,readonly=on,multidevs=remap", id, escape(s.Path)),
		"-device", fmt.Sprintf("virtio-9p-pci,fsdev=%s,mount_tag=%s", id, s.Tag),
	}
}

// escape doubles commas, which separate QEMU's options.
func escape(path string) string { return strings.ReplaceAll(path, ",", ",,") }

type extra []string

func (e extra) args() []string { return e }
