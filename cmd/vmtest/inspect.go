package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/bpf-vmtest/bpf-vmtest/internal/attest"
	"github.com/bpf-vmtest/bpf-vmtest/internal/kernelinfo"
	"github.com/bpf-vmtest/bpf-vmtest/internal/kernelref"
	"github.com/bpf-vmtest/bpf-vmtest/internal/store"
)

// inspectKernel shows what an image says of the kernel in it.
func (a *app) inspectKernel(ctx context.Context, args []string) error {
	fs := a.flagSet("kernel inspect")
	asJSON := fs.Bool("json", false, "print JSON")
	if err := parseFlags(fs, args); err != nil {
		return err
	}
	if fs.NArg() != 1 {
		return usagef("vmtest kernel inspect 6.12", "kernel inspect: want one kernel")
	}
	refs, kernels, err := a.kernelsNamed("", looking, fs.Args())
	if err != nil {
		return err
	}
	image, err := kernels.Inspect(ctx, refs[0])
	if errors.Is(err, store.ErrNoImage) {
		return usagef("`vmtest kernel check` boots any kernel and says what it can do", "kernel inspect: %v", err)
	}
	if err != nil {
		return err
	}
	info, err := kernelinfo.Read(ctx, refs[0].String(), image)
	if err != nil {
		return err
	}
	return show(a.stdout, info, *asJSON)
}

// diffKernels shows how two kernels differ.
func (a *app) diffKernels(ctx context.Context, args []string) error {
	var arch archFlag
	fs := a.flagSet("kernel diff")
	arch.register(fs)
	asJSON := fs.Bool("json", false, "print JSON")
	exitCode := fs.Bool("exit-code", false, "exit with 1 if there are differences")
	if err := parseFlags(fs, args); err != nil {
		return err
	}
	if fs.NArg() != 2 {
		return usagef("vmtest kernel diff 6.1 6.12", "kernel diff: want two kernels")
	}
	refs, kernels, err := a.kernelsNamed(arch, looking, fs.Args())
	if err != nil {
		return err
	}
	var sides []*kernelinfo.Side
	for _, ref := range refs {
		side, err := kernelinfo.ReadSide(ctx, kernels, ref)
		if err != nil {
			return err
		}
		sides = append(sides, side)
	}
	diff := kernelinfo.Compare(*sides[0], *sides[1])
	if err := show(a.stdout, diff, *asJSON); err != nil {
		return err
	}
	if *exitCode && !diff.Empty() {
		return exitError(1)
	}
	return nil
}

// looking is for commands that use nothing of a kernel: who has not signed what
// is to be seen, too.
var looking = verifyMode{attest.Off}

// kernelsNamed parses references, and is the way to what they name now, whatever
// the module's lock file says.
func (a *app) kernelsNamed(arch archFlag, verify verifyMode, args []string) ([]kernelref.Ref, *store.Store, error) {
	cache, err := cacheDir()
	if err != nil {
		return nil, nil, err
	}
	repository := cmp.Or(os.Getenv("VMTEST_REPOSITORY"), defaultRepository)
	var refs []kernelref.Ref
	for _, arg := range args {
		ref, err := kernelref.Parse(arg, repository)
		if err != nil {
			return nil, nil, err
		}
		refs = append(refs, ref)
	}
	kernels, err := a.store(cache, arch, verify)
	if err != nil {
		return nil, nil, err
	}
	kernels.Lock = nil
	return refs, kernels, nil
}

// show prints a report in either form.
func show(w io.Writer, report interface {
	Write(io.Writer) error
	JSON() ([]byte, error)
}, asJSON bool) error {
	if !asJSON {
		return report.Write(w)
	}
	content, err := report.JSON()
	if err != nil {
		return err
	}
	_, err = w.Write(content)
	return err
}

// extractKernel unpacks all parts of a kernel into a directory, for use without
// vmtest.
func (a *app) extractKernel(ctx context.Context, args []string) error {
	var arch archFlag
	var verify verifyMode
	fs := a.flagSet("kernel extract")
	arch.register(fs)
	verify.register(fs)
	if err := parseFlags(fs, args); err != nil {
		return err
	}
	if fs.NArg() != 2 {
		return usagef("vmtest kernel extract 6.12 DIR", "kernel extract: want a kernel and a directory")
	}
	dir, err := filepath.Abs(fs.Arg(1))
	if err != nil {
		return err
	}
	if there, err := os.ReadDir(dir); err == nil && len(there) > 0 || err != nil && !os.IsNotExist(err) {
		return usagef("name a directory that does not exist, or an empty one", "kernel extract: %s is there and not empty", dir)
	}
	refs, kernels, err := a.kernelsNamed(arch, verify, fs.Args()[:1])
	if err != nil {
		return err
	}
	image, err := kernels.Inspect(ctx, refs[0])
	if err != nil {
		return err
	}
	m, err := image.Kernel(string(arch))
	if err != nil {
		return fmt.Errorf("extract kernel %q: %w", refs[0], err)
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), "."+filepath.Base(dir)+"-*")
	if err != nil {
		return usagef("", "kernel extract: %v", err)
	}
	defer os.RemoveAll(tmp)
	err = image.Extract(ctx, m, tmp)
	if err == nil {
		err = os.Chmod(tmp, 0o755)
	}
	if err == nil {
		err = takePlace(tmp, dir)
	}
	if err != nil {
		return fmt.Errorf("extract kernel %q: %w", refs[0], err)
	}
	fmt.Fprintf(a.stdout, "%s\n", m.Digest())
	return nil
}

// takePlace renames a directory to one that is not there, or empty.
func takePlace(from, to string) error {
	if err := os.Remove(to); err != nil && !os.IsNotExist(err) {
		return err
	}
	return os.Rename(from, to)
}
