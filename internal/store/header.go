package store

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// header is what a kernel image says about itself.
type header struct {
	arch    string // GOARCH
	release string // empty where the format does not tell
}

// errNotKernel is the error for a file that is no kernel image.
var errNotKernel = &hinted{
	errors.New("it is not a kernel image"),
	"a kernel image is a bzImage, a vmlinux, or an arm64 Image; of a built tree, name the directory",
}

// identify reads the header of an image that QEMU boots.
func identify(path string) (header, error) {
	f, err := os.Open(path)
	if err != nil {
		return header{}, err
	}
	defer f.Close()
	// The first kilobyte holds every format's magic. Short files are no kernels.
	start := make([]byte, 1024)
	if _, err := io.ReadFull(f, start); err != nil {
		return header{}, errNotKernel
	}
	switch {
	case string(start[0x202:0x206]) == "HdrS":
		return bzImage(f, start)
	case isArm64(start):
		return header{arch: "arm64"}, nil
	case bytes.HasPrefix(start, []byte(elf.ELFMAG)):
		return vmlinux(f)
	case bytes.HasPrefix(start, []byte{0x1f, 0x8b}): // Image.gz
		z, err := gzip.NewReader(io.MultiReader(bytes.NewReader(start), f))
		if err != nil {
			return header{}, errNotKernel
		}
		if _, err := io.ReadFull(z, start); err == nil && isArm64(start) {
			return header{arch: "arm64"}, nil
		}
	}
	return header{}, errNotKernel
}

// bzImage reads the setup header: Documentation/arch/x86/boot.rst.
func bzImage(f io.ReaderAt, start []byte) (header, error) {
	h := header{arch: "386"}
	const kernel64 = 1 << 0 // of xloadflags, since protocol 2.12
	if binary.LittleEndian.Uint16(start[0x206:]) >= 0x20c && start[0x236]&kernel64 != 0 {
		h.arch = "amd64"
	}
	if offset := binary.LittleEndian.Uint16(start[0x20e:]); offset != 0 {
		// 6.12.95 (user@host) #1 SMP …, ended by a NUL
		text := make([]byte, 256)
		n, err := f.ReadAt(text, 0x200+int64(offset))
		if err != nil && err != io.EOF {
			return header{}, err
		}
		release, _, _ := strings.Cut(string(text[:n]), " ")
		if isRelease(release) || strings.Contains(release, "-next-") {
			h.release = release
		}
	}
	return h, nil
}

// isArm64 looks for the magic of Documentation/arch/arm64/booting.rst.
func isArm64(start []byte) bool { return string(start[0x38:0x3c]) == "ARM\x64" }

// vmlinux reads an uncompressed kernel. QEMU enters an x86 one only by the
// address in its PVH note.
func vmlinux(f io.ReaderAt) (header, error) {
	e, err := elf.NewFile(f)
	if err != nil {
		return header{}, fmt.Errorf("read vmlinux: %w", err)
	}
	switch e.Machine {
	case elf.EM_X86_64:
		if !hasPVHNote(e) {
			return header{}, &hinted{errors.New("this vmlinux has no PVH entry"), "use the bzImage, or build with CONFIG_PVH=y"}
		}
		return header{arch: "amd64", release: banner(e)}, nil
	case elf.EM_AARCH64:
		return header{}, &hinted{errors.New("QEMU does not boot an arm64 vmlinux"), "use arch/arm64/boot/Image"}
	}
	return header{}, fmt.Errorf("it is for %v", e.Machine)
}

// hasPVHNote looks for the note with the 32-bit entry point.
func hasPVHNote(e *elf.File) bool {
	const phys32Entry = 18 // XEN_ELFNOTE_PHYS32_ENTRY of xen/interface/elfnote.h
	for _, p := range e.Progs {
		if p.Type != elf.PT_NOTE {
			continue
		}
		notes, err := io.ReadAll(io.LimitReader(p.Open(), 1<<20))
		for align := func(n uint32) uint64 { return (uint64(n) + 3) &^ 3 }; err == nil && len(notes) >= 12; {
			name, desc := e.ByteOrder.Uint32(notes), e.ByteOrder.Uint32(notes[4:])
			if e.ByteOrder.Uint32(notes[8:]) == phys32Entry && bytes.HasPrefix(notes[12:], []byte("Xen\x00")) {
				return true
			}
			next := 12 + align(name) + align(desc)
			if next > uint64(len(notes)) {
				break
			}
			notes = notes[next:]
		}
	}
	return false
}

// banner is the release in the string that the kernel prints first and that
// /proc/version repeats, or "" if it is not there.
func banner(e *elf.File) string {
	rodata := e.Section(".rodata")
	if rodata == nil {
		return ""
	}
	const start = "Linux version "
	in := bufio.NewReaderSize(rodata.Open(), 1<<20)
	for {
		window, err := in.Peek(1 << 20)
		for rest := window; ; {
			i := bytes.Index(rest, []byte(start))
			if i < 0 {
				break
			}
			rest = rest[i+len(start):]
			release, _, ok := strings.Cut(string(rest[:min(len(rest), 256)]), " ")
			if ok && isRelease(release) {
				return release
			}
		}
		if err != nil || len(window) <= 512 {
			return ""
		}
		in.Discard(len(window) - 512) // the string may cross the window's end
	}
}
