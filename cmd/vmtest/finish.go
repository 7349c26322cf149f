package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/bpf-vmtest/bpf-vmtest/initramfs/toolbox"
	"github.com/bpf-vmtest/bpf-vmtest/internal/artifact"
	"github.com/bpf-vmtest/bpf-vmtest/internal/boot"
	"github.com/bpf-vmtest/bpf-vmtest/internal/kernelref"
)

// finishKernel adds the initramfs, packs the parts and boots what was packed.
func (a *app) finishKernel(ctx context.Context, b *buildFlags, k *finishedKernel, cache string) error {
	r := k.Result
	work, remove, err := boot.TempDir(cache)
	if err != nil {
		return err
	}
	defer remove()
	initramfs := filepath.Join(work, "initramfs.cpio")
	if err := a.writeToolbox(ctx, cache, initramfs, r.Arch, (*toolbox.Toolbox).WriteArchive); err != nil {
		return err
	}
	parts := artifact.Parts{
		Release: r.Release, Arch: r.Arch,
		Kernel: r.Image, VMLinux: r.Vmlinux, Config: r.Config, SystemMap: r.SystemMap,
		BTF: r.BTF, Initramfs: initramfs, Modules: r.ModulesDir, Debug: r.DebugDir,
		Build: artifact.Build{
			Flavour: r.BuildInfo.Flavour,
			Source:  r.BuildInfo.Source, SourceDigest: r.BuildInfo.SourceDigest,
			Fragments: r.BuildInfo.Fragments, Patches: r.BuildInfo.Patches,
			Compiler: r.BuildInfo.Compiler, Linker: r.BuildInfo.Linker, Pahole: r.BuildInfo.Pahole,
		},
	}
	layout := orElse(b.output, filepath.Join(cache, "layout"))
	name := artifact.Name{Version: r.Version, Flavour: r.BuildInfo.Flavour}
	tags := []string{b.tag}
	if b.tag == "" {
		tags = name.Tags()
	}
	k.ref = "oci:" + layout + ":" + tags[len(tags)-1]
	if b.tag == "" { // the channels are further names of it
		name.Channels = k.channels
		tags = name.Tags()
	}
	if k.digest, err = artifact.Pack(ctx, parts, layout, tags...); err != nil {
		return err
	}
	if !b.noBoot {
		if err := a.tryKernel(ctx, b, k, cache); err != nil {
			return err
		}
	}
	fmt.Fprintf(a.stderr, "vmtest: %s\n", sizes(parts))
	return nil
}

// tryKernel boots an artifact as a run would and shows its name.
func (a *app) tryKernel(ctx context.Context, b *buildFlags, k *finishedKernel, cache string) error {
	ref, err := kernelref.Parse(k.ref, "")
	if err != nil {
		return err
	}
	b.settings.CPUs, b.settings.MemoryMiB = 2, 1024
	e := execRun{
		machineFlags: &machineFlags{arch: archFlag(k.Arch), settings: b.settings, hermetic: true},
		ref:          ref, cache: cache, toolbox: true, dir: "/", argv: []string{"/bbin/uname", "-a"},
	}
	code, err := a.execOn(ctx, e)
	if err == nil && code != 0 {
		err = fmt.Errorf("boot %s: the test command ended with status %d", k.ref, code)
	}
	return err
}

func sizes(p artifact.Parts) string {
	var b strings.Builder
	for _, part := range []struct{ name, path string }{
		{"image", p.Kernel}, {"vmlinux", p.VMLinux}, {"initramfs", p.Initramfs}, {"BTF", p.BTF},
	} {
		if info, err := os.Stat(part.path); err == nil {
			fmt.Fprintf(&b, "%s %.1f MiB, ", part.name, float64(info.Size())/(1<<20))
		}
	}
	return strings.TrimSuffix(b.String(), ", ")
}
