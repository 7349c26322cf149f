package fakeqemu

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/bpf-vmtest/bpf-vmtest/initramfs/wire"
)

// guest is the machine's init.
type guest struct {
	*machine
	replace  *strings.Replacer // the guest's paths → the host's
	config   []byte            // the kernel's, as far as vmtest knows
	commands commands
}

var notFrames = []byte("\xff\xff\xff\xff\xff\xff\xff\xff\xff no frame begins like this")

// boot runs the machine until it ends.
func (m *machine) boot() {
	m.banner()
	machine := map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[m.kernel.Arch]
	hello := &wire.HelloMsg{Protocol: wire.Protocol, Release: m.kernel.Release, Machine: machine, Uptime: 100 * time.Millisecond}
	switch m.kernel.Behavior {
	case Panics:
		m.console.print(panicReport("VFS: Unable to mount root fs on unknown-block(0,0)")...)
		os.Exit(0)
	case Vanishes:
		os.Exit(0)
	case Refuses:
		fmt.Fprintf(os.Stderr, "qemu-system-%s: could not do what was asked for\n", machine)
		os.Exit(1)
	case Hangs:
		select {}
	case Garbage:
		_, _ = os.NewFile(3, "wire").Write(notFrames)
		select {}
	case Foreign:
		hello.Protocol = 99
	case WarnsEarly:
		m.console.print(warning...)
	}
	_ = m.wire.SendMsg(wire.Hello, 0, hello)
	if m.ram != "" {
		go func() { _ = m.monitor() }()
	}
	m.serve()
}

// restored goes on with a machine that had said hello.
func (m *machine) restored() {
	if err := m.monitor(); err != nil {
		fmt.Fprintf(os.Stderr, "qemu-system: %v\n", err)
		os.Exit(1)
	}
	// The archive, which lies in vmtest's own directory, is not read again.
	var err error
	if m.scratch, err = os.MkdirTemp("", "fakeqemu-"); err != nil {
		m.console.print(err.Error())
	}
	defer os.RemoveAll(m.scratch)
	m.serve()
}

// serve is init after its hello.
func (m *machine) serve() {
	g := &guest{machine: m}
	g.commands.conn = m.wire
	if err := g.serve(); err != nil && err != io.EOF {
		m.console.print("vmtest init: " + err.Error())
	}
	g.commands.killAll()
}

func (g *guest) serve() error {
	for {
		f, err := g.wire.Read()
		if err != nil {
			return err
		}
		if err := g.handle(f); err != nil {
			return err
		}
		if f.Type == wire.Shutdown {
			return nil
		}
	}
}

func (g *guest) handle(f wire.Frame) error {
	switch f.Type {
	case wire.Prepare:
		return decode(f, func(m wire.PrepareMsg) error {
			g.learn(m.Steps)
			return g.wire.SendMsg(wire.Ready, 0, &wire.ReadyMsg{})
		})
	case wire.Setup:
		return decode(f, func(m wire.SetupMsg) error {
			ready := g.setup(m)
			return g.wire.SendMsg(wire.Ready, 0, &ready)
		})
	case wire.Start:
		return decode(f, func(m wire.StartMsg) error {
			if g.kernel.Behavior == GarbageRun {
				_, _ = os.NewFile(3, "wire").Write(notFrames)
			}
			g.commands.start(f.ID, g.here(m))
			return nil
		})
	case wire.Stdin:
		g.commands.input(f.ID, f.Payload)
	case wire.Signal:
		return decode(f, func(m wire.SignalMsg) error {
			g.commands.signal(f.ID, syscall.Signal(m.Signal))
			return nil
		})
	case wire.Fetch:
		return decode(f, func(m wire.FetchMsg) error {
			if m.Path == "/proc/config.gz" {
				return g.fetchConfig(f.ID)
			}
			if m.Path == "/sys/kernel/btf/vmlinux" {
				return g.sendFile(f.ID, "vmlinux", []byte("types of "+g.kernel.Release+"\n"))
			}
			m.Path = g.replace.Replace(m.Path)
			return g.fetch(f.ID, m)
		})
	case wire.Sysrq:
		return decode(f, func(m wire.SysrqMsg) error {
			g.console.print("sysrq: Show State " + m.Keys)
			return nil
		})
	case wire.Shutdown:
		switch g.kernel.Behavior {
		case NeverDone:
			return nil
		case WarnsLate:
			g.console.print(warning...)
		}
		err := g.wire.SendMsg(wire.Done, 0, nil)
		if g.kernel.Behavior == Stays {
			select {}
		}
		return err
	case wire.Ping:
		if g.kernel.Behavior != Silent {
			return g.wire.Send(wire.Pong, f.ID, nil)
		}
	case wire.Resize:
	default:
		return fmt.Errorf("unknown frame of type %d", f.Type)
	}
	return nil
}

func decode[T any, P interface {
	*T
	wire.Message
}](f wire.Frame, do func(T) error) error {
	var m T
	if err := f.Decode(P(&m)); err != nil {
		return err
	}
	return do(m)
}

// setup learns from the steps what is mounted where.
func (g *guest) setup(m wire.SetupMsg) wire.ReadyMsg {
	if g.kernel.Behavior == Without9P {
		return wire.ReadyMsg{Error: "mount 9p on /run/vmtest/shares/share0: no such device"}
	}
	lower := map[string]string{} // mounted at → host path
	var pairs []string
	g.learn(m.Steps)
	for _, s := range m.Steps {
		if s.Mount == nil {
			continue
		}
		switch s.Mount.Type {
		case "9p":
			path, ok := g.shares[s.Mount.Source]
			if !ok {
				return wire.ReadyMsg{Error: fmt.Sprintf("mount 9p on %s: no such tag %q", s.Mount.Target, s.Mount.Source)}
			}
			lower[s.Mount.Target] = path
		case "overlay":
			dir, _, _ := strings.Cut(strings.TrimPrefix(s.Mount.Data, "lowerdir="), ",")
			if path := lower[dir]; path != s.Mount.Target && s.Mount.Target != "/lib/modules/"+g.kernel.Release {
				// Later mounts lie over earlier ones.
				pairs = append([]string{s.Mount.Target, path}, pairs...)
			}
		}
	}
	g.replace = strings.NewReplacer(append(pairs, "/run/vmtest/", g.scratch+"/")...)
	for _, s := range m.Steps {
		if s.Mkdir != nil && strings.HasPrefix(s.Mkdir.Path, "/run/vmtest/") {
			if err := os.MkdirAll(g.replace.Replace(s.Mkdir.Path), 0o755); err != nil {
				return wire.ReadyMsg{Error: err.Error()}
			}
		}
	}
	g.fifo("kmsg", func(line string) { g.console.print(line) })
	g.fifo("sysrq", g.sysrq)
	return wire.ReadyMsg{}
}

// learn finds the kernel's configuration in the steps.
func (g *guest) learn(steps []wire.Step) {
	for _, s := range steps {
		if s.Write != nil && strings.HasPrefix(s.Write.Path, "/boot/config-") {
			g.config = s.Write.Data
		}
	}
}

// here is the command with the host's paths.
func (g *guest) here(m wire.StartMsg) wire.StartMsg {
	for i, a := range m.Args {
		m.Args[i] = g.replace.Replace(a)
	}
	for i, v := range m.Env {
		if strings.HasPrefix(v, "VMTEST_ARTIFACTS=") {
			m.Env[i] = g.replace.Replace(v)
		}
	}
	m.Dir = g.replace.Replace(m.Dir)
	m.Env = append(m.Env, "FAKE_KMSG="+filepath.Join(g.scratch, "kmsg"), "FAKE_SYSRQ="+filepath.Join(g.scratch, "sysrq"))
	return m
}

// fifo calls do with each line that is written to a FIFO of the guest's.
func (g *guest) fifo(name string, do func(line string)) {
	path := filepath.Join(g.scratch, name)
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		g.console.print(err.Error())
		return
	}
	go func() {
		// Opened for both: a FIFO without a writer would be at its end.
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			return
		}
		for in := bufio.NewReader(f); ; {
			line, err := in.ReadString('\n')
			if err != nil {
				return
			}
			do(strings.TrimSuffix(line, "\n"))
		}
	}()
}

func (g *guest) sysrq(key string) {
	time.Sleep(50 * time.Millisecond) // for what the test has printed before
	g.commands.killAll()
	if key == "c" {
		g.console.print("sysrq: Trigger a crash")
		g.console.print(panicReport("sysrq triggered crash")...)
	}
	os.Exit(0)
}

// fetch sends files as a tar stream, as far as they may be had.
func (g *guest) fetch(id uint32, m wire.FetchMsg) error {
	var fetched wire.FetchedMsg
	tw := tar.NewWriter(dataWriter{g.wire, id})
	files, left := 0, m.Bytes
	err := filepath.WalkDir(m.Path, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		below, _ := filepath.Rel(m.Path, path)
		if !d.Type().IsRegular() {
			fetched.Left = append(fetched.Left, below+": it is not a regular file")
			return nil
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if m.Files > 0 && files == m.Files || m.Bytes > 0 && int64(len(b)) > left {
			fetched.Left = append(fetched.Left, fmt.Sprintf("%s: its %d bytes are too many", below, len(b)))
			return nil
		}
		files, left = files+1, left-int64(len(b))
		if m.Remove {
			defer os.Remove(path)
		}
		name := filepath.Join(filepath.Base(m.Path), below)
		if err := tw.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(b))}); err != nil {
			return err
		}
		_, err = tw.Write(b)
		return err
	})
	if err == nil {
		err = tw.Close()
	}
	if err != nil {
		fetched.Error = err.Error()
	}
	return g.wire.SendMsg(wire.Fetched, id, &fetched)
}

// fetchConfig sends /proc/config.gz.
func (g *guest) fetchConfig(id uint32) error {
	if g.config == nil {
		return g.wire.SendMsg(wire.Fetched, id, &wire.FetchedMsg{Error: "lstat /proc/config.gz: no such file or directory"})
	}
	if g.kernel.Behavior == OtherConfig {
		g.config = append(g.config, "CONFIG_FAKE=y\n"...)
	}
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write(g.config)
	_ = z.Close()
	return g.sendFile(id, "config.gz", b.Bytes())
}

func (g *guest) sendFile(id uint32, name string, b []byte) error {
	tw := tar.NewWriter(dataWriter{g.wire, id})
	err := tw.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(b))})
	if err == nil {
		_, err = tw.Write(b)
	}
	if err := errors.Join(err, tw.Close()); err != nil {
		return err
	}
	return g.wire.SendMsg(wire.Fetched, id, &wire.FetchedMsg{})
}

type dataWriter struct {
	conn *wire.Conn
	id   uint32
}

func (w dataWriter) Write(b []byte) (int, error) { return len(b), w.conn.Send(wire.Data, w.id, b) }
