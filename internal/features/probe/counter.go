package main

import (
	"fmt"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// called is how long a program that is attached may take to be called. The
// trigger is repeated meanwhile; on an idle machine the first one will do.
const called = 10 * time.Second

// A counter is a program, of any type, that counts how often it is called.
type counter struct {
	*ebpf.Program
	calls *ebpf.Map
}

// newCounter loads a program that returns the verdict.
func newCounter(spec ebpf.ProgramSpec, verdict int32) (*counter, error) {
	calls, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1})
	if err != nil {
		return nil, fmt.Errorf("make a map: %w", err)
	}
	spec.License = "GPL"
	spec.Instructions = append(asm.Instructions{
		asm.LoadMapValue(asm.R1, calls.FD(), 0),
		asm.Mov.Imm(asm.R2, 1),
		asm.StoreXAdd(asm.R1, asm.R2, asm.DWord),
	}, returning(verdict)...)
	p, err := ebpf.NewProgram(&spec)
	if err != nil {
		calls.Close()
		return nil, fmt.Errorf("load: %w", err)
	}
	return &counter{Program: p, calls: calls}, nil
}

func returning(verdict int32) asm.Instructions {
	return asm.Instructions{asm.Mov.Imm(asm.R0, verdict), asm.Return()}
}

func (c *counter) close() {
	c.Program.Close()
	c.calls.Close()
}

// await repeats the trigger until the program has been called. A program that
// loads, attaches and is never called is not supported.
func (c *counter) await(trigger func() error) error {
	for deadline := time.Now().Add(called); ; time.Sleep(10 * time.Millisecond) {
		if err := trigger(); err != nil {
			return fmt.Errorf("trigger: %w", err)
		}
		var n uint64
		if err := c.calls.Lookup(uint32(0), &n); err != nil {
			return fmt.Errorf("read the count: %w", err)
		}
		if n > 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("attached, but never called: %w", ebpf.ErrNotSupported)
		}
	}
}
