// Package fakeqemu stands in for QEMU in tests: a program that takes vmtest's
// command line, speaks the wire protocol on the inherited sockets, and runs the
// guest's commands natively on the host. It boots in milliseconds, needs no
// rights, and fails on demand.
//
// Its kernels are files made by [Kernel.WriteFile], which look like bzImages
// and say how the machine is to behave. Its guests share the host's file
// system: the paths that vmtest would mount somewhere else are replaced in the
// commands' arguments.
//
// A machine whose memory is a file can be saved and restored over its monitor.
// A machine without a port for the wire has a shell on its console that knows
// poweroff.
//
// A command finds two FIFOs in its environment. What it writes to $FAKE_KMSG
// appears on the console, a line at a time, with a time stamp. "c" written to
// $FAKE_SYSRQ panics the kernel, "b" ends the machine without a word.
package fakeqemu

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/bpf-vmtest/bpf-vmtest/initramfs/wire"
)

// Version is what the program says to --version.
const Version = "QEMU emulator version 9.9.9 (fake)"

// Main is the program. It does not return.
func Main() {
	if len(os.Args) == 2 && strings.TrimLeft(os.Args[1], "-") == "version" {
		fmt.Println(Version)
		os.Exit(0)
	}
	m, err := parse(os.Args[1:])
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", filepath.Base(os.Args[0]), err)
		os.Exit(1)
	}
	for fd := 3; fd <= 5; fd++ { // what a command leaves behind must not hold them
		syscall.CloseOnExec(fd)
	}
	m.wire = wire.NewConn(os.NewFile(3, "wire"))
	m.console = &console{file: os.NewFile(4, "console"), start: time.Now()}
	if m.ram != "" {
		if err := m.allocate(); err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", filepath.Base(os.Args[0]), err)
			os.Exit(1)
		}
	}
	if m.incoming {
		m.restored()
	} else if m.wired {
		m.boot()
	} else {
		m.plain()
	}
	os.Exit(0)
}

// machine is what the command line describes.
type machine struct {
	kernel  Kernel
	shares  map[string]string // mount tag → host path
	scratch string            // the guest's /run/vmtest, removed by vmtest
	append  string
	wired   bool // has a port for the wire
	snapshot
	wire    *wire.Conn
	console *console
}

// parse reads a command line. It knows only the options that vmtest uses.
func parse(args []string) (*machine, error) {
	m := &machine{shares: map[string]string{}}
	paths := map[string]string{} // fsdev → host path
	for len(args) > 0 {
		flag := args[0]
		switch flag {
		case "-nodefaults", "-no-user-config", "-no-reboot":
			args = args[1:]
			continue
		}
		if len(args) < 2 {
			return nil, fmt.Errorf("%s: requires an argument", flag)
		}
		value := args[1]
		args = args[2:]
		var err error
		switch flag {
		case "-kernel":
			m.kernel, err = ReadKernel(value)
		case "-initrd":
			m.scratch = filepath.Dir(value)
			_, err = os.Stat(value)
		case "-object":
			err = m.memory(value)
		case "-incoming":
			m.incoming = true
		case "-append":
			m.append = value
		case "-fsdev":
			o := options(value)
			paths[o["id"]] = o["path"]
			err = exported(o)
		case "-device":
			switch o := options(value); o[""] {
			case "virtio-9p-pci":
				m.shares[o["mount_tag"]] = paths[o["fsdev"]]
			case "virtserialport":
				m.wired = true
			}
		case "-display", "-sandbox", "-machine", "-accel", "-cpu", "-smp", "-m", "-chardev", "-serial", "-mon", "-name":
		default:
			err = fmt.Errorf("%s: invalid option", flag)
		}
		if err != nil {
			return nil, err
		}
	}
	return m, nil
}

// exported checks what QEMU itself would complain about, and that the host is
// safe.
func exported(o map[string]string) error {
	if o["readonly"] != "on" {
		return fmt.Errorf("-fsdev %s: not exported read-only", o["id"])
	}
	_, err := os.Stat(o["path"])
	return err
}

// options splits "local,id=a,path=/x,,y" at its single commas. The word without
// a name is kept under "".
func options(s string) map[string]string {
	const comma = "\x00"
	all := map[string]string{}
	for o := range strings.SplitSeq(strings.ReplaceAll(s, ",,", comma), ",") {
		name, value, ok := strings.Cut(strings.ReplaceAll(o, comma, ","), "=")
		if !ok {
			name, value = "", name
		}
		all[name] = value
	}
	return all
}
