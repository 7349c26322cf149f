// Init is PID 1 of a guest. It says hello over the wire, waits, builds the file
// system it is told to, runs the commands it is told to, and powers off.
//
// Under the name of modprobe it is that program: see there.
//
// It decides nothing: what to mount, which environment to give and what a
// result means is the host's business. It is compiled for each guest from the
// source that vmtest carries, with the standard library alone.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/bpf-vmtest/bpf-vmtest/initramfs/wire"
)

// portTimeout bounds the wait for the virtio-serial port; the driver has
// usually found it before this program starts.
const portTimeout = 30 * time.Second

func main() {
	if os.Args[0] == rehearsed {
		return
	}
	if filepath.Base(os.Args[0]) == "modprobe" {
		if err := modprobe(os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, "modprobe:", err)
			os.Exit(1)
		}
		return
	}
	err := run()
	if err != nil {
		logf("%v", err)
	}
	powerOff()
}

func run() error {
	if os.Getpid() != 1 {
		return fmt.Errorf("this is a guest's init, it must be PID 1")
	}
	if err := mountKernelFS(); err != nil {
		return err
	}
	if err := loadModules("/vmtest/modules"); err != nil {
		return err
	}
	port, err := openPort(wire.PortName, portTimeout)
	if err != nil {
		return err
	}
	conn := wire.NewConn(port)
	if err := conn.SendMsg(wire.Hello, 0, hello()); err != nil {
		return fmt.Errorf("say hello: %w", err)
	}
	return serve(conn, newProcesses())
}

func hello() *wire.HelloMsg {
	var u syscall.Utsname
	_ = syscall.Uname(&u) // cannot fail with a valid pointer
	return &wire.HelloMsg{
		Protocol: wire.Protocol,
		Release:  cString(u.Release[:]),
		Machine:  cString(u.Machine[:]),
		Uptime:   uptime(),
	}
}

func uptime() time.Duration {
	b, err := os.ReadFile("/proc/uptime")
	if err != nil {
		return 0
	}
	seconds, _, _ := strings.Cut(string(b), " ")
	d, _ := time.ParseDuration(seconds + "s")
	return d
}

// serve handles frames until the host says shutdown or goes away.
func serve(conn *wire.Conn, procs *processes) error {
	for {
		f, err := conn.Read()
		if err != nil {
			return fmt.Errorf("read from host: %w", err)
		}
		switch f.Type {
		case wire.Prepare:
			var m wire.PrepareMsg
			if err = f.Decode(&m); err == nil {
				ready := prepare(m)
				if m.Rehearse {
					rehearse(procs)
				}
				err = conn.SendMsg(wire.Ready, 0, &ready)
			}
		case wire.Setup:
			var m wire.SetupMsg
			if err = f.Decode(&m); err == nil {
				ready := setup(m)
				err = conn.SendMsg(wire.Ready, 0, &ready)
			}
		case wire.Start:
			var m wire.StartMsg
			if err = f.Decode(&m); err == nil {
				procs.start(conn, f.ID, m)
			}
		case wire.Stdin:
			procs.stdin(f.ID, f.Payload)
		case wire.Signal:
			var m wire.SignalMsg
			if err = f.Decode(&m); err == nil {
				procs.signal(f.ID, syscall.Signal(m.Signal))
			}
		case wire.Resize:
			var m wire.WindowSize
			if err = f.Decode(&m); err == nil {
				procs.resize(f.ID, m)
			}
		case wire.Fetch:
			var m wire.FetchMsg
			if err = f.Decode(&m); err == nil {
				go fetch(conn, f.ID, m)
			}
		case wire.Sysrq:
			var m wire.SysrqMsg
			if err = f.Decode(&m); err == nil {
				sysrq(m.Keys)
			}
		case wire.Ping:
			err = conn.Send(wire.Pong, f.ID, nil)
		case wire.Shutdown:
			drainConsole()
			return conn.SendMsg(wire.Done, 0, nil)
		default:
			err = fmt.Errorf("unknown frame of type %d", f.Type)
		}
		if err != nil {
			return err
		}
	}
}

func sysrq(keys string) {
	for _, k := range keys {
		if err := os.WriteFile("/proc/sysrq-trigger", []byte(string(k)), 0); err != nil {
			logf("write sysrq %q: %v", k, err)
		}
	}
}

// logf writes to the kernel log, and so to the console file.
func logf(format string, args ...any) {
	f, err := os.OpenFile("/dev/kmsg", os.O_WRONLY, 0)
	if err != nil {
		return
	}
	defer f.Close()
	fmt.Fprintf(f, "<3>vmtest init: "+format+"\n", args...)
}

func cString(b []int8) string {
	var s []byte
	for _, c := range b {
		if c == 0 {
			break
		}
		s = append(s, byte(c))
	}
	return string(s)
}
