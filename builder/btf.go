package builder

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/cilium/ebpf/btf"
)

// A BTFError is a kernel whose type information is missing or unusable.
type BTFError struct {
	Release string
	Cause   error
	Log     string // the file with everything make printed
}

func (e *BTFError) Error() string { return fmt.Sprintf("read BTF of linux %q: %v", e.Release, e.Cause) }
func (e *BTFError) Unwrap() error { return e.Cause }

// Hint says what usually is wrong.
func (e *BTFError) Hint() string {
	return "pahole writes it while the kernel is linked: see what it says in " + e.Log + ", and whether pahole is too old or too new for this kernel"
}

// btfSymbol is the switch that gives a kernel its types.
const btfSymbol = "DEBUG_INFO_BTF"

// collectBTF takes the BTF out of a vmlinux into dir and makes sure that it
// can be used. A kernel configured without is to have none.
func (b *build) collectBTF(vmlinux, dir string) error {
	raw, err := sectionOf(vmlinux, ".BTF")
	switch {
	case !b.has(btfSymbol) && err == nil:
		err = fmt.Errorf("there is some, without CONFIG_%s", btfSymbol)
	case !b.has(btfSymbol) && errors.Is(err, errNoSection):
		return nil
	case err == nil:
		err = checkBTF(raw)
	}
	if err != nil {
		return &BTFError{Release: b.release, Cause: err, Log: b.logPath()}
	}
	return os.WriteFile(filepath.Join(dir, btfName), raw, 0o644)
}

// checkBTF looks for the type most programs relocate against: without it the
// BTF is that of something else.
func checkBTF(raw []byte) error {
	spec, err := btf.LoadSpecFromReader(bytes.NewReader(raw))
	if err != nil {
		return err
	}
	var task *btf.Struct
	if err := spec.TypeByName("task_struct", &task); err != nil {
		return fmt.Errorf("find type task_struct: %w", err)
	}
	return nil
}

var errNoSection = errors.New("no section")

func sectionOf(path, name string) ([]byte, error) {
	f, err := elf.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	s := f.Section(name)
	if s == nil || s.Type == elf.SHT_NOBITS || s.Size == 0 {
		return nil, fmt.Errorf("%w %s", errNoSection, name)
	}
	return s.Data()
}
