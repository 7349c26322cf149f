package main

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/bpf-vmtest/bpf-vmtest/internal/kernelref"
	"github.com/bpf-vmtest/bpf-vmtest/internal/lockfile"
)

// lockFlags are those of vmtest kernel lock.
type lockFlags struct {
	arch   archFlag
	verify verifyMode
	update bool
}

// lockKernels enters what references stand for into the module's lock file and
// prints what has changed.
func (a *app) lockKernels(ctx context.Context, args []string) error {
	var l lockFlags
	fs := a.flagSet("kernel lock")
	l.arch.register(fs)
	l.verify.register(fs)
	fs.BoolVar(&l.update, "update", false, "find out anew what is in the file: all of it, or these references")
	if err := parseFlags(fs, args); err != nil {
		return err
	}
	lock, err := moduleLock()
	if err != nil {
		return err
	}
	wanted, err := l.wanted(lock, fs.Args())
	if err != nil {
		return err
	}
	for _, w := range wanted {
		if err := a.lockKernel(ctx, lock, w, l); err != nil {
			return err
		}
	}
	return lock.Save()
}

// wantedPin is a reference to be locked, on an architecture.
type wantedPin struct {
	ref  kernelref.Ref
	arch archFlag
}

// wanted are the references named, or else those in the file that is to be
// updated, or else the default ones.
func (l lockFlags) wanted(lock *lockfile.File, named []string) ([]wantedPin, error) {
	var wanted []wantedPin
	if l.update && len(named) == 0 {
		for _, pin := range lock.Pins() {
			ref, err := kernelref.Parse(pin.Reference(), "")
			if err != nil {
				return nil, err
			}
			wanted = append(wanted, wantedPin{ref, archFlag(cmp.Or(pin.Arch, string(l.arch)))})
		}
		return wanted, nil
	}
	refs, err := parseKernels(cmp.Or(strings.Join(named, ","), kernelsByDefault()))
	if err != nil {
		return nil, err
	}
	if l.update {
		if err := lock.Require(refs, string(l.arch)); err != nil {
			return nil, err
		}
	}
	for _, ref := range refs {
		wanted = append(wanted, wantedPin{ref, l.arch})
	}
	return wanted, nil
}

// lockKernel enters one reference, unless it is there and shall stay.
func (a *app) lockKernel(ctx context.Context, lock *lockfile.File, w wantedPin, l lockFlags) error {
	pin, there := lock.Find(w.ref, string(w.arch))
	if !there || l.update {
		cache, err := cacheDir()
		if err != nil {
			return err
		}
		kernels, err := a.store(cache, w.arch, l.verify)
		if err != nil {
			return err
		}
		kernels.Notice = nil
		if pin, err = kernels.LookUp(ctx, w.ref); err != nil {
			return err
		}
	}
	old, err := lock.Set(pin)
	if err != nil {
		return err
	}
	fmt.Fprintf(a.stdout, "%s\n", pin)
	if old == pin {
		fmt.Fprintf(a.stdout, "  %s\n", lockedTo(pin))
		return nil
	}
	if old.Digest != "" {
		fmt.Fprintf(a.stdout, "- %s\n", lockedTo(old))
	}
	fmt.Fprintf(a.stdout, "+ %s\n", lockedTo(pin))
	return nil
}

func lockedTo(pin lockfile.Pin) string { return strings.TrimSpace(pin.Digest + "  " + pin.Release) }
