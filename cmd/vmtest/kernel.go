package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/bpf-vmtest/bpf-vmtest/internal/artifact"
)

// kernelCommands are the subcommands of vmtest kernel.
func kernelCommands() []command {
	return []command{
		{"build", "build a kernel into an OCI layout", (*app).buildKernel},
		{"check", "boot a kernel and say what it can do", (*app).checkKernel},
		{"pull", "bring kernels into the cache", (*app).pullKernels},
		{"list", "list the catalogue, or the kernels in an OCI layout", (*app).listKernels},
		{"inspect", "say what an image says of its kernels", (*app).inspectKernel},
		{"diff", "say how two kernels differ", (*app).diffKernels},
		{"extract", "unpack a kernel into a directory", (*app).extractKernel},
		{"lock", "enter what references stand for into the lock file", (*app).lockKernels},
		{"prune", "remove from the cache what was used longest ago", (*app).pruneCache},
		{"push", "put kernels into a registry", (*app).pushKernel},
		{"sign", "attach an SBOM, a provenance and a signature to a kernel in a registry", (*app).signKernel},
		{"verify", "say who has signed a kernel in a registry", (*app).verifyKernel},
		{"keygen", "make a pair of keys to sign with", (*app).generateKey},
		{"update", "make the catalogue follow kernel.org's releases", (*app).updateCatalogue},
	}
}

func (a *app) kernel(ctx context.Context, args []string) error {
	var names []string
	for _, c := range kernelCommands() {
		if len(args) > 0 && c.name == args[0] {
			return c.run(a, ctx, args[1:])
		}
		names = append(names, c.name)
	}
	want := "want one of " + strings.Join(names, ", ")
	if len(args) == 0 {
		return usagef("`vmtest kernel -h` tells about them", "kernel: %s", want)
	}
	if err := parseFlags(a.flagSet("kernel"), args); err != nil {
		return err
	}
	return usagef(want, "kernel: unknown subcommand %q", args[0])
}

// pullKernels brings kernels into the cache, for a machine that will have no
// network.
func (a *app) pullKernels(ctx context.Context, args []string) error {
	var arch archFlag
	var verify verifyMode
	fs := a.flagSet("kernel pull")
	arch.register(fs)
	verify.register(fs)
	if err := parseFlags(fs, args); err != nil {
		return err
	}
	cache, err := cacheDir()
	if err != nil {
		return err
	}
	refs, err := parseKernels(strings.Join(fs.Args(), ","))
	if err != nil {
		return err
	}
	kernels, err := a.store(cache, arch, verify)
	if err != nil {
		return err
	}
	for _, ref := range refs {
		k, err := kernels.Resolve(ctx, ref)
		if err != nil {
			return err
		}
		fmt.Fprintf(a.stdout, "%s\t%s\t%s\t%s\n", k.Name, k.Release, k.Arch, k.Digest)
	}
	return nil
}

func (a *app) listKernels(_ context.Context, args []string) error {
	fs := a.flagSet("kernel list")
	var c catalogueFlags
	c.register(fs)
	if err := parseFlags(fs, args); err != nil {
		return err
	}
	switch {
	case fs.NArg() == 0:
		return a.showCatalogue(c)
	case fs.NArg() > 1 || c != catalogueFlags{}:
		return usagef("vmtest kernel list shows the catalogue; vmtest kernel list DIR an OCI layout", "kernel list: want either a catalogue or the directory of one OCI layout")
	}
	layout, err := artifact.OpenLayout(fs.Arg(0))
	if err != nil {
		return err
	}
	tags, err := layout.Tags()
	if err != nil {
		return err
	}
	for _, tag := range tags {
		kernels, err := layout.Kernels(tag, "")
		if err != nil {
			return err
		}
		for _, k := range kernels {
			fmt.Fprintf(a.stdout, "%s\t%s\t%s\t%s\n", tag, k.Release, k.Arch, k.Digest())
		}
	}
	return nil
}
