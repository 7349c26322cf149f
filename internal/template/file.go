package template

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// A File is which file something is, and in which state: as long as the host is
// up, nobody changes what is in a file without changing this.
type File struct {
	Dev, Ino     uint64
	Size         int64
	Mtime, Ctime int64 // nanoseconds since 1970
}

// Stat looks at a file, which must be a regular one.
func Stat(path string) (File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return File{}, err
	}
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !info.Mode().IsRegular() {
		return File{}, fmt.Errorf("%s: not a regular file", path)
	}
	return File{
		Dev: uint64(s.Dev), Ino: s.Ino, Size: s.Size, Mtime: s.Mtim.Nano(), Ctime: s.Ctim.Nano(),
	}, nil
}

// pageSize is the unit in which memory is given back to the file system.
const pageSize = 4096

// punch makes holes of the pages of zeros that the guest has written.
func punch(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	fd := int(f.Fd())
	for end := int64(0); ; {
		start, err := unix.Seek(fd, end, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			return nil // no data beyond
		}
		if err != nil {
			return err
		}
		if end, err = unix.Seek(fd, start, unix.SEEK_HOLE); err != nil {
			return err
		}
		if err := punchZeros(f, start, end); err != nil {
			return err
		}
	}
}

// punchZeros is about a part of a file that has no holes.
func punchZeros(f *os.File, start, end int64) error {
	const mode = unix.FALLOC_FL_PUNCH_HOLE | unix.FALLOC_FL_KEEP_SIZE
	buf := make([]byte, 256*pageSize)
	for off := start; off < end; off += int64(len(buf)) {
		b := buf[:min(int64(len(buf)), end-off)]
		if _, err := f.ReadAt(b, off); err != nil {
			return err
		}
		for p := 0; p+pageSize <= len(b); p += pageSize {
			if [pageSize]byte(b[p:]) != [pageSize]byte{} {
				continue
			}
			err := unix.Fallocate(int(f.Fd()), mode, off+int64(p), pageSize)
			if errors.Is(err, unix.EOPNOTSUPP) {
				return nil
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}
