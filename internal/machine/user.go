package machine

import (
	"context"
	"errors"
	"os"
	"os/exec"

	"github.com/bpf-vmtest/bpf-vmtest/internal/sandbox"
)

// startAs starts QEMU from this thread as whom it should run: as nobody where we are
// root, who reads what the guest is shown and can change nothing.
func (m *Machine) startAs(ctx context.Context, command func() *exec.Cmd) error {
	root := os.Geteuid() == 0
	if root {
		m.unmasked(m.mask())
	}
	if root && !m.AsRoot {
		m.cmd = command()
		err := m.demote(m.cmd)
		if err == nil {
			err = m.cmd.Start()
		}
		if err == nil || ctx.Err() != nil {
			return err
		}
		if m.Rooted != nil {
			m.Rooted(err)
		}
	}
	m.cmd = command()
	if !root {
		m.unmasked(m.maskedByShell(ctx, m.cmd))
	}
	return m.cmd.Start()
}

// AsNobody reports whether QEMU will be nobody's process, as far as can be told before
// it starts.
func (m *Machine) AsNobody() bool { return !m.AsRoot && len(m.Extra) == 0 && sandbox.Check() == nil }

func (m *Machine) unmasked(err error) {
	if err != nil && m.Unmasked != nil {
		m.Unmasked(err)
	}
}

// demote has cmd run as nobody. An error says why it cannot.
func (m *Machine) demote(cmd *exec.Cmd) error {
	if err := sandbox.Check(); err != nil {
		return err
	}
	if len(m.Extra) > 0 {
		return errors.New("-qemu-arg may name what only root can use")
	}
	reads := []string{m.Kernel}
	if m.Initramfs != "" {
		reads = append(reads, m.Initramfs)
	}
	for _, s := range m.Shares {
		reads = append(reads, s.Path)
	}
	if err := sandbox.Readable(reads...); err != nil {
		return err
	}
	var devices []string
	if m.KVM {
		devices = append(devices, "/dev/kvm")
	}
	if err := sandbox.AsNobody(cmd, devices...); err != nil {
		return err
	}
	// Root in a container may not do this, which is no reason to have more rights.
	_ = sandbox.NoNetwork()
	switch {
	case m.Snapshot == nil:
		return nil
	case m.Restore:
		return m.Snapshot.handed()
	}
	return m.Snapshot.hand()
}
