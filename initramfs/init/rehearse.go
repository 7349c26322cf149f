package main

import (
	"bytes"
	"io"

	"github.com/bpf-vmtest/bpf-vmtest/initramfs/wire"
)

// rehearsed is the name under which this program does nothing.
const rehearsed = "/proc/self/exe"

// rehearse goes once through what the machines that start from the saved one will
// do: a setup and a command. Threads, tables of types, memory, all that
// Go's runtime and the kernel make when it is first needed, are then part of
// what is saved. Otherwise each machine would make them, by code that QEMU has to
// translate for it.
func rehearse(procs *processes) {
	s := &script{exited: make(chan struct{})}
	to := wire.NewConn(&s.frames)
	_ = to.SendMsg(wire.Setup, 0, &wire.SetupMsg{Hostname: "vmtest", Steps: []wire.Step{
		{Mkdir: &wire.Mkdir{Path: "/run"}},
		{Symlink: &wire.Symlink{Path: "/dev/fd"}},
		{Mount: &wire.Mount{Target: "/run"}, Optional: true},
		{Write: &wire.Write{Path: "/dev/null", Data: []byte("nothing")}},
	}})
	_ = to.SendMsg(wire.Start, 0, &wire.StartMsg{
		Args: []string{rehearsed}, Env: []string{"PATH=/"}, Dir: "/",
	})
	_ = serve(wire.NewConn(s), procs) // until the frames are read
}

// A script is a host that says what it has to say whatever it is answered, and
// goes away when the command has exited.
type script struct {
	frames bytes.Buffer
	exited chan struct{}
}

func (s *script) Read(b []byte) (int, error) {
	if s.frames.Len() == 0 {
		<-s.exited
		return 0, io.EOF
	}
	return s.frames.Read(b)
}

func (s *script) Write(b []byte) (int, error) {
	if wire.Type(b[0]) == wire.Exited {
		close(s.exited)
	}
	return len(b), nil
}
