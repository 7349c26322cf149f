// Package wire is the protocol between vmtest and the init inside a guest.
//
// Both ends write frames to one virtio-serial port: a type, the number of the
// command the frame is about, and a payload, which is a [Message] for control
// frames and raw bytes for output. Only PID 1 can open the guest's end (the port
// driver admits one opener), so nothing that a test prints can be mistaken for
// a frame.
//
// A conversation:
//
//	guest  Hello                    booted, nothing mounted, waiting
//	host   Prepare                  what can be done before a machine is saved
//	guest  Ready
//	host   Setup                    what cannot: identity, and the host's files
//	guest  Ready
//	host   Start 1                  any number of commands, also at once
//	guest  Stdout 1, Stderr 1 …
//	guest  Exited 1                 after the last output of command 1
//	host   Fetch 2                  a file or tree, by path
//	guest  Data 2 …, Fetched 2      as a tar stream
//	host   Ping                     when nothing has come for a while
//	guest  Pong
//	host   Shutdown
//	guest  Done                     and the machine goes down
//
// A guest that goes away without Done has crashed. The package is compiled into
// the guest's init as well and imports only the standard library.
package wire

import (
	"encoding/binary"
	"fmt"
	"io"
	"sync"
	"time"
)

// Protocol is the version both ends must agree on. The host compiles the
// guest's init from the same source, so a mismatch means a foreign init.
const Protocol = 3

// PortName is the virtio-serial port that carries the frames.
const PortName = "vmtest.wire"

// StdinWindow is how many Stdin frames of a command the host may send before
// the first of them is answered by StdinAck, so that a command that does not
// read its input holds up nothing else.
const StdinWindow = 64

// A Type says what a frame carries.
type Type uint8

// Frames from the guest.
const (
	Hello    Type = 1 + iota // payload HelloMsg
	Ready                    // payload ReadyMsg
	Stdout                   // raw bytes a command wrote
	Stderr                   // raw bytes a command wrote
	Exited                   // payload ExitedMsg
	Data                     // raw bytes of a tar stream
	Fetched                  // payload FetchedMsg
	StdinAck                 // one Stdin frame has been taken; no payload
	Done                     // no payload
	Pong                     // answers the Ping of that number; no payload
)

// Frames from the host.
const (
	Prepare  Type = 64 + iota // payload PrepareMsg
	Setup                     // payload SetupMsg
	Start                     // payload StartMsg
	Stdin                     // raw bytes; none means end of file
	Signal                    // payload SignalMsg
	Resize                    // payload WindowSize
	Fetch                     // payload FetchMsg
	Sysrq                     // payload SysrqMsg
	Shutdown                  // no payload
	Ping                      // asks for a Pong; no payload
)

// HelloMsg is the first frame of a guest.
type HelloMsg struct {
	Protocol int
	Release  string        // uname -r
	Machine  string        // uname -m
	Uptime   time.Duration // how long the kernel had been running
}

// PrepareMsg begins to make a booted guest into the machine that commands run
// in: all that makes it no particular one.
type PrepareMsg struct {
	Steps []Step // done in order, on an empty tmpfs that has /dev, /proc and /sys
	// Rehearse has init go through a setup and a command that do nothing, so
	// that what it makes for the first ones is part of the machine that is
	// saved.
	Rehearse bool
}

// SetupMsg completes it.
type SetupMsg struct {
	Hostname string
	Clock    int64  // nanoseconds since 1970
	Entropy  []byte // credited to the kernel's random generator in full
	Steps    []Step // done in order, after those of PrepareMsg
	// CorePattern is where commands' core dumps go, see core(5), and CoreLimit
	// how large one may be, in bytes. Without a pattern there are none.
	CorePattern string
	CoreLimit   uint64
}

// A Step changes the guest's file system. Exactly one of its pointers is set.
type Step struct {
	Mkdir   *Mkdir
	Mount   *Mount
	Symlink *Symlink
	Write   *Write
	// Optional steps may fail: not every kernel has every file system.
	Optional bool
}

// Mkdir creates a directory and its parents.
type Mkdir struct {
	Path string
	Mode uint32 // 0 leaves an existing directory's
}

// Mount calls mount(2), creating the target first.
type Mount struct {
	Source, Target, Type string
	Flags                uintptr
	Data                 string
}

// Symlink creates Path pointing to Target.
type Symlink struct{ Path, Target string }

// Write creates a file, or writes an existing one such as a sysctl.
type Write struct {
	Path string
	Mode uint32
	Data []byte
}

// ReadyMsg answers a Prepare and a Setup.
type ReadyMsg struct {
	Error   string   // why the guest cannot be used, or empty
	Skipped []string // optional steps that failed, with their errors
}

// StartMsg starts a command as root, in a session of its own.
type StartMsg struct {
	Args []string
	Env  []string
	Dir  string
	// Stdin says that Stdin frames will follow; else standard input is empty.
	Stdin bool
	// MergeStderr sends what the command writes to standard error with its
	// standard output, in one order.
	MergeStderr bool
	// TTY gives the command a terminal of this size for all three streams.
	TTY *WindowSize
}

// WindowSize is a terminal's, in characters.
type WindowSize struct{ Rows, Cols uint16 }

// SignalMsg sends a signal to a command's process group.
type SignalMsg struct{ Signal int }

// ExitedMsg says how a command ended.
type ExitedMsg struct {
	Code      int    // exit status, or 0 when a signal ended it
	Signal    int    // the signal that ended it, or 0
	Error     string // why it could not be started, or empty
	OOMKilled bool   // with Signal: the guest had run out of memory and killed a process
	// NotFound says that Error means there is no such program.
	NotFound bool
	// Left counts processes of the command's group that were still there
	// and were killed.
	Left int
}

// FetchMsg asks for a file or a directory as a tar stream.
type FetchMsg struct {
	Path string
	// Bytes and Files bound the contents of what is sent and its number; 0
	// is no bound. What does not fit is left out.
	Bytes int64
	Files int
	// Remove removes the files that were sent, which take the guest's memory.
	Remove bool
}

// FetchedMsg ends a tar stream.
type FetchedMsg struct {
	Error string
	// Left says what was left out, and why: the first LeftNames of it.
	Left []string
	More int // left out beyond those
}

// LeftNames is how much of what was left out is named.
const LeftNames = 20

// SysrqMsg writes each key to /proc/sysrq-trigger.
type SysrqMsg struct{ Keys string }

// A Frame is one message. Payload is valid until the next Read.
type Frame struct {
	Type    Type
	ID      uint32
	Payload []byte
}

// Decode reads a control frame's payload into an empty message.
func (f Frame) Decode(m Message) error {
	if err := decode(f.Payload, m); err != nil {
		return fmt.Errorf("decode frame of type %d: %w", f.Type, err)
	}
	return nil
}

const (
	headerSize = 1 + 4 + 4 // type, command, payload length; little endian
	// MaxPayload bounds what a broken or hostile peer can make us allocate.
	// Arguments and environment of a command may reach a few MiB.
	MaxPayload = 16 << 20
)

// A Conn frames a byte stream. Send may be called from several goroutines at
// once, Read from one.
type Conn struct {
	rw  io.ReadWriter
	buf []byte

	mu  sync.Mutex
	out []byte
}

// NewConn frames rw.
func NewConn(rw io.ReadWriter) *Conn { return &Conn{rw: rw} }

// Read returns the next frame. It returns io.EOF only between frames.
func (c *Conn) Read() (Frame, error) {
	var h [headerSize]byte
	if _, err := io.ReadFull(c.rw, h[:]); err != nil {
		return Frame{}, err
	}
	n := binary.LittleEndian.Uint32(h[5:])
	if n > MaxPayload {
		return Frame{}, fmt.Errorf("read frame of type %d: payload of %d bytes is over the limit of %d", h[0], n, MaxPayload)
	}
	if int(n) > cap(c.buf) {
		c.buf = make([]byte, n)
	}
	f := Frame{Type: Type(h[0]), ID: binary.LittleEndian.Uint32(h[1:]), Payload: c.buf[:n]}
	if _, err := io.ReadFull(c.rw, f.Payload); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return Frame{}, err
	}
	return f, nil
}

// Send writes a frame of raw bytes.
func (c *Conn) Send(t Type, id uint32, payload []byte) error {
	if len(payload) > MaxPayload {
		return fmt.Errorf("send frame of type %d: payload of %d bytes is over the limit of %d", t, len(payload), MaxPayload)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	// One write for header and payload: each costs the guest an exit to QEMU.
	b := append(c.out[:0], byte(t))
	b = binary.LittleEndian.AppendUint32(b, id)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(payload)))
	b = append(b, payload...)
	c.out = b
	_, err := c.rw.Write(b)
	return err
}

// SendMsg writes a control frame; a nil message has no payload.
func (c *Conn) SendMsg(t Type, id uint32, m Message) error {
	if m == nil {
		return c.Send(t, id, nil)
	}
	return c.Send(t, id, encode(m))
}
