package boot

import (
	"cmp"
	"context"
	"io"
	"time"

	"github.com/bpf-vmtest/bpf-vmtest/internal/accel"
	"github.com/bpf-vmtest/bpf-vmtest/internal/machine"
)

// A Plain machine runs a kernel and an initramfs that boots by itself, with
// nothing of ours in it.
type Plain struct {
	*machine.Machine
	Accel accel.Accel
	// BootTimeout is how long it may take to be ready.
	BootTimeout time.Duration
}

// BootPlain starts the kernel with the archive in place of ours. What it prints
// goes to the log and to screen. The caller must Close what it returns.
func (m Machine) BootPlain(ctx context.Context, initramfs string, screen io.Writer) (*Plain, error) {
	a, _, err := m.accel(ctx)
	if err != nil {
		return nil, err
	}
	if m.Console != nil {
		m.Log.Tee(m.Console)
	}
	p := &Plain{Machine: m.qemu(a, initramfs), Accel: a, BootTimeout: cmp.Or(m.BootTimeout, bootTimeout(a))}
	p.Plain = true
	p.Console = io.MultiWriter(m.Log, screen)
	if m.Show != nil {
		argv, err := p.Command()
		if err != nil {
			return nil, err
		}
		m.Show(argv)
	}
	if err := p.Start(ctx); err != nil {
		return nil, err
	}
	return p, nil
}

// Close ends the machine, whatever state it is in.
func (p *Plain) Close() {
	select {
	case <-p.Done():
	default:
		_ = p.Kill()
	}
	_ = p.Wait()
	p.Wire().Close()
}
