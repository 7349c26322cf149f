package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/bpf-vmtest/bpf-vmtest/builder"
	"github.com/bpf-vmtest/bpf-vmtest/initramfs/toolbox"
	"github.com/bpf-vmtest/bpf-vmtest/internal/artifact"
	"github.com/bpf-vmtest/bpf-vmtest/internal/boot"
	"github.com/bpf-vmtest/bpf-vmtest/internal/bootcheck"
	"github.com/bpf-vmtest/bpf-vmtest/internal/host"
	"github.com/bpf-vmtest/bpf-vmtest/internal/kernelref"
	"github.com/bpf-vmtest/bpf-vmtest/internal/store"
)

// finishKernel adds the initramfs and the table of what the kernel was found to
// be able to do, and packs the parts.
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
		Kernel: r.Image, Config: r.Config, SystemMap: r.SystemMap,
		BTF: r.BTF, Initramfs: initramfs, Modules: r.ModulesDir, Debug: r.DebugDir,
		Build: artifact.Build{
			Flavour: r.BuildInfo.Flavour,
			Source:  r.BuildInfo.Source, SourceDigest: r.BuildInfo.SourceDigest,
			Base: builder.Base, Fragments: r.BuildInfo.Fragments, Patches: r.BuildInfo.Patches,
			Compiler: r.BuildInfo.Compiler, Linker: r.BuildInfo.Linker, Pahole: r.BuildInfo.Pahole,
		},
		Revision: r.BuildInfo.Revision,
	}
	if r.Arch == "amd64" { // which alone has an entry for QEMU in it
		parts.VMLinux = r.Vmlinux
	}
	if parts.Created, err = sourceDate(); err != nil {
		return err
	}
	layout := cmp.Or(b.output, filepath.Join(cache, "layout"))
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
	if k.digest, err = a.packChecked(ctx, b, parts, work, layout, tags); err != nil {
		return err
	}
	fmt.Fprintf(a.stderr, "vmtest: %s\n", sizes(parts))
	return nil
}

// sourceDate is the time that SOURCE_DATE_EPOCH gives, the zero time if it gives
// none: https://reproducible-builds.org/specs/source-date-epoch/.
func sourceDate() (time.Time, error) {
	text := os.Getenv("SOURCE_DATE_EPOCH")
	if text == "" {
		return time.Time{}, nil
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return time.Time{}, usagef("want the seconds since 1970", "SOURCE_DATE_EPOCH: %v", err)
	}
	return time.Unix(seconds, 0), nil
}

// packChecked packs the parts with the table of what they were found to be able
// to do. A kernel that does not pass comes into no layout, and no tag moves.
func (a *app) packChecked(ctx context.Context, b *buildFlags, parts artifact.Parts, work, layout string, tags []string) (digest string, err error) {
	if b.noBoot {
		a.progress("warning: it was not booted: without a table of its features it cannot be published")
	} else {
		parts.Features = filepath.Join(work, "features.json")
		if err := a.tryParts(ctx, b, parts, work); err != nil {
			return "", err
		}
	}
	return artifact.Pack(ctx, parts, layout, tags...)
}

// tryParts packs what a boot needs, aside, boots that as a run would, and
// writes the table of its features.
func (a *app) tryParts(ctx context.Context, b *buildFlags, parts artifact.Parts, work string) error {
	if _, err := host.QEMU(ctx, parts.Arch, b.settings.QEMU); err != nil {
		return err
	}
	layout := filepath.Join(work, "layout")
	digest, err := artifact.Pack(ctx, parts.ToBoot(), layout)
	if err != nil {
		return err
	}
	packed, err := artifact.OpenLayout(layout)
	if err != nil {
		return err
	}
	manifests, err := packed.Kernels("", digest)
	if err != nil {
		return err
	}
	ref, err := kernelref.Parse("oci:"+layout+"@"+digest, "")
	if err != nil {
		return err
	}
	kernels := &store.Store{Dir: filepath.Join(work, "cache"), Arch: parts.Arch, Parts: []artifact.Part{artifact.Initramfs}}
	k, err := kernels.Resolve(ctx, ref)
	if err != nil {
		return err
	}
	k.Name = "Linux " + parts.Release
	check := bootcheck.Check{
		Settings: b.settings, Kernel: k, Initramfs: k.Initramfs, Parts: manifests[0].BootParts(),
		Progress: a.progress, Booted: a.bootedNote,
	}
	r, err := check.Run(ctx)
	if err == nil {
		err = r.Err(k.Name)
	}
	if err != nil {
		return err
	}
	a.sayWaived(r)
	a.progress(r.Table.Summary())
	table, err := r.Table.Encode()
	if err != nil {
		return err
	}
	return os.WriteFile(parts.Features, table, 0o644)
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
