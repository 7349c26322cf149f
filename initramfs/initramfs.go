// Package initramfs makes what a guest starts with: a cpio archive that holds
// PID 1 and the kernel modules it needs to reach its host.
package initramfs

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"
	"github.com/u-root/u-root/pkg/cpio"
)

// An Archive is the content of the small initramfs that a run boots.
type Archive struct {
	Init    string   // path of a static binary, see [BuildInit]
	Modules []Module // loaded in this order, see [BootModules]
	// Base is a whole archive that is laid below, such as the u-root
	// toolbox or the initramfs that came with a kernel; or empty.
	Base string
}

// WriteFile writes the archive to path, atomically. The same content always
// gives the same bytes.
func (a Archive) WriteFile(path string) error {
	t, err := renameio.NewPendingFile(path)
	if err != nil {
		return fmt.Errorf("write initramfs: %w", err)
	}
	defer t.Cleanup()
	if err := a.write(t); err != nil {
		return fmt.Errorf("write initramfs %s: %w", path, err)
	}
	return t.CloseAtomicallyReplace()
}

func (a Archive) write(w io.Writer) error {
	if err := copyBase(w, a.Base); err != nil {
		return err
	}
	init, err := os.ReadFile(a.Init)
	if err != nil {
		return err
	}
	records := []cpio.Record{
		cpio.Directory("dev", 0o755),
		// The kernel opens it as init's standard streams before devtmpfs
		// is there, and warns when it cannot.
		cpio.CharDev("dev/console", 0o600, 5, 1),
		cpio.Directory("proc", 0o755),
		cpio.Directory("sys", 0o755),
		cpio.Directory("vmtest", 0o755),
		cpio.Directory("vmtest/modules", 0o755),
		cpio.StaticFile("init", string(init), 0o755),
	}
	for i, m := range a.Modules {
		image, err := m.read()
		if err != nil {
			return err
		}
		name := fmt.Sprintf("vmtest/modules/%03d-%s.ko", i, m.Name)
		records = append(records, cpio.StaticFile(name, string(image), 0o644))
	}
	rw := cpio.Newc.Writer(w)
	cpio.MakeAllReproducible(records)
	if err := cpio.WriteRecords(rw, records); err != nil {
		return err
	}
	return cpio.WriteTrailer(rw)
}

// copyBase puts one archive in front of another. The kernel unpacks all of
// them in turn, plain or compressed, when each starts at a multiple of four.
func copyBase(w io.Writer, base string) error {
	if base == "" {
		return nil
	}
	f, err := os.Open(filepath.Clean(base))
	if err != nil {
		return err
	}
	defer f.Close()
	n, err := io.Copy(w, f)
	if err != nil {
		return err
	}
	_, err = w.Write(make([]byte, (4-n%4)%4))
	return err
}
