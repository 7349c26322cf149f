package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/bpf-vmtest/bpf-vmtest/initramfs/wire"
)

// outputGrace is how long output is awaited from processes that a command left
// behind. What the command itself wrote is in the pipe when it exits.
const outputGrace = 200 * time.Millisecond

// processes are the commands the host started, and PID 1's duty to reap
// everything else.
type processes struct {
	started chan struct{} // tells the reaper that there is a child

	mu    sync.Mutex
	byID  map[uint32]*process
	byPID map[int]*process
	oom   uint64 // the kernel's count of OOM kills when it was last read
}

type process struct {
	conn   *wire.Conn
	id     uint32
	pid    int
	stdio  *stdio
	exited chan syscall.WaitStatus
}

func newProcesses() *processes {
	p := &processes{started: make(chan struct{}, 1), byID: map[uint32]*process{}, byPID: map[int]*process{}, oom: oomKills()}
	go func() {
		for range p.started {
			p.reap()
		}
	}()
	return p
}

// reap waits for children until there are none, and so no orphans to come.
func (p *processes) reap() {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		if err == syscall.EINTR {
			continue
		}
		if err != nil { // ECHILD
			return
		}
		p.mu.Lock()
		proc := p.byPID[pid]
		delete(p.byPID, pid)
		p.mu.Unlock()
		if proc != nil {
			proc.exited <- status
		}
	}
}

func (p *processes) start(conn *wire.Conn, id uint32, m wire.StartMsg) {
	fail := func(err error) {
		_ = conn.SendMsg(wire.Exited, id, &wire.ExitedMsg{
			Error:    err.Error(),
			NotFound: errors.Is(err, os.ErrNotExist),
		})
	}
	path, err := lookPath(m)
	if err != nil {
		fail(err)
		return
	}
	stdio, err := openStdio(m)
	if err != nil {
		fail(err)
		return
	}
	stdio.acceptInput(conn, id)
	proc := &process{conn: conn, id: id, stdio: stdio, exited: make(chan syscall.WaitStatus, 1)}

	// The reaper must not see the child before it is registered.
	p.mu.Lock()
	proc.pid, err = syscall.ForkExec(path, m.Args, &syscall.ProcAttr{
		Dir:   m.Dir,
		Env:   m.Env,
		Files: stdio.childFDs(),
		Sys:   &syscall.SysProcAttr{Setsid: true, Setctty: m.TTY != nil},
	})
	if err == nil {
		p.byID[id], p.byPID[proc.pid] = proc, proc
	}
	p.mu.Unlock()
	stdio.closeChild()
	if err != nil {
		stdio.close()
		fail(&os.PathError{Op: "start", Path: m.Args[0], Err: err})
		return
	}
	select {
	case p.started <- struct{}{}:
	default: // it will look anyway
	}
	go p.wait(proc)
}

// wait forwards a process's output and then its end, in that order.
func (p *processes) wait(proc *process) {
	copied := proc.stdio.forward(proc.conn, proc.id)
	status := <-proc.exited
	proc.stdio.expire(time.Now().Add(outputGrace))
	<-copied

	left := killGroup(proc.pid)
	p.mu.Lock()
	delete(p.byID, proc.id)
	p.mu.Unlock()
	proc.stdio.close()

	exited := wire.ExitedMsg{Left: left}
	if status.Signaled() {
		exited.Signal, exited.OOMKilled = int(status.Signal()), p.outOfMemory()
	} else {
		exited.Code = status.ExitStatus()
	}
	_ = proc.conn.SendMsg(wire.Exited, proc.id, &exited)
}

func (p *processes) get(id uint32) *process {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.byID[id]
}

// Frames about a process that has just ended are late, not wrong.

func (p *processes) stdin(id uint32, data []byte) {
	if proc := p.get(id); proc != nil {
		proc.stdio.write(data)
	}
}

func (p *processes) signal(id uint32, sig syscall.Signal) {
	if proc := p.get(id); proc != nil {
		_ = syscall.Kill(-proc.pid, sig)
	}
}

func (p *processes) resize(id uint32, size wire.WindowSize) {
	if proc := p.get(id); proc != nil {
		proc.stdio.resize(size)
	}
}

// killGroup kills what is left of a process group and returns how many
// processes that was.
func killGroup(pgid int) int {
	if syscall.Kill(-pgid, 0) == syscall.ESRCH {
		return 0 // as most are; looking through /proc takes longer than all else
	}
	left := 0
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range stats {
		b, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		// pid (comm) state ppid pgrp …, and comm may hold anything.
		s := string(b)
		fields := strings.Fields(s[strings.LastIndexByte(s, ')')+1:])
		if len(fields) > 2 && fields[2] == itoa(pgid) && fields[0] != "Z" {
			left++
		}
	}
	if left > 0 {
		_ = syscall.Kill(-pgid, syscall.SIGKILL)
	}
	return left
}

// lookPath finds the program as execvp would, in the command's own PATH and
// directory.
func lookPath(m wire.StartMsg) (string, error) {
	if len(m.Args) == 0 {
		return "", errors.New("start: no command given")
	}
	name := m.Args[0]
	if strings.ContainsRune(name, '/') {
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

// outOfMemory reports whether the kernel has killed a process for want of memory
// since it was last asked. Only a command that was killed is a reason to: the
// kernel makes the whole of its statistics for it.
func (p *processes) outOfMemory() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	before := p.oom
	p.oom = oomKills()
	return p.oom > before
}

// oomKills is the kernel's count of processes it killed for want of memory.
func oomKills() uint64 {
	b, _ := os.ReadFile("/proc/vmstat")
	_, rest, ok := strings.Cut(string(b), "oom_kill ")
	if !ok {
		return 0
	}
	var n uint64
	for _, c := range rest {
		if c < '0' || c > '9' {
			break
		}
		n = 10*n + uint64(c-'0')
	}
	return n
}
