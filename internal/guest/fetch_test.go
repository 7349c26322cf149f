package guest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bpf-vmtest/bpf-vmtest/initramfs/wire"
	"github.com/bpf-vmtest/bpf-vmtest/internal/machine"
)

// answering is a guest whose init answers the first frame so.
func answering(t *testing.T, answer func(*wire.Conn)) *Guest {
	t.Helper()
	near, far := net.Pipe()
	t.Cleanup(func() { near.Close(); far.Close() })
	g := &Guest{
		conn: wire.NewConn(near), control: make(chan wire.Frame, 1), commands: map[uint32]*process{},
		gone: make(chan struct{}), pulse: pulse{sysrq: make(chan struct{}, 1)},
		machine: &machine.Machine{}, silence: time.Minute,
	}
	go g.receive()
	go func() {
		conn := wire.NewConn(far)
		if f, err := conn.Read(); err == nil && f.Type == wire.Fetch {
			answer(conn)
		}
	}()
	return g
}

func TestFetchFile(t *testing.T) {
	send := func(c *wire.Conn, b []byte, end wire.FetchedMsg) {
		_ = c.Send(wire.Data, 1, b)
		_ = c.SendMsg(wire.Fetched, 1, &end)
	}
	archive := tarOf(t, file("types")).Bytes()
	for name, tt := range map[string]struct {
		answer func(*wire.Conn)
		max    int64
		remote bool // the error is of the guest's
		err    string
	}{
		"whole":     {func(c *wire.Conn) { send(c, archive, wire.FetchedMsg{}) }, 100, false, ""},
		"none":      {func(c *wire.Conn) { send(c, nil, wire.FetchedMsg{Error: "open x: no such \x1bfile"}) }, 100, true, "no such _file"},
		"left":      {func(c *wire.Conn) { send(c, nil, wire.FetchedMsg{Left: []string{"its 7 bytes are too many"}}) }, 100, true, "too many"},
		"too large": {func(c *wire.Conn) { send(c, archive, wire.FetchedMsg{}) }, 3, false, "more came"},
		"torn":      {func(c *wire.Conn) { send(c, archive[:515], wire.FetchedMsg{}) }, 100, false, "unexpected EOF"},
		"flood": {func(c *wire.Conn) {
			for zero := make([]byte, 1<<20); c.Send(wire.Data, 1, zero) == nil; {
			}
		}, 100, false, "more than was asked for"},
	} {
		t.Run(name, func(t *testing.T) {
			to := filepath.Join(t.TempDir(), "file")
			err := answering(t, tt.answer).FetchFile(context.Background(), "/sys/types", to, tt.max)
			var remote *RemoteError
			if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) || errors.As(err, &remote) != tt.remote {
				t.Errorf("error %v, want %q, of the guest's: %v", err, tt.err, tt.remote)
			}
			files, _ := os.ReadDir(filepath.Dir(to))
			if want := tt.err == ""; (len(files) == 1) != want {
				t.Errorf("files: %v", files)
			}
		})
	}
}

// TestCollectError leaves what came before the stream broke.
func TestCollectError(t *testing.T) {
	archive := tarOf(t, file("a"), file("b"))
	g := answering(t, func(c *wire.Conn) {
		b, _ := io.ReadAll(archive)
		_ = c.Send(wire.Data, 1, b[:1536+1])
		_ = c.SendMsg(wire.Fetched, 1, &wire.FetchedMsg{Error: "read b: input/output error"})
	})
	dir := filepath.Join(t.TempDir(), "new")
	c, err := g.Collect(context.Background(), "/run/0", dir, Limits{Bytes: 100, Files: 10})
	if err == nil || len(c.Files) != 1 || strings.Join(tree(t, dir), " ") != "a" {
		t.Errorf("%+v, %v", c, err)
	}
}

// TestFetchStalled: who took the wire from init can keep it busy, and keep nobody
// waiting.
func TestFetchStalled(t *testing.T) {
	for name, send := range map[string]func(*wire.Conn) error{
		"speaks of others": func(c *wire.Conn) error { return c.Send(wire.Data, 7, make([]byte, 1<<10)) },
		"answers pings":    func(c *wire.Conn) error { return c.Send(wire.Pong, 0, nil) },
		"drips":            func(c *wire.Conn) error { return c.Send(wire.Data, 1, []byte{0}) },
	} {
		t.Run(name, func(t *testing.T) {
			g := answering(t, func(c *wire.Conn) {
				for send(c) == nil {
					time.Sleep(time.Millisecond)
				}
			})
			g.silence = 100 * time.Millisecond
			dir := t.TempDir()
			_, err := g.Collect(context.Background(), "/run/0", filepath.Join(dir, "new"), Limits{Bytes: 100, Files: 10})
			if err == nil || !strings.Contains(err.Error(), "does not send what was asked for") {
				t.Errorf("error %v", err)
			}
			g.silence = time.Hour
			if again := g.FetchFile(context.Background(), "/sys/types", filepath.Join(dir, "file"), 100); again == nil || !strings.Contains(again.Error(), "does not send") {
				t.Errorf("asked again: %v", again)
			}
		})
	}
}

// TestSaid: what a guest says of a command or its files is one line that does nothing
// to a terminal, and not many.
func TestSaid(t *testing.T) {
	hostile := "\x1b]0;title\a\n--- PASS: Forged\r" + strings.Repeat("x", 1<<16)
	harmless := func(s string) bool { return len(s) < 2000 && s == printable(s) }
	p := &process{done: make(chan struct{})}
	exited, err := wire.NewConn(bytes.NewBuffer(frames(t, func(c *wire.Conn) error {
		return c.SendMsg(wire.Exited, 1, &wire.ExitedMsg{Error: hostile})
	}))).Read()
	if err != nil {
		t.Fatal(err)
	}
	p.handle(exited)
	if !p.ended || p.exited.Error == "" || !harmless(p.exited.Error) {
		t.Errorf("a command ends with %.100q", p.exited.Error)
	}
	g := answering(t, func(c *wire.Conn) {
		b, _ := io.ReadAll(tarOf(t, file(hostile[:200])))
		_ = c.Send(wire.Data, 1, b)
		_ = c.SendMsg(wire.Fetched, 1, &wire.FetchedMsg{Left: slices.Repeat([]string{hostile}, 100), More: -7})
	})
	c, err := g.Collect(context.Background(), "/run/0", filepath.Join(t.TempDir(), "new"), Limits{Bytes: 1000, Files: 10})
	if err != nil || len(c.Left) != wire.LeftNames || len(c.Files) != 1 || c.More != 100-wire.LeftNames || slices.ContainsFunc(c.Left, func(s string) bool { return !harmless(s) }) {
		t.Errorf("%d are left, %d more, %d came, %v", len(c.Left), c.More, len(c.Files), err)
	}
}
