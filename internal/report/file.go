package report

import (
	"fmt"
	"io"
	"os"

	"github.com/google/renameio/v2"
)

// A File is a report on its way to a file, which appears when it is whole. What
// is no regular file, such as /dev/stdout, is written to as it is.
type File struct {
	io.Writer
	path    string
	pending *renameio.PendingFile
	device  *os.File
}

// Create begins a report. Either Close or Cancel ends it.
func Create(path string) (*File, error) {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			return nil, fmt.Errorf("write report: %w", err)
		}
		return &File{Writer: f, path: path, device: f}, nil
	}
	f, err := renameio.NewPendingFile(path, renameio.WithPermissions(0o644))
	if err != nil {
		return nil, fmt.Errorf("write report %q: %w", path, err)
	}
	return &File{Writer: f, path: path, pending: f}, nil
}

// Close makes the file appear.
func (f *File) Close() error {
	var err error
	if f.device != nil {
		err = f.device.Close()
	} else {
		err = f.pending.CloseAtomicallyReplace()
	}
	if err != nil {
		return fmt.Errorf("write report %q: %w", f.path, err)
	}
	return nil
}

// Cancel leaves the file as it was. It does nothing after Close.
func (f *File) Cancel() {
	if f.device != nil {
		_ = f.device.Close()
	} else {
		_ = f.pending.Cleanup()
	}
}
