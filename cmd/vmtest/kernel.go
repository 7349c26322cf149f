package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/bpf-vmtest/bpf-vmtest/internal/artifact"
	"github.com/bpf-vmtest/bpf-vmtest/internal/kernelref"
)

func (a *app) kernel(ctx context.Context, args []string) error {
	fs := a.flagSet("kernel")
	const want = "want build, pull or list"
	if len(args) == 0 {
		return usagef("`vmtest kernel -h` tells about them", "kernel: %s", want)
	}
	switch args[0] {
	case "build":
		return a.buildKernel(ctx, args[1:])
	case "pull":
		return a.pullKernels(ctx, args[1:])
	case "list":
		return a.listKernels(args[1:])
	}
	if err := parseFlags(fs, args); err != nil {
		return err
	}
	return usagef(want, "kernel: unknown subcommand %q", args[0])
}

// pullKernels brings kernels into the cache, for a machine that will have no
// network.
func (a *app) pullKernels(ctx context.Context, args []string) error {
	cache, err := cacheDir()
	if err != nil {
		return err
	}
	repository := orElse(os.Getenv("VMTEST_REPOSITORY"), defaultRepository)
	refs, err := kernelref.ParseList(strings.Join(args, ","), repository)
	if err != nil {
		return err
	}
	for _, ref := range refs {
		k, err := a.store(cache).Resolve(ctx, ref)
		if err != nil {
			return err
		}
		fmt.Fprintf(a.stdout, "%s\t%s\t%s\t%s\n", k.Name, k.Release, k.Arch, k.Digest)
	}
	return nil
}

func (a *app) listKernels(args []string) error {
	if len(args) != 1 {
		return usagef("vmtest kernel list DIR", "kernel list: want the directory of an OCI layout")
	}
	layout, err := artifact.OpenLayout(args[0])
	if err != nil {
		return err
	}
	tags, err := layout.Tags()
	if err != nil {
		return err
	}
	for _, tag := range tags {
		found, err := layout.Find(tag, "")
		if err != nil {
			return err
		}
		for _, d := range found {
			fmt.Fprintf(a.stdout, "%s\t%s\n", tag, d.Digest)
		}
	}
	return nil
}
