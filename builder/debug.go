package builder

import (
	"os"
	"path/filepath"
)

// gdbSymbol is the switch that keeps what gdb needs; gdbTarget makes the part
// of it that is generated.
const (
	gdbSymbol = "GDB_SCRIPTS"
	gdbTarget = "scripts_gdb"
)

// gdbFiles are patterns of what gdb needs, in the build directory. It loads
// vmlinux-gdb.py for the vmlinux beside it.
var gdbFiles = []string{vmlinuxName, "vmlinux-gdb.py", "scripts/gdb/linux/*.py"}

// collectDebug copies what gdb needs into a directory of its own.
func (b *build) collectDebug(dir string) error {
	if !b.has(gdbSymbol) {
		return nil
	}
	for _, pattern := range gdbFiles {
		files, err := filepath.Glob(filepath.Join(b.out, pattern))
		if err != nil {
			return err
		}
		if len(files) == 0 {
			return &os.PathError{Op: "collect debug information", Path: filepath.Join(b.out, pattern), Err: os.ErrNotExist}
		}
		for _, from := range files {
			rel, err := filepath.Rel(b.out, from)
			if err != nil {
				return err
			}
			to := filepath.Join(dir, debugName, rel)
			if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
				return err
			}
			if err := copyFile(from, to); err != nil {
				return err
			}
		}
	}
	return nil
}
