package main

import (
	"bytes"
	"io"
	"testing"
	"time"

	"github.com/bpf-vmtest/bpf-vmtest/initramfs/wire"
)

// slow is a wire whose other end takes its time.
type slow struct{ bytes.Buffer }

func (s *slow) Write(b []byte) (int, error) {
	time.Sleep(50 * time.Millisecond)
	return s.Buffer.Write(b)
}

// TestForwardRest has all that was written before the deadline arrive, also when
// it takes longer, and waits for nothing more.
func TestForwardRest(t *testing.T) {
	s, err := openStdio(wire.StartMsg{MergeStderr: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	defer s.closeChild()                                   // which holds the pipe open, as a process left behind does
	text := bytes.Repeat([]byte("0123456789abcdef"), 4000) // as much as a pipe holds, nearly
	if _, err := s.child[1].Write(text); err != nil {
		t.Fatal(err)
	}
	var out slow
	copied := s.forward(wire.NewConn(&out), 1)
	s.expire(time.Now())
	select {
	case <-copied:
	case <-time.After(20 * time.Second):
		t.Fatal("it waits for the process that is left")
	}
	var got []byte
	for conn := wire.NewConn(&out.Buffer); ; {
		f, err := conn.Read()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, f.Payload...)
	}
	if !bytes.Equal(got, text) {
		t.Errorf("%d of %d bytes arrived", len(got), len(text))
	}
}
