package boot

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/bpf-vmtest/bpf-vmtest/initramfs"
	"github.com/bpf-vmtest/bpf-vmtest/internal/accel"
	"github.com/bpf-vmtest/bpf-vmtest/internal/cache"
	"github.com/bpf-vmtest/bpf-vmtest/internal/console"
	"github.com/bpf-vmtest/bpf-vmtest/internal/guest"
	"github.com/bpf-vmtest/bpf-vmtest/internal/machine"
	"github.com/bpf-vmtest/bpf-vmtest/internal/template"
	"github.com/bpf-vmtest/bpf-vmtest/internal/timeline"
)

// A warmError says why a machine could not be started from a template, which
// need not keep it from being booted.
type warmError struct{ err error }

func (e *warmError) Error() string { return "start it from a template: " + e.err.Error() }
func (e *warmError) Unwrap() error { return e.err }

// The devices that a template has for shares: a multiple of slotUnit, since
// which directories they export differs between runs. A PC has no more places
// for them than maxSlots.
const (
	slotUnit = 6
	maxSlots = 24
)

func (m Machine) slots() int {
	return (m.Layout.Exports() + slotUnit - 1) / slotUnit * slotUnit
}

// empty is what the devices export that no share uses.
func (m Machine) empty() string { return filepath.Join(m.Dir, "empty") }

// warmable reports whether a template may stand for the machine. More arguments
// for QEMU may mean devices with a state outside of it, such as a disk.
func (m Machine) warmable() bool {
	return !m.Cold && len(m.ExtraQEMU) == 0 && m.CacheDir != "" && m.slots() <= maxSlots
}

// warm starts the machine from its template, which it makes unless it found
// one. An error is a [*warmError] unless booting the machine would run into it
// as well.
func (m Machine) warm(ctx context.Context, a accel.Accel) (g *guest.Guest, found bool, err error) {
	if err := os.MkdirAll(m.empty(), 0o700); err != nil {
		return nil, false, err
	}
	archive, err := m.archive(ctx)
	if err != nil {
		return nil, false, err
	}
	looked := timeline.Begin(ctx, timeline.Vmtest, "find the saved machine")
	w := warmStart{Machine: m, accel: a, store: template.Store{CacheDir: m.CacheDir, Dir: m.Templates}}
	if w.key, err = w.identify(archive.Init, archive.Modules); err != nil {
		return nil, false, &warmError{err}
	}
	t, err := w.store.Find(w.key)
	looked()
	var damaged *template.DamagedError
	if err != nil && !errors.As(err, &damaged) {
		return nil, false, &warmError{err}
	}
	if found = t != nil; found {
		if text, err := os.ReadFile(t.Console); err == nil {
			_, _ = m.Log.Write(text)
		}
	} else if t, err = w.make(ctx); err != nil {
		return nil, false, err
	}
	if g, err = w.clone(ctx, t); err != nil {
		w.store.Discard(w.key)
		return nil, false, &warmError{err}
	}
	return g, found, nil
}

// A warmStart is a machine on its way to and from a template.
type warmStart struct {
	Machine
	accel accel.Accel
	store template.Store
	key   template.Key
}

// make boots a machine like ours up to its hello and saves it.
func (w warmStart) make(ctx context.Context) (*template.Template, error) {
	wait := func() {
		if w.Warn != nil {
			w.Warn(w.Kernel.Name + ": waiting for another process that boots this machine")
		}
	}
	saving := false
	t, err := w.store.Make(ctx, w.key, w.memoryMiB(), wait, func(t *template.Template) (err error) {
		saving = true
		if err := w.checkQEMU(ctx); err != nil {
			return err
		}
		initrd, err := w.initramfs(ctx)
		if err != nil {
			return err
		}
		return w.save(ctx, t, initrd)
	})
	// What the guest or its files do wrong, they would do again.
	var snapshot *machine.SnapshotError
	var exit *machine.ExitError
	if err != nil && (!saving || errors.As(err, &snapshot) || errors.As(err, &exit)) {
		err = &warmError{err}
	}
	return t, err
}

func (w warmStart) save(ctx context.Context, t *template.Template, initrd string) (err error) {
	text, err := os.OpenFile(t.Console, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, text.Close()) }()
	o := w.optionsFor(t, initrd)
	o.Layout, o.Machine.Masks = o.Layout.Bare(), nil
	o.Log = console.NewLog(text, nil)
	o.Log.Tee(w.Log)
	saved, err := guest.Save(ctx, o)
	if err != nil {
		return err
	}
	t.Said, err = json.Marshal(saved)
	return errors.Join(err, o.Log.Err())
}

func (w warmStart) clone(ctx context.Context, t *template.Template) (*guest.Guest, error) {
	o := w.optionsFor(t, "")
	if err := json.Unmarshal(t.Said, &o.Saved); err != nil {
		return nil, err
	}
	o.Machine.Restore = true
	o.SetupTimeout = cloneTimeout(w.accel)
	return guest.Boot(ctx, o)
}

// cloneTimeout bounds the answer to the setup. An idle host without KVM takes
// half a second.
func cloneTimeout(a accel.Accel) time.Duration {
	if a == accel.KVM {
		return 10 * time.Second
	}
	return 30 * time.Second
}

func (w warmStart) optionsFor(t *template.Template, initrd string) guest.Options {
	o := w.options(w.accel, w.qemu(w.accel, initrd))
	o.Machine.Snapshot = &t.Snapshot
	o.Slots, o.Empty = w.slots(), w.empty()
	return o
}

// identify names all that the machine, saved before its setup, depends on.
func (w warmStart) identify(init string, modules []initramfs.Module) (template.Key, error) {
	type module struct {
		Name string
		File template.File
	}
	var d struct {
		Kernel, Arch string // the digest
		Init         string // the hash of all that it is made of
		Modules      []module
		Base         string // digest
		QEMU         template.File
		Args         []string
		Slots        int
		Prepared     any
		Nobody       bool // may write to the memory
	}
	d.Kernel, d.Arch, d.Init = w.Kernel.Digest, w.Kernel.Arch, filepath.Base(init)
	d.Slots, d.Prepared = w.slots(), w.Layout.Prepared("")
	// Paths are left out: what is at them is named above.
	q := w.qemu(w.accel, "")
	q.Kernel, q.Snapshot = "", &machine.Snapshot{}
	d.Nobody = q.AsNobody()
	var err error
	if d.Args, err = q.Command(); err != nil {
		return template.Key{}, err
	}
	path, err := program(d.Args[0])
	if err != nil {
		return template.Key{}, err
	}
	if d.QEMU, err = template.Stat(path); err != nil {
		return template.Key{}, err
	}
	for _, m := range modules {
		file, err := template.Stat(m.Path)
		if err != nil {
			return template.Key{}, err
		}
		d.Modules = append(d.Modules, module{m.Name, file})
	}
	if w.Base != "" {
		if d.Base, err = cache.Digest(w.Base); err != nil {
			return template.Key{}, err
		}
	}
	return template.KeyOf(d)
}

// program finds QEMU. A script would not tell when the program that it starts
// is replaced.
func program(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		return "", err
	}
	f, err := os.Open(filepath.Clean(path))
	if err != nil {
		return "", err
	}
	defer f.Close()
	magic := make([]byte, 4)
	if _, err := f.Read(magic); err != nil || !bytes.Equal(magic, []byte("\x7fELF")) {
		return "", fmt.Errorf("%s is not a program but may start one", path)
	}
	return path, nil
}
