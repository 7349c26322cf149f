package fakeqemu

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/bpf-vmtest/bpf-vmtest/initramfs/wire"
)

// commands are the processes of a guest.
type commands struct {
	conn *wire.Conn
	mu   sync.Mutex
	byID map[uint32]*command
	down bool // nothing more is said
}

type command struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	input chan []byte
}

// output sends what a command writes.
type output struct {
	conn *wire.Conn
	t    wire.Type
	id   uint32
}

func (o *output) Write(b []byte) (int, error) { return len(b), o.conn.Send(o.t, o.id, b) }

func (c *commands) start(id uint32, m wire.StartMsg) {
	fail := func(err error) {
		_ = c.conn.SendMsg(wire.Exited, id, &wire.ExitedMsg{Error: err.Error(), NotFound: errors.Is(err, os.ErrNotExist)})
	}
	path, err := lookPath(m)
	if err != nil {
		fail(err)
		return
	}
	stdout := &output{c.conn, wire.Stdout, id}
	cmd := &exec.Cmd{Path: path, Args: m.Args, Env: m.Env, Dir: m.Dir, Stdout: stdout, Stderr: &output{c.conn, wire.Stderr, id}}
	if m.MergeStderr {
		cmd.Stderr = stdout
	}
	// For output of processes left behind, as in a guest; longer than there,
	// for what the command itself wrote is cut as well.
	cmd.WaitDelay = 2 * time.Second
	// Its own session, and gone with the machine.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
	proc := &command{cmd: cmd, input: make(chan []byte, wire.StdinWindow)}
	if m.Stdin {
		if proc.stdin, err = cmd.StdinPipe(); err != nil {
			fail(err)
			return
		}
	}
	started, registered := make(chan error), make(chan struct{})
	go func() {
		runtime.LockOSThread() // Pdeathsig is about the thread
		err := cmd.Start()
		started <- err
		if <-registered; err == nil {
			c.wait(id, proc)
		}
	}()
	err = <-started
	defer close(registered)
	if err != nil {
		fail(&os.PathError{Op: "start", Path: m.Args[0], Err: errors.Unwrap(err)})
		return
	}
	c.register(id, proc)
	if m.Stdin {
		go c.feed(id, proc)
	}
}

func (c *commands) register(id uint32, proc *command) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byID == nil {
		c.byID = map[uint32]*command{}
	}
	c.byID[id] = proc
}

func lookPath(m wire.StartMsg) (string, error) {
	if len(m.Args) == 0 {
		return "", errors.New("start: no command given")
	}
	name := m.Args[0]
	if strings.Contains(name, "/") {
		return name, nil
	}
	for _, env := range m.Env {
		list, ok := strings.CutPrefix(env, "PATH=")
		if !ok {
			continue
		}
		for _, dir := range filepath.SplitList(list) {
			path := filepath.Join(dir, name)
			if s, err := os.Stat(path); err == nil && !s.IsDir() && s.Mode()&0o111 != 0 {
				return path, nil
			}
		}
	}
	return "", &os.PathError{Op: "start", Path: name, Err: os.ErrNotExist}
}

func (c *commands) wait(id uint32, proc *command) {
	_ = proc.cmd.Wait() // the state tells
	status := proc.cmd.ProcessState.Sys().(syscall.WaitStatus)
	c.forget(id)
	var exited wire.ExitedMsg
	if syscall.Kill(-proc.cmd.Process.Pid, syscall.SIGKILL) == nil {
		exited.Left = 1
	}
	if status.Signaled() {
		exited.Signal = int(status.Signal())
	} else {
		exited.Code = status.ExitStatus()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.down {
		_ = c.conn.SendMsg(wire.Exited, id, &exited)
	}
}

// feed writes and acknowledges input.
func (c *commands) feed(id uint32, proc *command) {
	for b := range proc.input {
		if len(b) == 0 {
			proc.stdin.Close()
		} else {
			_, _ = proc.stdin.Write(b)
		}
		_ = c.conn.Send(wire.StdinAck, id, nil)
	}
}

func (c *commands) get(id uint32) *command {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.byID[id]
}

func (c *commands) forget(id uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.byID, id)
}

func (c *commands) input(id uint32, b []byte) {
	if proc := c.get(id); proc != nil && proc.stdin != nil {
		select {
		case proc.input <- append([]byte(nil), b...):
		default: // the host does not keep to the window
		}
	}
}

func (c *commands) signal(id uint32, s syscall.Signal) {
	if proc := c.get(id); proc != nil {
		_ = syscall.Kill(-proc.cmd.Process.Pid, s)
	}
}

// killAll ends all commands without a word about them, as a crash does.
func (c *commands) killAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.down = true
	for _, proc := range c.byID {
		_ = syscall.Kill(-proc.cmd.Process.Pid, syscall.SIGKILL)
	}
}
