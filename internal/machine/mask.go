package machine

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
)

// A Mask is a file below a share in whose place the guest is shown another one.
// What QEMU exports it exports whole, so QEMU itself is shown the other one: it
// runs in a mount namespace of its own.
type Mask struct {
	Path string // of a regular file
	With string // the file to be seen there
}

// mask shows the masks to this thread, which ends with QEMU, and to what it starts.
func (m *Machine) mask() error {
	if len(m.Masks) == 0 {
		return nil
	}
	if err := syscall.Unshare(syscall.CLONE_NEWNS); err != nil {
		return err
	}
	// Keeps what is mounted there from being seen elsewhere.
	if err := syscall.Mount("", "/", "", syscall.MS_SLAVE|syscall.MS_REC, ""); err != nil {
		return err
	}
	for _, k := range m.Masks {
		if err := syscall.Mount(k.With, k.Path, "", syscall.MS_BIND, ""); err != nil {
			return fmt.Errorf("%s: %w", k.Path, err)
		}
	}
	return nil
}

// maskScript is what a shell does in that namespace before it becomes QEMU. Its
// arguments are pairs of files, a --, and the command.
const maskScript = `
while [ "$1" != -- ]; do
	mount --bind "$1" "$2" || exit
	shift 2
done
shift
exec "$@"`

// maskedByShell makes cmd run with the masks, where we are not root: then it takes a
// user namespace, which only a new process can have. An error says that this machine's
// users may not do that, and leaves cmd as it was.
func (m *Machine) maskedByShell(ctx context.Context, cmd *exec.Cmd) error {
	if len(m.Masks) == 0 {
		return nil
	}
	shell, err := exec.LookPath("sh")
	if err != nil {
		return err
	}
	attr := *cmd.SysProcAttr
	// Nothing goes back to where it was cloned from.
	attr.Cloneflags = syscall.CLONE_NEWNS | syscall.CLONE_NEWUSER
	attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
	attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
	args := []string{shell, "-c", maskScript, "sh"}
	for _, k := range m.Masks {
		args = append(args, k.With, k.Path)
	}
	args = append(args, "--")

	try := exec.CommandContext(ctx, shell)
	try.Args, try.SysProcAttr = append(args[:len(args):len(args)], "true"), &attr
	if out, err := try.CombinedOutput(); err != nil {
		return fmt.Errorf("%w %s", err, strings.TrimSpace(string(out)))
	}
	cmd.Args = append(args, append([]string{cmd.Path}, cmd.Args[1:]...)...)
	cmd.Path, cmd.SysProcAttr = shell, &attr
	return nil
}
