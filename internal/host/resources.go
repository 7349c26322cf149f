package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/bpf-vmtest/bpf-vmtest/internal/accel"
	"github.com/bpf-vmtest/bpf-vmtest/internal/meminfo"
	"github.com/bpf-vmtest/bpf-vmtest/internal/sandbox"
)

const mib = 1 << 20

const (
	// A distribution's kernel with its modules is 0.2 GiB to download and
	// unpacks to twice that; a build of one from source takes 5 GiB.
	enoughSpace = 2048 * mib
	// A VM of the default size and the compiler beside it.
	enoughMemory = 1536 * mib
)

func checkKVM(ctx context.Context, cacheDir string) Check {
	c := Check{Name: "KVM", Group: Run, Status: OK}
	result, err := accel.Probe(ctx, accel.Options{CacheDir: cacheDir})
	switch {
	case err != nil:
		c.Status, c.Detail = Warn, err.Error()
	case result.Usable:
		c.Detail = result.Detail
	default:
		c.Status, c.Detail, c.Remedy = Warn, result.Detail+"; VMs run much slower without", result.Hint
	}
	return c
}

// checkUser is about whom a guest becomes that breaks QEMU.
func checkUser() Check {
	c := Check{Name: "user", Group: Run, Status: OK}
	switch err := sandbox.Check(); {
	case err == nil:
		c.Detail = "QEMU runs as nobody, who can read what root can and change nothing"
	case errors.Is(err, sandbox.ErrNotRoot):
		c.Detail = "QEMU runs as you"
	default:
		c.Status, c.Detail = Warn, fmt.Sprintf("QEMU runs as root: %v", err)
		c.Remedy = "run vmtest as another user, or give the container that capability (docker run --cap-add)"
	}
	return c
}

func checkSpace(dir string) Check {
	c := Check{Name: "cache", Group: Run, Status: OK}
	existing, err := existingParent(dir)
	var stat unix.Statfs_t
	if err == nil {
		err = unix.Access(existing, unix.W_OK|unix.X_OK)
	}
	if err == nil {
		err = unix.Statfs(existing, &stat)
	}
	if err != nil {
		c.Status, c.Detail = Missing, fmt.Sprintf("%s cannot be written to: %v", dir, err)
		c.Remedy = "set XDG_CACHE_HOME to a directory that can"
		return c
	}
	free := stat.Bavail * uint64(stat.Bsize)
	c.Detail = fmt.Sprintf("%d MiB free in %s", free/mib, dir)
	if free < enoughSpace {
		c.Status, c.Remedy = Warn, fmt.Sprintf("free at least %d MiB", enoughSpace/mib)
	}
	return c
}

// existingParent is the directory itself, or the closest one above it that is
// already there.
func existingParent(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	for {
		info, err := os.Stat(dir)
		switch {
		case err == nil && !info.IsDir():
			return "", unix.ENOTDIR
		case err == nil:
			return dir, nil
		case !errors.Is(err, fs.ErrNotExist):
			return "", err
		}
		dir = filepath.Dir(dir)
	}
}

func checkMemory() Check {
	c := Check{Name: "memory", Group: Run, Status: OK}
	free, err := meminfo.Available()
	if err != nil {
		c.Status, c.Detail = Warn, err.Error()
		return c
	}
	c.Detail = fmt.Sprintf("%d MiB available", free/mib)
	if free < enoughMemory {
		c.Status, c.Remedy = Warn, "give VMs less memory, or run fewer kernels at once"
	}
	return c
}

func checkCores() Check {
	n := runtime.NumCPU()
	c := Check{Name: "cores", Group: Run, Status: OK, Detail: strconv.Itoa(n)}
	if n < 2 {
		c.Status, c.Remedy = Warn, "on one core, tests that need two processors at a time are slow or fail"
	}
	return c
}
