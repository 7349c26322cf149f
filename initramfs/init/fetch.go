package main

import (
	"archive/tar"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/bpf-vmtest/bpf-vmtest/initramfs/wire"
)

// fetch sends a file or a directory's regular files as a tar stream, named
// relative to the path's parent.
func fetch(conn *wire.Conn, id uint32, path string) {
	var fetched wire.FetchedMsg
	if err := sendTree(dataWriter{conn, id}, path); err != nil {
		fetched.Error = err.Error()
	}
	_ = conn.SendMsg(wire.Fetched, id, fetched)
}

type dataWriter struct {
	conn *wire.Conn
	id   uint32
}

func (w dataWriter) Write(b []byte) (int, error) {
	return len(b), w.conn.Send(wire.Data, w.id, b)
}

func sendTree(w io.Writer, root string) error {
	tw := tar.NewWriter(w)
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		name, err := filepath.Rel(filepath.Dir(root), path)
		if err != nil {
			return err
		}
		return sendFile(tw, name, path)
	})
	if err != nil {
		return err
	}
	return tw.Close()
}

func sendFile(tw *tar.Writer, name, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	h := &tar.Header{Name: name, Mode: 0o644, Size: info.Size(), ModTime: info.ModTime()}
	if err := tw.WriteHeader(h); err != nil {
		return err
	}
	_, err = io.CopyN(tw, f, info.Size()) // a file that still grows is cut, not an error
	return err
}
