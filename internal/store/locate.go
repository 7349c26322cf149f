package store

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bpf-vmtest/bpf-vmtest/internal/kernel"
)

// Where kernels are in the root directories of others: in packages and
// images the first two and the last but one, in Debian's packages since 6.19
// the third, in little-vm-helper's images the last.
var imagePatterns = []string{
	"boot/vmlinuz", "boot/vmlinuz-*",
	"usr/lib/modules/*/vmlinuz", "lib/modules/*/vmlinuz",
	"boot/Image",
	"data/kernels/*/boot/vmlinuz-*",
}

// ofKernel reports whether a path of a root directory may belong to a kernel.
func ofKernel(name string) bool {
	for _, prefix := range []string{"boot/", "usr/lib/modules/", "lib/modules/"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	rest, ok := strings.CutPrefix(name, "data/kernels/")
	_, rest, below := strings.Cut(rest, "/")
	return ok && below && ofKernel(rest)
}

// locate finds the one kernel in a root directory, with what belongs to it.
func locate(root string) (*kernel.Kernel, error) {
	image, err := locateImage(root)
	if err != nil {
		return nil, err
	}
	dir := filepath.Dir(image)
	k := &kernel.Kernel{Image: image}
	if header, err := identify(image); err == nil {
		k.Release, k.Arch = header.release, header.arch
	}
	if filepath.Base(dir) != "boot" { // …/lib/modules/RELEASE
		k.Modules, k.Release = dir, filepath.Base(dir)
	} else if k.Modules = locateModules(filepath.Dir(dir), k.Release); k.Modules != "" {
		k.Release = filepath.Base(k.Modules)
	}
	for _, name := range []string{"config-" + k.Release, "config"} {
		if isFile(filepath.Join(dir, name)) {
			k.Config = filepath.Join(dir, name)
			break
		}
	}
	return k, nil
}

func locateImage(root string) (string, error) {
	var images []string
	for _, pattern := range imagePatterns {
		matches, err := filepath.Glob(filepath.Join(globQuote(root), pattern))
		if err != nil {
			return "", err
		}
		for _, m := range matches {
			// boot/vmlinuz is often a link to boot/vmlinuz-RELEASE.
			m, err := filepath.EvalSymlinks(m)
			if err == nil && isFile(m) && !slices.Contains(images, m) {
				images = append(images, m)
			}
		}
	}
	switch len(images) {
	case 1:
		return images[0], nil
	case 0:
		return "", fmt.Errorf("it holds no kernel: there is no /%s", strings.Join(imagePatterns, ", /"))
	}
	var names []string
	for _, image := range images {
		names = append(names, strings.TrimPrefix(image, root))
	}
	return "", fmt.Errorf("it holds more than one kernel: %s", strings.Join(names, ", "))
}

// globQuote quotes a path for use in a pattern.
func globQuote(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}

// locateModules is the directory of the release's modules below the root, or
// of the only release's when it is not known; "" if there is none.
func locateModules(root, release string) string {
	for _, lib := range []string{"usr/lib/modules", "lib/modules"} {
		dir := filepath.Join(root, lib)
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue
		}
		for _, e := range entries {
			if e.IsDir() && (e.Name() == release || release == "" && len(entries) == 1) {
				return filepath.Join(dir, e.Name())
			}
		}
	}
	return ""
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}
