package host

import (
	"context"
	"fmt"
	"os/exec"
	"runtime"
)

// qemuBinaries are the names of QEMU by the GOARCH of its guests.
var qemuBinaries = map[string]string{"amd64": "qemu-system-x86_64", "arm64": "qemu-system-aarch64"}

// A QEMUError says that a QEMU cannot be used.
type QEMUError struct{ Binary, Arch, Problem string }

func (e *QEMUError) Error() string { return fmt.Sprintf("find %s: %s", e.Binary, e.Problem) }

// Hint says what to do.
func (e *QEMUError) Hint() string {
	setup := "vmtest setup"
	if e.Arch != runtime.GOARCH {
		setup += " -for " + e.Arch
	}
	return "`" + setup + "` installs it; -qemu names another binary"
}

// FindQEMU returns the path of the QEMU that would run guests of a GOARCH: of
// binary, or the one in PATH. The error is a [*QEMUError].
func FindQEMU(arch, binary string) (string, error) {
	if binary == "" {
		binary = qemuBinaries[arch]
	}
	path, err := exec.LookPath(binary)
	if err != nil {
		return "", &QEMUError{binary, arch, "not found"}
	}
	return path, nil
}

// QEMU finds QEMU and returns its version, which takes QEMU 20 ms. The error is a
// [*QEMUError] when there is none or it is too old. A version that cannot be
// read is nil.
func QEMU(ctx context.Context, arch, binary string) (Version, error) {
	path, err := FindQEMU(arch, binary)
	if err != nil {
		return nil, err
	}
	out, err := output(ctx, path, "--version")
	if err != nil {
		return nil, ctx.Err()
	}
	v, err := ParseQEMUVersion(out)
	if err != nil {
		return nil, nil // a wrapper or a development build: let it try
	}
	if v.Compare(leastQEMU) < 0 {
		return nil, &QEMUError{path, arch, fmt.Sprintf("version %s is too old, %s or later is needed", v, leastQEMU)}
	}
	return v, nil
}
