package builder

import (
	"bytes"
	"debug/elf"
	"fmt"

	"github.com/cilium/ebpf/btf"
)

// A BTFError is a kernel whose type information is missing or unusable.
type BTFError struct {
	Path  string
	Cause error
}

func (e *BTFError) Error() string { return fmt.Sprintf("read BTF of %q: %v", e.Path, e.Cause) }
func (e *BTFError) Unwrap() error { return e.Cause }

// Hint says what usually is wrong.
func (e *BTFError) Hint() string {
	return "pahole writes it while the kernel is linked: look for BTF in the build log, and whether pahole is too old or too new for this kernel"
}

// readBTF takes the BTF out of a vmlinux and makes sure that it can be used.
func readBTF(vmlinux string) ([]byte, error) {
	raw, err := sectionOf(vmlinux, ".BTF")
	if err != nil {
		return nil, &BTFError{vmlinux, err}
	}
	spec, err := btf.LoadSpecFromReader(bytes.NewReader(raw))
	if err != nil {
		return nil, &BTFError{vmlinux, err}
	}
	// The type most programs relocate against. Without it the BTF is that
	// of something else.
	var task *btf.Struct
	if err := spec.TypeByName("task_struct", &task); err != nil {
		return nil, &BTFError{vmlinux, err}
	}
	return raw, nil
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
