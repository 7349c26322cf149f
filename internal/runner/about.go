package runner

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/bpf-vmtest/bpf-vmtest/internal/boot"
	"github.com/bpf-vmtest/bpf-vmtest/internal/bundle"
	"github.com/bpf-vmtest/bpf-vmtest/internal/guest"
	"github.com/bpf-vmtest/bpf-vmtest/internal/result"
)

// begin makes the machine one of the kernel's. Before the first one there is a
// directory in the bundle, with what is known of the kernel before it boots.
func (m *machineRun) begin() (err error) {
	m.keeping.Lock()
	defer m.keeping.Unlock()
	if m.machines == 0 {
		err = m.kernelRun.begin()
	}
	m.machines++
	m.n, m.own = m.machines, fmt.Sprintf("%s.%d", m.console, m.machines)
	return err
}

func (k *kernelRun) begin() (err error) {
	if k.dir, err = k.Bundle.Kernel(k.file, k.about(nil)); err != nil {
		return err
	}
	k.console = filepath.Join(k.dir, bundle.Console)
	if k.kernel.Config == "" {
		return nil
	}
	config, err := os.ReadFile(k.kernel.Config)
	if err != nil {
		return fmt.Errorf("read the kernel's configuration: %w", err)
	}
	return os.WriteFile(filepath.Join(k.dir, bundle.Config), config, 0o644)
}

// tellAbout adds what is known since the kernel has booted.
func (k *kernelRun) tellAbout(m *result.MachineInfo) error {
	return os.WriteFile(filepath.Join(k.dir, bundle.About), []byte(k.about(m)), 0o644)
}

// about says which kernel it is, and on what it runs.
func (k *kernelRun) about(m *result.MachineInfo) string {
	var b strings.Builder
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%-9s %s\n", name, value)
		}
	}
	line("kernel", k.name)
	line("digest", k.kernel.Digest)
	release := k.kernel.Release
	if m != nil {
		release = m.Release
	}
	line("release", release)
	line("arch", k.kernel.Arch)
	line("image", k.kernel.Image)
	line("modules", k.kernel.Modules)
	if m != nil {
		line("lines", k.source(m.Release).Path())
		line("machine", fmt.Sprintf("%s, %d CPUs, %d MiB", m.Accel, m.CPUs, m.MemoryMiB))
		line("note", m.Note)
		line("without", strings.Join(m.Without, "; "))
	}
	line("tests", k.space.Go.GOVERSION)
	line("qemu", k.Info.QEMU)
	line("vmtest", k.Info.Version)
	return b.String()
}

// shown are the machine's settings, with which the command lines of QEMU come
// into the bundle: those of several machines, where there are several.
func (k *kernelRun) shown() boot.Settings {
	settings := k.Machines
	show, path := settings.Show, filepath.Join(k.dir, bundle.QEMU)
	settings.Show = func(argv []string) {
		if show != nil {
			show(argv)
		}
		text := "# What has fd= in it is connected to vmtest. With -incoming, a saved machine goes on; -cold boots one instead.\n" + bundle.Quote(argv) + "\n"
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
		if err == nil {
			_, err = f.WriteString(text)
			err = errors.Join(err, f.Close())
		}
		if err != nil {
			k.Progress(fmt.Sprintf("warning: keep the command line: %v", err))
		}
	}
	return settings
}

// maxTypes is in bytes. Distributions' kernels have 5 MiB of types.
const maxTypes = 64 << 20

// keepKernel fetches what only the guest has of the kernel, once something has
// failed there.
func (m *machineRun) keepKernel(ctx context.Context) error {
	if !m.trouble.Load() {
		return nil
	}
	m.keeping.Lock()
	defer m.keeping.Unlock()
	files := map[string]string{"/sys/kernel/btf/vmlinux": bundle.BTF}
	if m.kernel.Config == "" {
		files["/proc/config.gz"] = bundle.Config + ".gz"
	}
	for path, name := range files {
		to := filepath.Join(m.dir, name)
		if _, err := os.Lstat(to); err == nil {
			continue // an earlier machine of the kernel had it
		}
		err := m.guest.FetchFile(ctx, path, to, maxTypes)
		var remote *guest.RemoteError
		if err != nil && !errors.As(err, &remote) { // not every kernel has them
			return err
		}
	}
	return nil
}
