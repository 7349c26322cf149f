package wire

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestRoundTrip(t *testing.T) {
	var b bytes.Buffer
	c := NewConn(&b)
	start := StartMsg{Args: []string{"a", strings.Repeat("x", 100_000)}, Dir: "/\x00"}
	if err := c.SendMsg(Start, 7, &start); err != nil {
		t.Fatal(err)
	}
	raw := []byte{0, 1, 0xff, '\n'}
	if err := c.Send(Stdout, 1<<31, raw); err != nil {
		t.Fatal(err)
	}
	if err := c.SendMsg(Done, 0, nil); err != nil {
		t.Fatal(err)
	}

	f, err := c.Read()
	if err != nil || f.Type != Start || f.ID != 7 {
		t.Fatalf("Read = %v %d, %v", f.Type, f.ID, err)
	}
	var got StartMsg
	if err := f.Decode(&got); err != nil || got.Args[1] != start.Args[1] || got.Dir != start.Dir {
		t.Errorf("Decode = %v, %v", got, err)
	}
	if f, err = c.Read(); err != nil || f.ID != 1<<31 || !bytes.Equal(f.Payload, raw) {
		t.Errorf("Read = %v, %v", f, err)
	}
	if f, err = c.Read(); err != nil || f.Type != Done || len(f.Payload) != 0 {
		t.Errorf("Read = %v, %v", f, err)
	}
	if _, err := c.Read(); err != io.EOF {
		t.Errorf("Read at the end = %v, want EOF", err)
	}
}

func TestReadBroken(t *testing.T) {
	torn := NewConn(bytes.NewBuffer([]byte{1, 0, 0, 0, 0, 5, 0, 0, 0, 'x'}))
	if _, err := torn.Read(); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("torn payload: %v", err)
	}
	tornHeader := NewConn(bytes.NewBuffer([]byte{1, 0}))
	if _, err := tornHeader.Read(); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("torn header: %v", err)
	}
	huge := NewConn(bytes.NewBuffer([]byte{1, 0, 0, 0, 0, 255, 255, 255, 255}))
	if _, err := huge.Read(); err == nil || !strings.Contains(err.Error(), "over the limit") {
		t.Errorf("huge payload: %v", err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte{1, 0, 0, 0, 0, 2, 0, 0, 0, 2, 'x'})
	f.Add([]byte{255, 1, 2, 3, 4, 0, 0, 0, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		c := NewConn(bytes.NewBuffer(b))
		for range 100 {
			frame, err := c.Read()
			if err != nil {
				return
			}
			for _, msg := range messages() { // of both directions; none may panic
				_ = frame.Decode(msg)
			}
		}
	})
}
