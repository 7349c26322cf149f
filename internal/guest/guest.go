// Package guest is a booted machine that runs commands: the host's end of the
// wire.
package guest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/bpf-vmtest/bpf-vmtest/initramfs/wire"
	"github.com/bpf-vmtest/bpf-vmtest/internal/console"
	"github.com/bpf-vmtest/bpf-vmtest/internal/machine"
	"github.com/bpf-vmtest/bpf-vmtest/internal/timeline"
)

// Options say how to boot a guest.
type Options struct {
	// Machine is started by [Boot], which sets its Shares and Console.
	Machine *machine.Machine
	// Log takes the console.
	Log *console.Log
	// Show, when set, is told the QEMU command line before it starts.
	Show func(argv []string)
	// Layout is what the guest sees of the host.
	Layout Layout
	// Slots is for how many exports the machine has devices, at least; the
	// rest exports Empty, a directory without anything in it.
	Slots int
	Empty string
	// Saved, when set, is what the machine had said before it was saved. It
	// is restored.
	Saved *Saved
	// BootTimeout bounds the time until init says hello; SetupTimeout the
	// time it takes to mount the layout. Of these and the next, time in which
	// QEMU waits for a processor is no part, unless it is nearly all.
	BootTimeout, SetupTimeout time.Duration
	// SilenceTimeout is how long a guest that is ready may give no sign of
	// life. 0 is for ever.
	SilenceTimeout time.Duration
}

// A Guest is a machine whose init answers. Its methods may be called from
// several goroutines.
type Guest struct {
	Hello   wire.HelloMsg
	Skipped []string // optional parts of the layout that the kernel does not have

	machine *machine.Machine
	log     *console.Log
	conn    *wire.Conn
	control chan wire.Frame // frames that belong to no command

	mu       sync.Mutex
	next     uint32
	commands map[uint32]*process
	gone     chan struct{} // closed when nothing more will arrive
	goneErr  error
	pulse    pulse
	silence  time.Duration // how long it may give no sign of life
	spoilt   error         // why nothing is fetched from it any more
}

// Saved is what the host remembers of a machine that was saved.
type Saved struct {
	Hello   wire.HelloMsg
	Skipped []string
}

// A LostError says that the guest went away, or never came.
type LostError struct {
	Phase   string // what it was doing
	Cause   string
	Panic   []string // the kernel's panic report, if there was one
	Console []string // the end of the console otherwise
	Help    string
	Err     error // of QEMU, or nil
}

func (e *LostError) Error() string { return e.Cause + " " + e.Phase }

func (e *LostError) Unwrap() error { return e.Err }

// Hint is what to do about it, or empty.
func (e *LostError) Hint() string { return e.Help }

// Excerpt is what the console has to say about it.
func (e *LostError) Excerpt() []string {
	if len(e.Panic) > 0 {
		return e.Panic
	}
	return e.Console
}

// Boot starts the machine and makes it ready for commands. The caller must call
// Close on the guest.
func Boot(ctx context.Context, o Options) (*Guest, error) {
	g, err := start(ctx, o)
	if err != nil {
		return nil, err
	}
	if err := g.boot(ctx, o); err != nil {
		g.Close()
		return nil, err
	}
	if o.SilenceTimeout > 0 {
		go g.watch(o.SilenceTimeout)
	}
	return g, nil
}

// Save boots and prepares the machine, saves it in its snapshot and ends it.
func Save(ctx context.Context, o Options) (*Saved, error) {
	g, err := start(ctx, o)
	if err != nil {
		return nil, err
	}
	defer g.Close()
	if err := g.prepare(ctx, o, true); err != nil {
		return nil, err
	}
	defer timeline.Begin(ctx, timeline.QEMU, "save the machine")()
	return &Saved{g.Hello, g.Skipped}, g.machine.Save()
}

func start(ctx context.Context, o Options) (*Guest, error) {
	o.Machine.Console = o.Log
	o.Machine.Shares = o.Layout.machineShares()
	for n := len(o.Machine.Shares); n < o.Slots; n++ {
		o.Machine.Shares = append(o.Machine.Shares, machine.Share{Tag: tag(n), Path: o.Empty})
	}
	if o.Show != nil {
		argv, err := o.Machine.Command()
		if err != nil {
			return nil, err
		}
		o.Show(argv)
	}
	if err := o.Machine.Start(ctx); err != nil {
		return nil, err
	}
	g := &Guest{
		machine:  o.Machine,
		log:      o.Log,
		conn:     wire.NewConn(o.Machine.Wire()),
		control:  make(chan wire.Frame, 1),
		commands: map[uint32]*process{},
		gone:     make(chan struct{}),
		pulse:    pulse{sysrq: make(chan struct{}, 1)},
		silence:  o.SilenceTimeout,
	}
	go g.receive()
	return g, nil
}

// beforeHello is the phase of a machine that nobody in it has spoken for yet.
const beforeHello = "before init said hello"

func (g *Guest) awaitHello(ctx context.Context, timeout time.Duration) error {
	f, err := g.await(ctx, wire.Hello, timeout, beforeHello)
	if err != nil {
		return err
	}
	if err := f.Decode(&g.Hello); err != nil {
		return err
	}
	g.Hello.Release, g.Hello.Machine = said(g.Hello.Release), said(g.Hello.Machine)
	if g.Hello.Protocol != wire.Protocol {
		return fmt.Errorf("talk to the guest's init: it speaks version %d of the protocol, want %d", g.Hello.Protocol, wire.Protocol)
	}
	return nil
}

// prepare waits for init's hello and lets it do what is the same for all
// machines of this kind, and for one that will be saved, rehearse the rest.
func (g *Guest) prepare(ctx context.Context, o Options, rehearse bool) error {
	started := time.Now()
	if err := g.awaitHello(ctx, o.BootTimeout); err != nil {
		return err
	}
	g.booted(ctx, started)
	defer timeline.Begin(ctx, timeline.Guest, "mount pseudo file systems")()
	m := wire.PrepareMsg{Steps: o.Layout.Prepared(g.Hello.Release), Rehearse: rehearse}
	return g.ask(ctx, wire.Prepare, &m, o.SetupTimeout)
}

// booted divides the time of a boot by the clock of the kernel, which does not
// count what was before it.
func (g *Guest) booted(ctx context.Context, started time.Time) {
	hello := time.Now()
	entered := hello.Add(-g.Hello.Uptime)
	if entered.Before(started) {
		entered = started
	}
	timeline.Add(ctx, timeline.Span{Who: timeline.QEMU, Name: "QEMU, firmware, first steps of Linux", Start: started, End: entered})
	timeline.Add(ctx, timeline.Span{Who: timeline.Kernel, Name: "the kernel boots, init loads modules", Start: entered, End: hello})
}

func (g *Guest) boot(ctx context.Context, o Options) error {
	if o.Saved != nil {
		g.Hello, g.Skipped = o.Saved.Hello, slices.Clone(o.Saved.Skipped)
	} else if err := g.prepare(ctx, o, false); err != nil {
		return err
	}
	seed := make([]byte, 64)
	if _, err := rand.Read(seed); err != nil {
		return err
	}
	setup := wire.SetupMsg{
		Hostname: o.Layout.Hostname,
		Clock:    time.Now().UnixNano(),
		Entropy:  seed,
		Steps:    o.Layout.steps(g.Hello.Release),
	}
	if o.Layout.Cores != "" {
		setup.CorePattern, setup.CoreLimit = o.Layout.Cores+"/%e.%p", coreLimit
	}
	defer timeline.Begin(ctx, timeline.Guest, "mount shares, write files")()
	return g.ask(ctx, wire.Setup, &setup, o.SetupTimeout)
}

// ask makes init do a part of the setup.
func (g *Guest) ask(ctx context.Context, t wire.Type, msg wire.Message, timeout time.Duration) error {
	// A guest that does not read holds up the sender; the end of either ends
	// the other.
	go func() { _ = g.conn.SendMsg(t, 0, msg) }()
	f, err := g.await(ctx, wire.Ready, timeout, "during setup")
	if err != nil {
		return err
	}
	var ready wire.ReadyMsg
	if err := f.Decode(&ready); err != nil {
		return err
	}
	for _, step := range ready.Skipped {
		g.Skipped = append(g.Skipped, said(step))
	}
	ready.Error = said(ready.Error)
	if ready.Error != "" {
		return &LostError{Phase: "during setup", Cause: "the guest gave up", Console: append(g.log.Tail(), ready.Error), Help: setupHelp(ready.Error)}
	}
	return nil
}

// setupHelp is about the file systems that a kernel cannot do without here.
func setupHelp(err string) string {
	if strings.Contains(err, "mount 9p") || strings.Contains(err, "mount overlay") {
		return "the kernel must have 9p over virtio and overlayfs, built in or as modules"
	}
	return ""
}

// await waits for a control frame.
func (g *Guest) await(ctx context.Context, want wire.Type, timeout time.Duration, phase string) (wire.Frame, error) {
	patience := g.machine.Patience(timeout)
	for left := timeout; left > 0; left = patience.Left() {
		select {
		case f := <-g.control:
			return expect(f, want, phase)
		case <-g.gone:
			// What it said last has arrived before its end.
			select {
			case f := <-g.control:
				return expect(f, want, phase)
			default:
				return wire.Frame{}, g.lost(phase)
			}
		case <-time.After(left):
		case <-ctx.Done():
			return wire.Frame{}, context.Cause(ctx)
		}
	}
	return wire.Frame{}, &LostError{
		Phase: phase, Cause: fmt.Sprintf("no answer from the guest for %v", patience), Console: g.log.Tail(),
		Help: "-boot-timeout gives a slow machine more time",
	}
}

func expect(f wire.Frame, want wire.Type, phase string) (wire.Frame, error) {
	if f.Type != want {
		return f, fmt.Errorf("talk to the guest's init: frame of type %d %s, want %d", f.Type, phase, want)
	}
	return f, nil
}

// receive hands out what the guest sends until it is gone.
func (g *Guest) receive() {
	defer close(g.gone)
	for {
		f, err := g.conn.Read()
		if err != nil {
			g.goneErr = err
			return
		}
		g.pulse.beat(true)
		switch f.Type {
		case wire.Pong:
			if f.ID == sysrqPing {
				select {
				case g.pulse.sysrq <- struct{}{}:
				default: // it was not waited for any longer
				}
			}
		case wire.Stdout, wire.Stderr, wire.Data, wire.Exited, wire.Fetched, wire.StdinAck:
			if p := g.process(f.ID); p != nil {
				p.handle(f)
			}
		default:
			f.Payload = append([]byte(nil), f.Payload...)
			select {
			case g.control <- f:
			default: // nobody is waiting for a second one
			}
		}
		g.pulse.beat(false)
	}
}

func (g *Guest) process(id uint32) *process {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.commands[id]
}

// lost explains why the guest is no longer there.
func (g *Guest) lost(phase string) error {
	if err := g.nonsense(); err != nil {
		_ = g.machine.Kill()
		_ = g.machine.Wait()
		return &LostError{Phase: phase, Cause: err.Error(), Console: g.log.Tail()}
	}
	// Whatever ended QEMU, its last console output arrives before its end.
	select {
	case <-g.machine.Done():
	case <-time.After(5 * time.Second):
		_ = g.machine.Kill()
	}
	err := g.machine.Wait()
	e := &LostError{Phase: phase, Cause: "the guest went down", Console: g.log.Tail()}
	if silence := g.pulse.silence.Load(); silence > 0 {
		e.Cause = "the guest gave no sign of life for " + machine.Stretched(time.Duration(silence), time.Duration(g.pulse.missed.Load()))
		e.Help = "-silence-timeout gives it more time"
		return e
	}
	if p, ok := g.log.Panic(); ok {
		e.Cause, e.Panic = "the kernel panicked", p.Lines
		if phase == beforeHello && strings.Contains(p.Title, "root fs") {
			e.Help = "it did not run init from the initramfs: it needs BLK_DEV_INITRD, and no rdinit= or noinitrd among its parameters"
		}
		return e
	}
	var exit *machine.ExitError
	if errors.As(err, &exit) {
		e.Cause, e.Err = exit.Error(), exit
	}
	if e.Phase == beforeHello && len(e.Console) == 0 && exit == nil {
		e.Help = "nothing came over the console: is this a kernel for this machine, with a serial console?"
	}
	return e
}

// nonsense is what was wrong with the frames, if it was the guest that went on
// and we that could not follow.
func (g *Guest) nonsense() error {
	select {
	case <-g.gone:
	default:
		return nil // a frame could not be sent
	}
	var hangup syscall.Errno
	if errors.Is(g.goneErr, io.EOF) || errors.Is(g.goneErr, io.ErrUnexpectedEOF) || errors.Is(g.goneErr, os.ErrClosed) || errors.As(g.goneErr, &hangup) {
		return nil
	}
	return g.goneErr
}

// Sysrq makes the kernel write its state to the console: w for blocked tasks, l
// for the CPUs' stacks, t for all tasks, m for memory. It waits until that is
// done, but no longer than the limit: who asks is about to give up on the guest.
func (g *Guest) Sysrq(keys string, limit time.Duration) {
	done := make(chan struct{})
	go func() { // a guest that does not read holds it up
		if g.conn.SendMsg(wire.Sysrq, 0, &wire.SysrqMsg{Keys: keys}) == nil && g.conn.Send(wire.Ping, sysrqPing, nil) == nil {
			select {
			case <-g.pulse.sysrq:
			case <-g.gone:
			}
		}
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(limit):
	}
}

// Slowdown is that of its machine.
func (g *Guest) Slowdown() float64 { return g.machine.Slowdown() }

// Patience is with its machine.
func (g *Guest) Patience(limit time.Duration) machine.Patience { return g.machine.Patience(limit) }

// Gone is closed when the guest has gone away.
func (g *Guest) Gone() <-chan struct{} { return g.gone }

// Splats are the faults the kernel has reported so far.
func (g *Guest) Splats() []console.Splat { return g.log.Splats() }

// Shutdown asks the guest to end and reports whether it did so in order. Whether
// its machine ends, too, is another matter: see Gone.
func (g *Guest) Shutdown(ctx context.Context) error {
	if err := g.conn.SendMsg(wire.Shutdown, 0, nil); err != nil {
		return g.lost("at the end")
	}
	defer timeline.Begin(ctx, timeline.Guest, "say goodbye")()
	_, err := g.await(ctx, wire.Done, 30*time.Second, "at the end")
	g.pulse.over.Store(err == nil)
	return err
}

// Close ends the machine, whatever state it is in, and waits until it is gone.
func (g *Guest) Close() {
	select {
	case <-g.machine.Done():
	default:
		_ = g.machine.Kill()
	}
	_ = g.machine.Wait()
	g.machine.Wire().Close()
	<-g.gone
}
