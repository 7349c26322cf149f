package distro

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
)

// dpkgDeb unpacks the package's files into the directory.
func dpkgDeb(ctx context.Context, deb, dir string) error {
	_, err := output(exec.CommandContext(ctx, "dpkg-deb", "--extract", deb, dir))
	return err
}

// depmodAll writes modules.dep for every kernel whose modules are in the tree.
func depmodAll(ctx context.Context, tree string) error {
	// Newer packages have them in /usr/lib, of which /lib is a link.
	for _, base := range []string{tree, filepath.Join(tree, "usr")} {
		dirs, err := filepath.Glob(filepath.Join(base, "lib/modules/*"))
		if err != nil {
			return err
		}
		for _, dir := range dirs {
			if err := Depmod(ctx, dir); err != nil {
				return err
			}
		}
	}
	return nil
}

// Depmod writes modules.dep and what else modprobe reads into a directory
// …/lib/modules/RELEASE.
func Depmod(ctx context.Context, dir string) error {
	base := filepath.Dir(filepath.Dir(filepath.Dir(dir)))
	program, err := depmodPath()
	if err != nil {
		return err
	}
	if _, err := output(exec.CommandContext(ctx, program, "-b", base, filepath.Base(dir))); err != nil {
		return fmt.Errorf("index modules of %q: %w", filepath.Base(dir), err)
	}
	return nil
}

// depmodPath also looks where the PATH of a user without privileges does not.
func depmodPath() (string, error) {
	for _, name := range []string{"depmod", "/usr/sbin/depmod", "/sbin/depmod"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", &hinted{errors.New("find depmod: not installed"), "apt-get install kmod"}
}
