// Package boot is the way from a kernel on disk to a guest that answers.
package boot

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/bpf-vmtest/bpf-vmtest/initramfs"
	"github.com/bpf-vmtest/bpf-vmtest/internal/accel"
	"github.com/bpf-vmtest/bpf-vmtest/internal/console"
	"github.com/bpf-vmtest/bpf-vmtest/internal/guest"
	"github.com/bpf-vmtest/bpf-vmtest/internal/host"
	"github.com/bpf-vmtest/bpf-vmtest/internal/kernel"
	"github.com/bpf-vmtest/bpf-vmtest/internal/machine"
	"github.com/bpf-vmtest/bpf-vmtest/internal/timeline"
)

// Settings are what the user decides about machines. The zero value of each
// field is its default.
type Settings struct {
	Accel      accel.Accel
	RequireKVM bool
	CPUs       int      // 2: on one, tests of per-CPU maps and perf rings fail
	MemoryMiB  int      // 2048
	QEMU       string   // binary
	ExtraQEMU  []string // arguments
	Append     []string // kernel parameters
	// BootTimeout bounds the way to init's hello: 60 s with KVM, 180 s
	// without, where a busy machine takes several times an idle one's 10 s.
	BootTimeout time.Duration
	// SilenceTimeout bounds the time without a sign of life from a guest that
	// is ready; the default is BootTimeout's.
	SilenceTimeout time.Duration
	CacheDir       string
	// Console, when set, also gets what the kernel prints.
	Console io.Writer
	// Cold boots every machine from the start. Templates is the directory of
	// saved ones, by default in memory or in the cache.
	Cold      bool
	Templates string
	// AsRoot runs QEMU as root where we are root, see [machine.Machine].
	AsRoot bool
	// Warn, when set, is told what was done another way than it should be.
	Warn func(string)
	// Show, when set, is told the QEMU command line before it starts.
	Show func(argv []string)
}

func (s Settings) cpus() int      { return cmp.Or(s.CPUs, 2) }
func (s Settings) memoryMiB() int { return cmp.Or(s.MemoryMiB, 2048) }

// A Machine is one boot that is about to happen.
type Machine struct {
	Settings
	Kernel *kernel.Kernel
	Layout guest.Layout
	// Base is an archive below our own, such as the toolbox's; or empty.
	Base string
	// Dir is a private directory for what QEMU reads; the caller removes it.
	Dir string
	// Log takes the console.
	Log *console.Log

	masks []machine.Mask
}

// A Running guest and how it came to run.
type Running struct {
	*guest.Guest
	Accel     accel.Accel
	Note      string // why the accelerator is not the one hoped for, or empty
	CPUs      int
	MemoryMiB int
	Took      time.Duration // until the guest was ready
	Warm      bool          // from a template that was there
}

// Boot boots the machine, or starts it from a template of such machines. The
// caller must Close what it returns.
func (m Machine) Boot(ctx context.Context) (*Running, error) {
	a, note, err := m.accel(ctx)
	if err != nil {
		return nil, err
	}
	if m.Console != nil {
		m.Log.Tee(m.Console)
	}
	m.Layout.Modules = m.Kernel.Modules
	if m.Kernel.Config != "" {
		if m.Layout.Config, err = os.ReadFile(m.Kernel.Config); err != nil {
			return nil, fmt.Errorf("read the kernel's configuration: %w", err)
		}
	}
	if m.masks, err = m.hide(); err != nil {
		return nil, err
	}
	r, err := m.boot(ctx, a)
	if err != nil {
		return nil, err
	}
	r.Accel, r.Note, r.CPUs, r.MemoryMiB = a, note, m.cpus(), m.memoryMiB()
	return r, nil
}

func (m Machine) boot(ctx context.Context, a accel.Accel) (*Running, error) {
	start := time.Now()
	if m.warmable() {
		g, found, err := m.warm(ctx, a)
		if err == nil {
			return &Running{Guest: g, Took: time.Since(start), Warm: found}, nil
		}
		var w *warmError
		if !errors.As(err, &w) || ctx.Err() != nil {
			return nil, err
		}
		if m.Warn != nil {
			m.Warn(fmt.Sprintf("%s: %v; booting it without", m.Kernel.Name, w))
		}
		m.Log.Restart()
	}
	if err := m.checkQEMU(ctx); err != nil {
		return nil, err
	}
	initrd, err := m.initramfs(ctx)
	if err != nil {
		return nil, err
	}
	start = time.Now()
	g, err := guest.Boot(ctx, m.options(a, m.qemu(a, initrd)))
	if err != nil {
		return nil, err
	}
	return &Running{Guest: g, Took: time.Since(start)}, nil
}

// checkQEMU makes sure that QEMU is there and new enough, which a saved machine
// has shown.
func (m Machine) checkQEMU(ctx context.Context) error {
	defer timeline.Begin(ctx, timeline.Vmtest, "qemu -version")()
	_, err := host.QEMU(ctx, m.Kernel.Arch, m.QEMU)
	return err
}

func (m Machine) options(a accel.Accel, qemu *machine.Machine) guest.Options {
	return guest.Options{
		Machine:      qemu,
		Show:         m.Show,
		Log:          m.Log,
		Layout:       m.Layout,
		BootTimeout:  cmp.Or(m.BootTimeout, bootTimeout(a)),
		SetupTimeout: bootTimeout(a),

		SilenceTimeout: cmp.Or(m.SilenceTimeout, bootTimeout(a)),
	}
}

// hide writes what the guest is to see in the place of some files.
func (m Machine) hide() ([]machine.Mask, error) {
	var masks []machine.Mask
	for i, k := range m.Layout.Masks {
		with := filepath.Join(m.Dir, fmt.Sprintf("mask-%d", i))
		if err := os.WriteFile(with, k.Data, 0o644); err != nil {
			return nil, fmt.Errorf("hide %s: %w", k.Path, err)
		}
		masks = append(masks, machine.Mask{Path: k.Path, With: with})
	}
	return masks, nil
}

// unmasked says that the guest sees what it should not.
func (m Machine) unmasked(err error) {
	if m.Warn != nil {
		m.Warn(fmt.Sprintf("the guest can read %s, which may hold credentials: hiding it takes a mount namespace: %v", m.masks[0].Path, err))
	}
}

// rooted says, once, that a guest that breaks out of its machine is root.
func (m Machine) rooted(err error) {
	if m.Warn == nil {
		return
	}
	saidRooted.Do(func() { m.Warn(fmt.Sprintf("QEMU runs as root, since %v; `vmtest help environment`", err)) })
}

var saidRooted sync.Once

func (m Machine) accel(ctx context.Context) (a accel.Accel, note string, err error) {
	defer timeline.Begin(ctx, timeline.Vmtest, "choose the accelerator")()
	return accel.Choose(ctx, accel.Request{
		Want: m.Accel, RequireKVM: m.RequireKVM, GuestArch: m.Kernel.Arch, CacheDir: m.CacheDir,
	})
}

func bootTimeout(a accel.Accel) time.Duration {
	if a == accel.KVM {
		return time.Minute
	}
	return 3 * time.Minute
}

// initramfs writes the archive and returns its path.
func (m Machine) initramfs(ctx context.Context) (string, error) {
	a, err := m.archive(ctx)
	if err != nil {
		return "", err
	}
	defer timeline.Begin(ctx, timeline.Vmtest, "write the initramfs")()
	path := filepath.Join(m.Dir, "initramfs.cpio")
	return path, a.WriteFile(path)
}

func (m Machine) archive(ctx context.Context) (initramfs.Archive, error) {
	defer timeline.Begin(ctx, timeline.Vmtest, "find init and its modules")()
	init, err := initramfs.BuildInit(ctx, m.CacheDir, m.Kernel.Arch)
	if err != nil {
		return initramfs.Archive{}, err
	}
	modules, err := initramfs.BootModules(m.Kernel.Modules)
	return initramfs.Archive{Init: init, Modules: modules, Base: m.Base}, err
}

func (m Machine) qemu(a accel.Accel, initrd string) *machine.Machine {
	return &machine.Machine{
		QEMU:      m.QEMU,
		Arch:      m.Kernel.Arch,
		KVM:       a == accel.KVM,
		Kernel:    m.Kernel.Image,
		Initramfs: initrd,
		Append:    m.Append,
		CPUs:      m.cpus(),
		MemoryMiB: m.memoryMiB(),
		Extra:     m.ExtraQEMU,
		Masks:     m.masks,
		Unmasked:  m.unmasked,
		AsRoot:    m.AsRoot,
		Rooted:    m.rooted,
	}
}
