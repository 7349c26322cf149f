package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"strings"
	"time"

	"github.com/bpf-vmtest/bpf-vmtest/internal/artifact"
	"github.com/bpf-vmtest/bpf-vmtest/internal/kernelref"
	"github.com/bpf-vmtest/bpf-vmtest/internal/publish"
	"github.com/bpf-vmtest/bpf-vmtest/internal/registry"
)

// pushFlags are those of vmtest kernel push.
type pushFlags struct {
	tags        stringList
	channels    stringList
	date        string
	annotations stringList
	noTag       bool
	dryRun      bool
}

func (p *pushFlags) register(fs *flag.FlagSet) {
	fs.Var(&p.tags, "tag", "give it this `tag`, and only those named so; may be repeated (default: VERSION-DATE, VERSION, SERIES and the channels, with -FLAVOUR)")
	fs.Var(&p.channels, "channel", "move this `channel` to it, such as stable; may be repeated")
	fs.StringVar(&p.date, "date", "", "`date` in the tag of this one build, YYYYMMDD; another build of that day has .1 behind it (default: today, in UTC)")
	fs.Var(&p.annotations, "annotation", "add `key=value` to the index's annotations; may be repeated")
	fs.BoolVar(&p.noTag, "no-tag", false, "push by digest only and leave all tags as they are")
	fs.BoolVar(&p.dryRun, "dry-run", false, "check everything and say what would be done")
}

// pushKernel publishes kernels from layouts: by digest first, the tags last.
func (a *app) pushKernel(ctx context.Context, args []string) error {
	var p pushFlags
	fs := a.flagSet("kernel push")
	p.register(fs)
	if err := parseFlags(fs, args); err != nil {
		return err
	}
	if fs.NArg() < 2 {
		return usagef("vmtest kernel push oci:out:6.12 ghcr.io/org/kernels", "kernel push: want OCI layouts and a repository")
	}
	annotations, err := p.parseAnnotations()
	if err != nil {
		return err
	}
	last := fs.NArg() - 1
	kernels, err := layoutKernels(fs.Args()[:last])
	if err != nil {
		return err
	}
	release, err := publish.NewRelease(ctx, kernels, annotations)
	if err != nil {
		return err
	}
	client := &registry.Client{Warn: func(message string) { a.progress("warning: " + message) }}
	repository, err := publish.Open(ctx, client, fs.Arg(last))
	if err != nil {
		return err
	}
	uploads := transfers{app: a, verb: "push"}
	repository.Progress = func(p publish.Progress) { uploads.progress(p.What, p.Done, p.Total) }
	moves, err := p.publish(ctx, repository, release)
	if err != nil {
		return err
	}
	if p.dryRun {
		a.progress("this is what would be done; nothing was sent")
	}
	fmt.Fprintf(a.stdout, "%s@%s\n", fs.Arg(last), release.Index.Digest)
	for _, m := range moves {
		fmt.Fprintln(a.stdout, m)
	}
	return nil
}

// publish pushes, and moves the tags when it knows that it may.
func (p *pushFlags) publish(ctx context.Context, repository *publish.Repository, release *publish.Release) ([]publish.Move, error) {
	date := cmp.Or(p.date, time.Now().UTC().Format("20060102"))
	tags := publish.Tags{Date: date, Channels: p.channels, Exact: p.tags}
	var moves []publish.Move
	var err error
	if !p.noTag {
		moves, err = repository.Plan(ctx, release, tags)
	}
	if err == nil && !p.dryRun {
		err = repository.Push(ctx, release)
	}
	if err != nil || p.dryRun || p.noTag {
		return moves, err
	}
	return repository.Tag(ctx, release, tags)
}

func (p *pushFlags) parseAnnotations() (map[string]string, error) {
	annotations := map[string]string{}
	for _, a := range p.annotations {
		key, value, ok := strings.Cut(a, "=")
		if !ok || key == "" {
			return nil, usagef("-annotation org.opencontainers.image.source=https://…", "kernel push: -annotation %q: want key=value", a)
		}
		annotations[key] = value
	}
	return annotations, nil
}

// layoutKernels are the kernels that the references name in layouts.
func layoutKernels(refs []string) ([]publish.Kernel, error) {
	var kernels []publish.Kernel
	for _, text := range refs {
		ref, err := kernelref.Parse(text, "")
		if err != nil {
			return nil, err
		}
		source, ok := ref.Source().(kernelref.Layout)
		if !ok {
			return nil, usagef("kernels are pushed from OCI layouts, where `vmtest kernel build -o DIR` puts them: oci:DIR:TAG", "kernel push: %s is not in an OCI layout", text)
		}
		layout, err := artifact.OpenLayout(source.Dir)
		if err != nil {
			return nil, err
		}
		found, err := layout.Kernels(source.Tag, source.Digest)
		if err != nil {
			return nil, err
		}
		if len(found) == 0 {
			return nil, usagef("vmtest kernel list "+source.Dir, "kernel push: there is no kernel %s", text)
		}
		for _, m := range found {
			kernels = append(kernels, publish.Kernel{Manifest: m, Layout: layout})
		}
	}
	return kernels, nil
}
