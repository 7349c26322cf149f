// Package artifact is the form in which kernels are kept and shared: an OCI
// image whose layers are the parts of one kernel. docs/artifact.md describes
// the format.
package artifact

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Type is the artifactType of a kernel's manifest, and of an index of such
// manifests. An image without it may hold a kernel all the same, but its layers
// say nothing about themselves.
const Type = "application/vnd.bpf-vmtest.kernel.v1"

// LayerType is gzip, which everything that handles images reads. With zstd a
// kernel with modules would be a ninth smaller, but Docker's own manifests, and with them
// docker-archive and older engines, cannot name such layers. Both are read.
const LayerType = types.OCILayer

// Part is what one layer holds.
type Part string

const (
	Kernel    Part = "kernel"     // bzImage, or arm64's Image
	VMLinux   Part = "vmlinux"    // stripped ELF with a PVH note, which boots faster
	Config    Part = "config"     // the .config
	Features  Part = "features"   // what the kernel was found to be able to do
	SystemMap Part = "system-map" // symbol addresses
	BTF       Part = "btf"        // the kernel's BTF, detached
	Initramfs Part = "initramfs"  // boots by itself; compressed in any way Linux reads
	Modules   Part = "modules"    // the directory of the release's modules
	Selftests Part = "selftests"  // the directory of the kernel's BPF selftests, built
	Debug     Part = "debug"      // a directory for gdb: vmlinux with debug information, and scripts
)

// Path is where the part of the release is in the image's file system.
func (p Part) Path(release string) string {
	switch p {
	case Kernel:
		return "boot/vmlinuz"
	case Features:
		return "boot/features.json"
	case SystemMap:
		return "boot/System.map"
	case BTF:
		return "boot/vmlinux.btf"
	case Modules:
		return "usr/lib/modules/" + release
	case Debug:
		return "usr/lib/debug/lib/modules/" + release // where distributions keep it
	case Selftests:
		return "usr/src/linux/tools/testing/selftests/bpf" // as in cilium/ci-kernels
	}
	return "boot/" + string(p)
}

// IsTree reports whether the part is a directory with everything below it.
func (p Part) IsTree() bool { return p == Modules || p == Selftests || p == Debug }

// Parts is a kernel to be packed: paths of files and directories on disk.
// Release, Arch and one of Kernel and VMLinux are needed, the rest is left out
// where it is empty.
type Parts struct {
	Release string // what uname -r prints
	Arch    string // GOARCH

	Kernel    string
	VMLinux   string
	Config    string
	Features  string
	SystemMap string
	BTF       string
	Initramfs string
	Modules   string // …/lib/modules/RELEASE, with modules.dep in it
	Selftests string
	Debug     string

	// Build is how the kernel was made, as far as that is known.
	Build Build
	// Revision is the commit of the kernel's source, if that came out of git.
	Revision string
	// Annotations are added to the manifest's. They win over ours, except
	// those that begin with io.bpf-vmtest.
	Annotations map[string]string
	// Created is the time of the kernel's source or build. The zero time is
	// left out, which makes the digest depend on the parts alone.
	Created time.Time
}

// ToBoot are those of the parts that a boot uses.
func (p Parts) ToBoot() Parts {
	p.Features, p.SystemMap, p.BTF, p.Debug, p.Selftests = "", "", "", "", ""
	return p
}

// files are the parts that are there, in the order of the layers: first what
// every boot needs.
func (p Parts) files() []file {
	all := []file{
		{Kernel, p.Kernel}, {VMLinux, p.VMLinux}, {Config, p.Config}, {Modules, p.Modules},
		{Initramfs, p.Initramfs}, {Features, p.Features}, {BTF, p.BTF}, {SystemMap, p.SystemMap},
		{Selftests, p.Selftests}, {Debug, p.Debug},
	}
	var there []file
	for _, f := range all {
		if f.path != "" {
			there = append(there, f)
		}
	}
	return there
}

// A file is a part on disk.
type file struct {
	part Part
	path string
}

// check finds what would make an artifact that cannot be used.
func (p Parts) check() error {
	switch {
	case !isRelease(p.Release):
		return errors.New("want the kernel's release, as uname -r prints it")
	case p.Arch == "":
		return errors.New("want the kernel's architecture")
	case p.Kernel == "" && p.VMLinux == "":
		return errors.New("want a kernel image or a vmlinux")
	case p.VMLinux != "" && p.Arch != "amd64":
		return errors.New("a vmlinux for " + p.Arch + " does not boot: want a kernel image alone")
	case p.Modules != "" && filepath.Base(p.Modules) != p.Release:
		return fmt.Errorf("the modules in %q are not of this release", p.Modules)
	case !isFlavour(p.Build.Flavour):
		return fmt.Errorf("flavour %q: want lower-case letters and digits", p.Build.Flavour)
	}
	return nil
}

// isRelease reports whether the release can be part of a path.
func isRelease(s string) bool {
	return s != "" && !strings.ContainsAny(s, "/\x00") && s != "." && s != ".."
}
