package toolbox

import (
	"fmt"
	"io"
	"os"

	"github.com/u-root/u-root/pkg/cpio"
)

// WriteArchive writes an initramfs that boots by itself, without anything of
// ours, into u-root's init and shell: an uncompressed cpio archive, the same
// bytes for the same toolbox.
func (t *Toolbox) WriteArchive(w io.Writer) error {
	bill, err := t.Bill.encode()
	if err != nil {
		return fmt.Errorf("write toolbox: %w", err)
	}
	records := []cpio.Record{
		cpio.Directory("dev", 0o755),
		// The kernel opens the console as init's standard streams before
		// devtmpfs is there; Go's runtime wants /dev/null.
		cpio.CharDev("dev/console", 0o600, 5, 1),
		cpio.CharDev("dev/null", 0o666, 1, 3),
		cpio.CharDev("dev/tty", 0o666, 5, 0),
		cpio.Directory("proc", 0o755),
		cpio.Directory("sys", 0o755),
		cpio.Directory("tmp", 0o1777),
		cpio.Directory("etc", 0o755), // u-root's init copies it
		cpio.StaticFile(billPath, string(bill), 0o644),
		cpio.Directory("root", 0o700),
		cpio.Directory("bin", 0o755),
		cpio.Symlink("bin/sh", "../bbin/"+posixShell),
		cpio.Symlink("init", "bbin/"+inits),
	}
	return t.write(w, append(records, t.links(func(string) bool { return true })...))
}

// WriteOverlay writes only the commands, in /bbin, as an archive to lay below
// one that has its own init and directories.
func (t *Toolbox) WriteOverlay(w io.Writer) error {
	return t.write(w, t.links(func(command string) bool { return command != inits }))
}

// links are /bbin without the program itself.
func (t *Toolbox) links(with func(command string) bool) []cpio.Record {
	records := []cpio.Record{cpio.Directory("bbin", 0o755), cpio.Symlink("bbin/"+posixShell, "bb")}
	for _, c := range t.Commands {
		if with(c) {
			records = append(records, cpio.Symlink("bbin/"+c, "bb"))
		}
	}
	return records
}

func (t *Toolbox) write(w io.Writer, records []cpio.Record) error {
	program, err := os.ReadFile(t.Binary)
	if err != nil {
		return fmt.Errorf("write toolbox: %w", err)
	}
	records = append(records, cpio.StaticFile("bbin/bb", string(program), 0o755))
	cpio.MakeAllReproducible(records)
	archive := cpio.Newc.Writer(w)
	if err := cpio.WriteRecords(archive, records); err != nil {
		return fmt.Errorf("write toolbox: %w", err)
	}
	if err := cpio.WriteTrailer(archive); err != nil {
		return fmt.Errorf("write toolbox: %w", err)
	}
	return nil
}
