package main

import (
	"archive/tar"
	"bufio"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/bpf-vmtest/bpf-vmtest/initramfs/wire"
)

// fetch sends a file or a directory's regular files as a tar stream, named
// relative to the path's parent.
func fetch(conn *wire.Conn, id uint32, m wire.FetchMsg) {
	// Every write costs the guest an exit to QEMU; this is what virtio-console
	// sends at once.
	out := bufio.NewWriterSize(dataWriter{conn, id}, 32<<10)
	s := sender{tar: tar.NewWriter(out), root: m.Path, bytes: m.Bytes, files: m.Files}
	err := filepath.WalkDir(m.Path, s.visit)
	if err == nil {
		err = s.tar.Close()
	}
	if err == nil {
		err = out.Flush()
	}
	if err != nil {
		s.fetched.Error = err.Error()
	}
	if err == nil && m.Remove {
		for _, path := range s.paths {
			_ = os.Remove(path) // it may be gone
		}
	}
	_ = conn.SendMsg(wire.Fetched, id, &s.fetched)
}

type dataWriter struct {
	conn *wire.Conn
	id   uint32
}

func (w dataWriter) Write(b []byte) (int, error) {
	return len(b), w.conn.Send(wire.Data, w.id, b)
}

// A sender sends what lies below root, as much of it as it may.
type sender struct {
	tar     *tar.Writer
	root    string
	bytes   int64 // that still may be sent, if there is a bound
	files   int
	paths   []string // that were sent
	full    bool     // no byte is left
	fetched wire.FetchedMsg
}

// visit takes the next of the tree. What tests put there may be of any kind and
// may change meanwhile: only the root has to be readable.
func (s *sender) visit(path string, d fs.DirEntry, err error) error {
	switch {
	case err != nil && path == s.root:
		return err
	case err != nil:
		s.leave(path, err.Error())
		return nil
	case d.IsDir():
		return nil
	case !d.Type().IsRegular():
		s.leave(path, "it is not a regular file")
		return nil
	}
	return s.file(path)
}

func (s *sender) leave(path, why string) {
	if len(s.fetched.Left) == wire.LeftNames {
		s.fetched.More++
		return
	}
	name, _ := filepath.Rel(s.root, path)
	s.fetched.Left = append(s.fetched.Left, name+": "+why)
}

// file sends one file. Another one may have taken its place by now, such as a
// FIFO, on which an open would wait.
func (s *sender) file(path string) error {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		if path == s.root {
			return err
		}
		s.leave(path, err.Error())
		return nil
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	switch size := info.Size(); {
	case !info.Mode().IsRegular():
		s.leave(path, "it is not a regular file")
		return nil
	case s.files > 0 && len(s.paths) == s.files:
		s.leave(path, "there are too many files")
		return nil
	case s.full && size > 0, s.bytes > 0 && size > s.bytes:
		s.leave(path, fmt.Sprintf("its %d bytes are too many", size))
		return nil
	case s.bytes > 0:
		s.bytes -= size
		s.full = s.bytes == 0
	}
	s.paths = append(s.paths, path)
	return s.send(f, path, info)
}

// send sends as many bytes as the file had: it may grow or shrink.
func (s *sender) send(f *os.File, path string, info fs.FileInfo) error {
	name, err := filepath.Rel(filepath.Dir(s.root), path)
	if err != nil {
		return err
	}
	h := &tar.Header{Name: name, Mode: 0o644, Size: info.Size(), ModTime: info.ModTime()}
	if err := s.tar.WriteHeader(h); err != nil {
		return err
	}
	n, err := io.CopyN(s.tar, f, info.Size())
	if err == io.EOF {
		_, err = io.CopyN(s.tar, zeros{}, info.Size()-n)
	}
	return err
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}
