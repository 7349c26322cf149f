package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/bpf-vmtest/bpf-vmtest/initramfs/toolbox"
	"github.com/bpf-vmtest/bpf-vmtest/internal/accel"
	"github.com/bpf-vmtest/bpf-vmtest/internal/artifact"
	"github.com/bpf-vmtest/bpf-vmtest/internal/boot"
	"github.com/bpf-vmtest/bpf-vmtest/internal/bootcheck"
	"github.com/bpf-vmtest/bpf-vmtest/internal/host"
	"github.com/bpf-vmtest/bpf-vmtest/internal/kernelref"
)

// checkKernel says what a kernel can do, and whether that is enough to be
// published.
func (a *app) checkKernel(ctx context.Context, args []string) error {
	var m machineFlags
	fs := a.flagSet("kernel check")
	m.registerMachine(fs)
	m.verify.register(fs)
	asJSON := fs.Bool("json", false, "print the table as an artifact holds it")
	report := fs.Bool("report", false, "say what is missing, and exit with 0")
	if err := parseFlags(fs, args); err != nil {
		return err
	}
	if fs.NArg() != 1 {
		return usagef("vmtest kernel check debian:6.12", "kernel check: want one kernel")
	}
	refs, err := parseKernels(fs.Arg(0))
	if err != nil {
		return err
	}
	if len(refs) != 1 {
		return usagef("check one after the other", "kernel check %s: want one kernel", fs.Arg(0))
	}
	ref := refs[0]
	cache, err := cacheDir()
	if err != nil {
		return err
	}
	if err := m.finish(a, cache); err != nil {
		return err
	}
	r, err := a.checkRef(ctx, &m, ref)
	if err != nil {
		return err
	}
	a.sayWaived(r)
	if err := a.showTable(r, *asJSON); err != nil {
		return err
	}
	err = r.Err(ref.String())
	if *report && err != nil {
		a.progress("it could not be published: " + err.Error())
		return nil
	}
	return err
}

// sayWaived names what a kernel was excused from.
func (a *app) sayWaived(r *bootcheck.Result) {
	var names []string
	for _, w := range r.Waived {
		names = append(names, fmt.Sprintf("%s %s", w.Kind, w.Name))
	}
	if len(names) > 0 {
		a.progress("not asked for, since its configuration has no BTF: " + strings.Join(names, ", "))
	}
}

func (a *app) showTable(r *bootcheck.Result, asJSON bool) error {
	if !asJSON {
		return r.Table.Write(a.stdout)
	}
	b, err := r.Table.Encode()
	if err == nil {
		_, err = a.stdout.Write(b)
	}
	return err
}

// checkRef checks a kernel of any origin. One that came without an initramfs is
// given ours.
func (a *app) checkRef(ctx context.Context, m *machineFlags, ref kernelref.Ref) (*bootcheck.Result, error) {
	if _, err := host.QEMU(ctx, string(m.arch), m.settings.QEMU); err != nil {
		return nil, err
	}
	cache := m.settings.CacheDir
	kernels, err := a.store(cache, m.arch, m.verify)
	if err != nil {
		return nil, err
	}
	kernels.Parts = []artifact.Part{artifact.Initramfs}
	k, err := kernels.Resolve(ctx, ref)
	if err != nil {
		return nil, err
	}
	c := bootcheck.Check{Settings: m.settings, Kernel: k, Initramfs: k.Initramfs, Progress: a.progress, Booted: a.bootedNote}
	if c.Initramfs == "" {
		work, remove, err := boot.TempDir(cache)
		if err != nil {
			return nil, err
		}
		defer remove()
		c.Initramfs = filepath.Join(work, "initramfs.cpio")
		if err := a.writeToolbox(ctx, cache, c.Initramfs, k.Arch, (*toolbox.Toolbox).WriteArchive); err != nil {
			return nil, err
		}
	}
	return c.Run(ctx)
}

func (a *app) bootedNote(what string, by accel.Accel, took time.Duration) {
	a.progress(fmt.Sprintf("%s after %.1fs, %s", what, took.Seconds(), by))
}
