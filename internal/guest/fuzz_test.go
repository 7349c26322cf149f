package guest

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/bpf-vmtest/bpf-vmtest/initramfs/wire"
)

// frames are what a guest sends, in order.
func frames(t testing.TB, send func(*wire.Conn) error) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := send(wire.NewConn(&b)); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// A guest may say anything, for root there can write to the wire.
func FuzzReceive(f *testing.F) {
	f.Add(frames(f, func(c *wire.Conn) error {
		_ = c.Send(wire.Stdout, 1, []byte("out\n"))
		_ = c.Send(wire.StdinAck, 1, nil)
		return c.SendMsg(wire.Exited, 1, &wire.ExitedMsg{Code: 3})
	}))
	f.Add(frames(f, func(c *wire.Conn) error { // twice the end, and something after it
		_ = c.SendMsg(wire.Exited, 1, &wire.ExitedMsg{})
		_ = c.SendMsg(wire.Exited, 1, &wire.ExitedMsg{Signal: 9})
		_ = c.Send(wire.Stdout, 1, []byte("late"))
		return c.SendMsg(wire.Fetched, 1, &wire.FetchedMsg{Error: "no such file"})
	}))
	f.Add(frames(f, func(c *wire.Conn) error {
		_ = c.SendMsg(wire.Hello, 0, &wire.HelloMsg{Protocol: 1})
		_ = c.SendMsg(wire.Ready, 0, &wire.ReadyMsg{Error: "no"})
		_ = c.Send(wire.Pong, sysrqPing, nil)
		_ = c.Send(wire.Pong, sysrqPing, nil)
		return c.Send(wire.Done, 7, []byte("x"))
	}))
	f.Add([]byte("\x05\x01\x00\x00\x00\x02\x00\x00\x00[]\xff\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		g := &Guest{
			conn: wire.NewConn(struct {
				io.Reader
				io.Writer
			}{bytes.NewReader(b), io.Discard}),
			control:  make(chan wire.Frame, 1),
			commands: map[uint32]*process{},
			gone:     make(chan struct{}),
			pulse:    pulse{sysrq: make(chan struct{}, 1)},
		}
		var out bytes.Buffer
		p := &process{stdout: &out, stderr: &out}
		if id := g.register(p); id != 1 {
			t.Fatal(id)
		}
		go g.receive()
		select {
		case <-g.gone:
		case <-time.After(time.Minute):
			t.Fatal("it does not end")
		}
		if out.Len() > len(b) {
			t.Errorf("%d bytes of output from %d bytes", out.Len(), len(b))
		}
	})
}

// What a guest sends as files stays below the directory they are meant for.
func FuzzUnpack(f *testing.F) {
	f.Add(archive(f, tar.Header{Name: "a/b", Typeflag: tar.TypeReg}, tar.Header{Name: "../c", Typeflag: tar.TypeReg}))
	f.Add(archive(f, tar.Header{Name: "/etc/passwd", Typeflag: tar.TypeReg}))
	f.Add(archive(f, tar.Header{Name: "l", Typeflag: tar.TypeSymlink, Linkname: "/tmp"}, tar.Header{Name: "l/x", Typeflag: tar.TypeReg}))
	f.Fuzz(func(t *testing.T, b []byte) {
		parent := t.TempDir()
		dir := filepath.Join(parent, "dir")
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		_ = unpack(bytes.NewReader(b), dir)
		if entries, err := os.ReadDir(parent); err != nil || len(entries) != 1 {
			t.Errorf("beside the directory: %v, %v", entries, err)
		}
		_ = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
			if err == nil && !d.IsDir() && !d.Type().IsRegular() {
				t.Errorf("%s is neither a file nor a directory", path)
			}
			return err
		})
	})
}

func archive(t testing.TB, headers ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range headers {
		if h.Typeflag == tar.TypeReg {
			h.Size = 1
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if h.Size == 1 {
			_, _ = w.Write([]byte("x"))
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
