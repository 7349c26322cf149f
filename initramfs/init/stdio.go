package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"github.com/bpf-vmtest/bpf-vmtest/initramfs/wire"
)

// stdio is the host's side of a command's three streams: pipes, or one pty.
type stdio struct {
	in       *os.File // what the host sends, nil when it sends nothing
	out, err *os.File // err is nil for a pty, and when it is merged with out
	input    chan []byte
	closed   chan struct{}
	child    []*os.File
}

func openStdio(m wire.StartMsg) (*stdio, error) {
	if m.TTY != nil {
		return openPTY(*m.TTY)
	}
	s := &stdio{closed: make(chan struct{})}
	var inR, outW, errW *os.File
	var err error
	if m.Stdin {
		inR, s.in, err = os.Pipe()
	} else {
		inR, err = os.Open(os.DevNull)
	}
	if err == nil {
		s.child = append(s.child, inR)
		s.out, outW, err = os.Pipe()
	}
	if err == nil {
		s.child = append(s.child, outW)
		if m.MergeStderr {
			errW = outW
		} else {
			s.err, errW, err = os.Pipe()
		}
	}
	if err != nil {
		s.closeChild()
		s.close()
		return nil, fmt.Errorf("open pipes: %w", err)
	}
	s.child = append(s.child, errW)
	return s, nil
}

func openPTY(size wire.WindowSize) (*stdio, error) {
	// Opened raw: os.OpenFile would leave terminals out of the poller, and
	// then reads could not be given a deadline.
	fd, err := syscall.Open("/dev/ptmx", syscall.O_RDWR|syscall.O_NOCTTY|syscall.O_CLOEXEC|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open /dev/ptmx: %w", err)
	}
	master := os.NewFile(uintptr(fd), "/dev/ptmx")
	var unlock, n int32
	err = ioctl(uintptr(fd), syscall.TIOCSPTLCK, unsafe.Pointer(&unlock))
	if err == nil {
		err = ioctl(uintptr(fd), syscall.TIOCGPTN, unsafe.Pointer(&n))
	}
	if err != nil {
		master.Close()
		return nil, fmt.Errorf("unlock pty: %w", err)
	}
	slave, err := os.OpenFile("/dev/pts/"+itoa(int(n)), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		master.Close()
		return nil, fmt.Errorf("open pty: %w", err)
	}
	s := &stdio{closed: make(chan struct{}), in: master, out: master, child: []*os.File{slave, slave, slave}}
	s.resize(size)
	return s, nil
}

func (s *stdio) childFDs() []uintptr {
	fds := make([]uintptr, len(s.child))
	for i, f := range s.child {
		fds[i] = f.Fd()
	}
	return fds
}

// closeChild closes the command's ends, which only the command may keep.
func (s *stdio) closeChild() {
	for _, f := range s.child {
		f.Close() // the same file may stand there several times: later ones fail
	}
}

func (s *stdio) close() {
	close(s.closed)
	for _, f := range []*os.File{s.in, s.out, s.err} {
		if f != nil {
			f.Close()
		}
	}
}

// acceptInput writes what the host sends, apart from the wire's reader: a
// command that does not read its input must not hold up other frames. Each
// frame is answered once it is written, and the host keeps to the window.
func (s *stdio) acceptInput(conn *wire.Conn, id uint32) {
	if s.in == nil {
		return
	}
	s.input = make(chan []byte, wire.StdinWindow)
	go func() {
		for {
			var data []byte
			select {
			case data = <-s.input:
			case <-s.closed:
				return
			}
			if len(data) > 0 {
				_, _ = s.in.Write(data) // EPIPE: the command has closed its input
			} else if s.in != s.out { // a pipe; a terminal's end of file is a typed ^D
				s.in.Close()
			}
			_ = conn.Send(wire.StdinAck, id, nil)
		}
	}()
}

// write takes a frame of input. Only the wire's reader calls it.
func (s *stdio) write(data []byte) {
	if s.input == nil {
		return
	}
	select {
	case s.input <- append([]byte(nil), data...):
	default: // a host that ignores the window loses input, not the machine
	}
}

func (s *stdio) resize(size wire.WindowSize) {
	ws := [4]uint16{size.Rows, size.Cols} // struct winsize
	raw, err := s.out.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		_ = ioctl(fd, syscall.TIOCSWINSZ, unsafe.Pointer(&ws))
	})
}

// forward copies output to the wire. The channel closes when all is copied.
func (s *stdio) forward(conn *wire.Conn, id uint32) <-chan struct{} {
	var wg sync.WaitGroup
	pump := func(f *os.File, t wire.Type) {
		defer wg.Done()
		buf := make([]byte, 32<<10) // what virtio-console sends at once
		for {
			n, err := f.Read(buf)
			if n > 0 && conn.Send(t, id, buf[:n]) != nil {
				return
			}
			if errors.Is(err, os.ErrDeadlineExceeded) {
				forwardRest(f, conn, t, id, buf)
			}
			if err != nil {
				return // end of file, EIO of a closed pty, or the deadline
			}
		}
	}
	wg.Add(1)
	go pump(s.out, wire.Stdout)
	if s.err != nil {
		wg.Add(1)
		go pump(s.err, wire.Stderr)
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	return done
}

// maxPipe is what a pipe or a terminal may hold: /proc/sys/fs/pipe-max-size.
const maxPipe = 1 << 20

// forwardRest copies what was written before the deadline and is still in the
// pipe, because the host takes its time.
func forwardRest(f *os.File, conn *wire.Conn, t wire.Type, id uint32, buf []byte) {
	_ = f.SetReadDeadline(time.Time{})
	raw, err := f.SyscallConn()
	if err != nil {
		return
	}
	for sent, n := 0, 1; n > 0 && sent < maxPipe; sent += n {
		err := raw.Read(func(fd uintptr) bool {
			n, _ = syscall.Read(int(fd), buf)
			return true // without waiting for more
		})
		if err != nil || n <= 0 || conn.Send(t, id, buf[:n]) != nil {
			return
		}
	}
}

// expire ends the copying at t, whoever still holds the other ends.
func (s *stdio) expire(t time.Time) {
	_ = s.out.SetReadDeadline(t)
	if s.err != nil {
		_ = s.err.SetReadDeadline(t)
	}
}

func itoa(n int) string { return strconv.Itoa(n) }
