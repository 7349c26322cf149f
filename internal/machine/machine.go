// Package machine is a QEMU process that runs a kernel.
package machine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/bpf-vmtest/bpf-vmtest/internal/sandbox"
	"github.com/bpf-vmtest/bpf-vmtest/internal/timeline"
)

// A Machine is a virtual machine to be started. Like an [os/exec.Cmd] it is
// filled in, started and waited for once.
type Machine struct {
	QEMU string // the binary, looked up in PATH; empty for the one of Arch
	Arch string // GOARCH of the kernel
	KVM  bool   // else TCG

	Kernel    string   // path of a bzImage, a vmlinux with a PVH note, or an Image
	Initramfs string   // path of a cpio archive; a restored machine has read it before
	Append    []string // more kernel parameters

	CPUs      int
	MemoryMiB int
	Shares    []Share
	Masks     []Mask
	Extra     []string // more QEMU arguments, after all others
	// Plain leaves out the wire, and what makes a restart or a panic end the
	// machine: it is what anybody starts who has a kernel and an initramfs.
	Plain bool

	// Snapshot, when set, is where the guest's memory lies, for [Machine.Save]
	// or, with Restore, as it was saved.
	Snapshot *Snapshot
	Restore  bool
	// Unmasked, when set, is told why the masks have no effect, if they have
	// none.
	Unmasked func(error)
	// AsRoot runs QEMU as root where we are root; else that is only done where it
	// has to be, and Rooted, when set, is told why. Any other user's runs as that.
	AsRoot bool
	Rooted func(error)

	// Console gets what the kernel prints. It is called from one goroutine.
	Console io.Writer

	wire, console *os.File
	monitor       *net.UnixConn // of one with a Snapshot
	stderr        tail
	cmd           *exec.Cmd
	started       time.Time
	done          chan struct{}
	err           error
}

// A Share is a directory of the host that the guest may mount by its tag, with
// 9p over virtio. QEMU exports it read-only, whatever the guest does.
type Share struct {
	Tag  string // at most 31 bytes
	Path string // absolute
}

// A NotFoundError says that there is no QEMU for an architecture.
type NotFoundError struct {
	Binary string
	Arch   string // of its guests
	Err    error
}

func (e *NotFoundError) Error() string { return fmt.Sprintf("find %s: %v", e.Binary, e.Err) }
func (e *NotFoundError) Unwrap() error { return e.Err }

// Hint says how to get it.
func (e *NotFoundError) Hint() string {
	return "`vmtest setup -for " + e.Arch + "` installs it"
}

// An ExitError says that QEMU ended with an error of its own.
type ExitError struct {
	Err    error
	Stderr string // the end of what it printed
}

func (e *ExitError) Error() string {
	if e.Stderr == "" {
		return fmt.Sprintf("run qemu: %v", e.Err)
	}
	return fmt.Sprintf("run qemu: %v: %s", e.Err, e.Stderr)
}

func (e *ExitError) Unwrap() error { return e.Err }

// Command is the command line that Start would run. The wire and the console
// are inherited sockets, file descriptors 3 and 4, and so is the monitor of a
// machine with a snapshot, 5.
func (m *Machine) Command() ([]string, error) {
	p, err := platformOf(m.Arch)
	if err != nil {
		return nil, err
	}
	qemu := m.QEMU
	if qemu == "" {
		qemu = p.binary
	}
	return append([]string{qemu}, arguments(m.devices(p))...), nil
}

// Start starts QEMU, and restores the machine if that is asked for. When ctx
// ends, the process is killed.
func (m *Machine) Start(ctx context.Context) (err error) {
	argv, err := m.Command()
	if err != nil {
		return err
	}
	path, err := exec.LookPath(argv[0])
	if err != nil {
		return &NotFoundError{Binary: argv[0], Arch: m.Arch, Err: errors.Unwrap(err)}
	}
	far, err := m.connect()
	if err != nil {
		return err
	}
	command := func() *exec.Cmd {
		cmd := exec.CommandContext(ctx, path, argv[1:]...)
		cmd.ExtraFiles = far
		cmd.Stdout, cmd.Stderr = &m.stderr, &m.stderr
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Setpgid:   true,            // a ^C on the terminal is for us to handle
			Pdeathsig: syscall.SIGKILL, // no orphan, even when we are killed
		}
		cmd.Cancel = m.Kill
		cmd.WaitDelay = 5 * time.Second
		return cmd
	}
	m.started = time.Now()
	err = m.launch(func() error { return m.startAs(ctx, command) })
	closeAll(far)
	if err != nil {
		closeAll([]*os.File{m.wire, m.console})
		m.hangUp()
		return fmt.Errorf("start %s: %w", argv[0], err)
	}
	if m.Restore {
		err := m.restore()
		timeline.Add(ctx, timeline.Span{Who: timeline.QEMU, Name: "QEMU starts and restores the machine", Start: m.started, End: time.Now()})
		if err != nil {
			m.wire.Close()
			return err
		}
	}
	return nil
}

// connect makes the machine's sockets and returns the ends for QEMU, in the
// order of their descriptors.
func (m *Machine) connect() (far []*os.File, err error) {
	var monitor *os.File
	ends := []struct {
		name string
		near **os.File
	}{{"wire", &m.wire}, {"console", &m.console}, {"monitor", &monitor}}
	if m.Snapshot == nil {
		ends = ends[:2]
	}
	for _, end := range ends {
		var f *os.File
		if *end.near, f, err = socketPair(end.name); err != nil {
			closeAll(append(far, m.wire, m.console))
			return nil, err
		}
		far = append(far, f)
	}
	if monitor == nil {
		return far, nil
	}
	defer monitor.Close()
	conn, err := net.FileConn(monitor) // of a copy
	if err != nil {
		closeAll(append(far, m.wire, m.console))
		return nil, err
	}
	m.monitor = conn.(*net.UnixConn)
	return far, nil
}

// hangUp closes the monitor of a machine that has one.
func (m *Machine) hangUp() {
	if m.monitor != nil {
		m.monitor.Close()
	}
}

// closeAll closes files; a nil one is closed already.
func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

// launch starts the process from a thread that lives as long as it does:
// Pdeathsig is about the thread that forked, not about the process.
func (m *Machine) launch(start func() error) error {
	started := make(chan error)
	m.done = make(chan struct{})
	sandbox.Apart(func() {
		err := start()
		started <- err
		if err != nil {
			return
		}
		copied := make(chan struct{})
		go func() {
			_, _ = io.Copy(m.Console, m.console)
			close(copied)
		}()
		m.err = m.cmd.Wait()
		<-copied
		m.console.Close()
		m.hangUp()
		close(m.done)
	})
	return <-started
}

// Wire is the host's end of the guest's virtio-serial port. The caller closes
// it.
func (m *Machine) Wire() io.ReadWriteCloser { return m.wire }

// Type types on the serial console.
func (m *Machine) Type(keys string) error {
	_, err := io.WriteString(m.console, keys)
	return err
}

// Wait waits until QEMU has ended and all of the console has been written.
func (m *Machine) Wait() error {
	<-m.done
	if m.err != nil {
		return &ExitError{Err: m.err, Stderr: strings.TrimSpace(m.stderr.String())}
	}
	return nil
}

// Done is closed when QEMU has ended.
func (m *Machine) Done() <-chan struct{} { return m.done }

// isHangup reports whether a connection to QEMU broke off because it ended, or was
// closed for that reason.
func isHangup(err error) bool {
	return errors.Is(err, net.ErrClosed) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET)
}

// Kill ends QEMU and whatever it started, at once.
func (m *Machine) Kill() error {
	return syscall.Kill(-m.cmd.Process.Pid, syscall.SIGKILL)
}

// socketPair returns our end and the one to pass on. Inherited sockets leave
// no names behind that somebody would have to clean up.
func socketPair(name string) (near, far *os.File, err error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("make socket pair: %w", err)
	}
	if err := syscall.SetNonblock(fds[0], true); err != nil { // for Go's poller
		return nil, nil, err
	}
	return os.NewFile(uintptr(fds[0]), name), os.NewFile(uintptr(fds[1]), name), nil
}
