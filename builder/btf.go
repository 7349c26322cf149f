package builder

import (
	"bytes"
	"debug/elf"
	"fmt"

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

// readBTF takes the BTF out of a vmlinux and makes sure that it can be used.
func (b *build) readBTF(vmlinux string) ([]byte, error) {
	raw, err := sectionOf(vmlinux, ".BTF")
	if err == nil {
		err = checkBTF(raw)
	}
	if err != nil {
		return nil, &BTFError{Release: b.release, Cause: err, Log: b.logPath()}
	}
	return raw, nil
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

func sectionOf(path, name string) ([]byte, error) {
	f, err := elf.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	s := f.Section(name)
	if s == nil || s.Type == elf.SHT_NOBITS || s.Size == 0 {
		return nil, fmt.Errorf("no section %s", name)
	}
	return s.Data()
}
