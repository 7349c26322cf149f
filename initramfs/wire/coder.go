package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// A Message is the payload of a control frame. It lists its fields, once for
// both directions: both ends are compiled from this source, so a frame needs no
// names, and init needs no reflection, which for a processor that QEMU emulates was
// ten milliseconds of code to be translated in each machine.
type Message interface{ fields(c *coder) }

// A coder writes fields one after another, or reads them in the same order.
// Numbers are varints; strings, bytes and lists have their length before them.
type coder struct {
	b       []byte // what was written, or is left to read
	reading bool
	err     error // the first one of reading; after it all fields are zero
}

func encode(m Message) []byte {
	var c coder
	m.fields(&c)
	return c.b
}

// decode fills a message, which must be empty, and wants nothing after it.
func decode(b []byte, m Message) error {
	c := coder{b: b, reading: true}
	m.fields(&c)
	if c.err == nil && len(c.b) > 0 {
		c.err = fmt.Errorf("%d bytes after its end", len(c.b))
	}
	return c.err
}

var errTorn = errors.New("it ends too early")

func (c *coder) int64(v *int64) {
	if !c.reading {
		c.b = binary.AppendVarint(c.b, *v)
		return
	}
	n := 0
	*v, n = binary.Varint(c.b)
	if n <= 0 {
		*v = 0
		c.fail()
		return
	}
	c.b = c.b[n:]
}

// fail ends reading.
func (c *coder) fail() {
	if c.err == nil {
		c.err = errTorn
	}
	c.b = nil
}

// number codes any integer. One that does not fit is an error.
func number[T ~int | ~int64 | ~uint16 | ~uint32 | ~uint64 | ~uintptr](c *coder, v *T) {
	n := int64(*v)
	c.int64(&n)
	*v = T(n)
	if c.reading && int64(*v) != n {
		c.fail()
		*v = 0
	}
}

func (c *coder) bool(v *bool) {
	n := int64(0)
	if *v {
		n = 1
	}
	c.int64(&n)
	*v = n != 0
}

// size codes a length. What is read is at most the number of bytes left.
func (c *coder) size(n int) int {
	number(c, &n)
	if c.reading && (n < 0 || n > len(c.b)) {
		c.fail()
		return 0
	}
	return n
}

func (c *coder) string(v *string) {
	n := c.size(len(*v))
	if !c.reading {
		c.b = append(c.b, *v...)
		return
	}
	*v, c.b = string(c.b[:n]), c.b[n:]
}

func (c *coder) bytes(v *[]byte) {
	n := c.size(len(*v))
	if !c.reading {
		c.b = append(c.b, *v...)
		return
	}
	if *v = nil; n > 0 {
		*v = append([]byte(nil), c.b[:n]...)
	}
	c.b = c.b[n:]
}

// maxList bounds what a peer that sends a list of nothing makes us allocate. A
// kernel does not take as many arguments.
const maxList = 1 << 20

func (c *coder) strings(v *[]string) {
	n := c.size(len(*v))
	if c.reading {
		if n > maxList {
			c.fail()
			n = 0
		}
		if *v = nil; n > 0 {
			*v = make([]string, n)
		}
	}
	for i := range *v {
		c.string(&(*v)[i])
	}
}

func (c *coder) steps(v *[]Step) {
	n := c.size(len(*v))
	if c.reading {
		*v = nil
	}
	for i := 0; i < n && c.err == nil; i++ {
		if c.reading {
			*v = append(*v, Step{})
		}
		(*v)[i].fields(c)
	}
}

// optional codes a part that may be missing.
func optional[T any, P interface {
	*T
	Message
}](c *coder, v *P) {
	there := *v != nil
	c.bool(&there)
	if c.reading {
		if *v = nil; there {
			*v = new(T)
		}
	}
	if there {
		(*v).fields(c)
	}
}

func (m *HelloMsg) fields(c *coder) {
	number(c, &m.Protocol)
	c.string(&m.Release)
	c.string(&m.Machine)
	number(c, &m.Uptime)
}

func (m *PrepareMsg) fields(c *coder) {
	c.steps(&m.Steps)
	c.bool(&m.Rehearse)
}

func (m *SetupMsg) fields(c *coder) {
	c.string(&m.Hostname)
	number(c, &m.Clock)
	c.bytes(&m.Entropy)
	c.steps(&m.Steps)
	c.string(&m.CorePattern)
	number(c, &m.CoreLimit)
}

func (m *Step) fields(c *coder) {
	optional(c, &m.Mkdir)
	optional(c, &m.Mount)
	optional(c, &m.Symlink)
	optional(c, &m.Write)
	c.bool(&m.Optional)
}

func (m *Mkdir) fields(c *coder) {
	c.string(&m.Path)
	number(c, &m.Mode)
}

func (m *Mount) fields(c *coder) {
	c.string(&m.Source)
	c.string(&m.Target)
	c.string(&m.Type)
	number(c, &m.Flags)
	c.string(&m.Data)
}

func (m *Symlink) fields(c *coder) {
	c.string(&m.Path)
	c.string(&m.Target)
}

func (m *Write) fields(c *coder) {
	c.string(&m.Path)
	number(c, &m.Mode)
	c.bytes(&m.Data)
}

func (m *ReadyMsg) fields(c *coder) {
	c.string(&m.Error)
	c.strings(&m.Skipped)
}

func (m *StartMsg) fields(c *coder) {
	c.strings(&m.Args)
	c.strings(&m.Env)
	c.string(&m.Dir)
	c.bool(&m.Stdin)
	c.bool(&m.MergeStderr)
	optional(c, &m.TTY)
}

func (m *WindowSize) fields(c *coder) {
	number(c, &m.Rows)
	number(c, &m.Cols)
}

func (m *SignalMsg) fields(c *coder) { number(c, &m.Signal) }

func (m *ExitedMsg) fields(c *coder) {
	number(c, &m.Code)
	number(c, &m.Signal)
	c.string(&m.Error)
	c.bool(&m.OOMKilled)
	c.bool(&m.NotFound)
	number(c, &m.Left)
}

func (m *FetchMsg) fields(c *coder) {
	c.string(&m.Path)
	number(c, &m.Bytes)
	number(c, &m.Files)
	c.bool(&m.Remove)
}

func (m *FetchedMsg) fields(c *coder) {
	c.string(&m.Error)
	c.strings(&m.Left)
	number(c, &m.More)
}

func (m *SysrqMsg) fields(c *coder) { c.string(&m.Keys) }
