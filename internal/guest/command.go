package guest

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"syscall"

	"github.com/bpf-vmtest/bpf-vmtest/initramfs/wire"
	"github.com/bpf-vmtest/bpf-vmtest/internal/timeline"
)

// A Command is a program to be run in a guest, as root.
type Command struct {
	Args []string
	Env  []string
	Dir  string
	// Stdin is forwarded until it ends; nil is an empty input.
	Stdin io.Reader
	// Stdout and Stderr take the output as it arrives; nil drops it.
	Stdout, Stderr io.Writer
	// MergeStderr sends both to Stdout, in the order of writing.
	MergeStderr bool
	// TTY gives the command a terminal of this size. All output then goes
	// to Stdout.
	TTY *wire.WindowSize
	// Signals are passed on to the command's process group.
	Signals <-chan syscall.Signal
	// Resizes are passed on to its terminal.
	Resizes <-chan wire.WindowSize
}

// process is a command in the guest, seen from here.
type process struct {
	stdout, stderr io.Writer
	acks           chan struct{}
	done           chan struct{} // closed by the last frame
	ended          bool
	exited         wire.ExitedMsg
	fetched        wire.FetchedMsg
	err            error
}

// handle takes a frame. It is called by one goroutine, and a slow writer slows
// down the guest: no output is lost.
func (p *process) handle(f wire.Frame) {
	if p.ended {
		return // root in the guest can write to the wire
	}
	var err error
	switch f.Type {
	case wire.Stdout, wire.Data:
		_, err = p.stdout.Write(f.Payload)
	case wire.Stderr:
		_, err = p.stderr.Write(f.Payload)
	case wire.StdinAck:
		select {
		case p.acks <- struct{}{}:
		default:
		}
	case wire.Exited:
		err, p.ended = f.Decode(&p.exited), true
		p.exited.Error = said(p.exited.Error)
		defer close(p.done)
	case wire.Fetched:
		err, p.ended = f.Decode(&p.fetched), true
		defer close(p.done)
	}
	if err != nil && p.err == nil {
		p.err = err
	}
}

func (g *Guest) register(p *process) uint32 {
	p.done, p.acks = make(chan struct{}), make(chan struct{}, wire.StdinWindow)
	for range wire.StdinWindow {
		p.acks <- struct{}{}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.next++
	g.commands[g.next] = p
	return g.next
}

func (g *Guest) forget(id uint32) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.commands, id)
}

// Run runs a command until it has ended and all of its output has arrived. An
// error means that there is no exit status: the guest was lost (a [*LostError])
// or ctx ended.
func (g *Guest) Run(ctx context.Context, c Command) (wire.ExitedMsg, error) {
	p := &process{stdout: orDiscard(c.Stdout), stderr: orDiscard(c.Stderr)}
	id := g.register(p)
	defer g.forget(id)
	phase := fmt.Sprintf("while %s was running", filepath.Base(c.Args[0]))
	defer timeline.Begin(ctx, timeline.Guest, "run "+filepath.Base(c.Args[0]))()

	start := wire.StartMsg{Args: c.Args, Env: c.Env, Dir: c.Dir, Stdin: c.Stdin != nil, MergeStderr: c.MergeStderr, TTY: c.TTY}
	if err := g.conn.SendMsg(wire.Start, id, &start); err != nil {
		return wire.ExitedMsg{}, g.lost(phase)
	}
	if c.Stdin != nil {
		// Not waited for: a terminal's Read ends only with the program.
		go g.forwardInput(c.Stdin, id, p)
	}
	for {
		select {
		case <-p.done:
			return p.exited, p.err
		case <-g.gone:
			// Frames that had arrived are all handled.
			select {
			case <-p.done:
				return p.exited, p.err
			default:
				return wire.ExitedMsg{}, g.lost(phase)
			}
		case s := <-c.Signals:
			_ = g.conn.SendMsg(wire.Signal, id, &wire.SignalMsg{Signal: int(s)})
		case size := <-c.Resizes:
			_ = g.conn.SendMsg(wire.Resize, id, &size)
		case <-ctx.Done():
			return wire.ExitedMsg{}, context.Cause(ctx)
		}
	}
}

func (g *Guest) forwardInput(r io.Reader, id uint32, p *process) {
	buf := make([]byte, 16<<10)
	for {
		n, err := r.Read(buf)
		if n > 0 && !g.sendInput(id, p, buf[:n]) {
			return
		}
		if err != nil {
			g.sendInput(id, p, nil)
			return
		}
	}
}

func (g *Guest) sendInput(id uint32, p *process, b []byte) bool {
	select {
	case <-p.acks:
		return g.conn.Send(wire.Stdin, id, b) == nil
	case <-p.done:
	case <-g.gone:
	}
	return false
}

func orDiscard(w io.Writer) io.Writer {
	if w == nil {
		return io.Discard
	}
	return w
}
