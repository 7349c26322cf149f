package main

import (
	"context"
	"fmt"

	"github.com/bpf-vmtest/bpf-vmtest/internal/action"
	"github.com/bpf-vmtest/bpf-vmtest/internal/kernelref"
	"github.com/bpf-vmtest/bpf-vmtest/internal/lockfile"
	"github.com/bpf-vmtest/bpf-vmtest/internal/store"
)

// matrixFlags are those of vmtest matrix.
type matrixFlags struct {
	machineFlags
	shards int
}

func (a *app) parseMatrix(args []string) (*matrixFlags, error) {
	var m matrixFlags
	fs := a.flagSet("matrix")
	fs.StringVar(&m.kernel, "kernel", kernelsByDefault(), "`references` of kernels, separated by commas")
	m.arch.register(fs)
	m.verify.register(fs)
	fs.IntVar(&m.shards, "shard-count", 1, "divide each kernel's tests among `N` jobs")
	if err := parseFlags(fs, args); err != nil {
		return nil, err
	}
	if fs.NArg() > 0 {
		return nil, usagef("-kernel names the kernels", "matrix: unexpected argument %q", fs.Arg(0))
	}
	if m.shards < 1 {
		return nil, usagef("", "-shard-count %d: want 1 or more", m.shards)
	}
	return &m, nil
}

// matrix prints the jobs of a workflow that runs one kernel each.
func (a *app) matrix(ctx context.Context, args []string) error {
	m, err := a.parseMatrix(args)
	if err != nil {
		return err
	}
	legs, err := a.legs(ctx, m)
	if err != nil {
		return err
	}
	text, err := action.JSON(legs)
	if err == nil {
		_, err = fmt.Fprintln(a.stdout, text)
	}
	return err
}

// legs are the jobs for the kernels, which are looked up once for all of them.
func (a *app) legs(ctx context.Context, m *matrixFlags) ([]action.Leg, error) {
	refs, err := m.kernels()
	if err != nil {
		return nil, err
	}
	p, err := a.newPinner(&m.machineFlags)
	if err != nil {
		return nil, err
	}
	var kernels []action.Kernel
	for _, ref := range refs {
		pin, err := p.pin(ctx, ref)
		if err != nil {
			return nil, err
		}
		kernels = append(kernels, action.Kernel{Ref: ref.String(), Pin: pin})
	}
	return action.Legs(kernels, m.shards)
}

// A pinner finds out what references stand for. The store's lock file decides.
type pinner struct{ store *store.Store }

func (a *app) newPinner(m *machineFlags) (*pinner, error) {
	cache, err := cacheDir()
	if err != nil {
		return nil, err
	}
	kernels, err := a.store(cache, m.arch, m.verify)
	if err != nil {
		return nil, err
	}
	return &pinner{kernels}, nil
}

// pin is the zero Pin for a reference that does not move.
func (p *pinner) pin(ctx context.Context, ref kernelref.Ref) (lockfile.Pin, error) {
	if _, moves := lockfile.For(ref, p.store.Arch); !moves {
		return lockfile.Pin{}, nil
	}
	if pin, ok := p.store.Lock.Find(ref, p.store.Arch); ok {
		return pin, nil
	}
	pin, err := p.store.LookUp(ctx, ref)
	if err == nil {
		_, err = p.store.Lock.Set(pin)
	}
	return pin, err
}
