// Package artifact is the form in which kernels are kept and shared: an OCI
// image whose layers are the parts of one kernel. docs/artifact.md describes
// the format.
package artifact

import (
	"time"

	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Type is the artifactType of a kernel's manifest. An image without it may
// hold a kernel all the same, but its layers say nothing about themselves.
const Type = "application/vnd.bpf-vmtest.kernel.v1"

// LayerType is gzip, which everything that handles images reads. With zstd a
// kernel with modules would be a ninth smaller, but Docker's own manifests, and with them
// docker-archive and older engines, cannot name such layers. Both are read.
const LayerType = types.OCILayer

// Annotations of the manifest and of its layers.
const (
	PartAnnotation    = "io.bpf-vmtest.part"           // on a layer: its Part
	ReleaseAnnotation = "io.bpf-vmtest.kernel.release" // what uname -r prints
	ConfigAnnotation  = "io.bpf-vmtest.config.sha256"  // of the kernel's .config

	titleAnnotation    = "org.opencontainers.image.title"
	versionAnnotation  = "org.opencontainers.image.version"
	licensesAnnotation = "org.opencontainers.image.licenses"
	createdAnnotation  = "org.opencontainers.image.created"
	tagAnnotation      = "org.opencontainers.image.ref.name" // in a layout's index
)

// Part is what one layer holds.
type Part string

const (
	Kernel    Part = "kernel"     // bzImage, or arm64's Image
	VMLinux   Part = "vmlinux"    // stripped ELF with a PVH note, which boots faster
	Config    Part = "config"     // the .config
	SystemMap Part = "system-map" // symbol addresses
	BTF       Part = "btf"        // the kernel's BTF, detached
	Initramfs Part = "initramfs"  // boots by itself; compressed in any way Linux reads
	Modules   Part = "modules"    // the directory of the release's modules
)

// Path is where the part is in the image's file system. Modules are in a
// directory of their release below it.
func (p Part) Path() string {
	switch p {
	case Kernel:
		return "boot/vmlinuz"
	case SystemMap:
		return "boot/System.map"
	case BTF:
		return "boot/vmlinux.btf"
	case Modules:
		return "usr/lib/modules"
	}
	return "boot/" + string(p)
}

// Parts is a kernel to be packed: paths of files on disk. Release, Arch and one
// of Kernel and VMLinux are needed, the rest is left out where it is empty.
type Parts struct {
	Release string // what uname -r prints
	Arch    string // GOARCH

	Kernel    string
	VMLinux   string
	Config    string
	SystemMap string
	BTF       string
	Initramfs string
	Modules   string // …/lib/modules/RELEASE, with modules.dep in it

	// Annotations are added to the manifest's. They win over ours, except
	// those that begin with io.bpf-vmtest.
	Annotations map[string]string
	// Created is the time of the kernel's source or build. The zero time is
	// left out, which makes the digest depend on the parts alone.
	Created time.Time
}

// files are the parts that are there, in the order of the layers: first what
// every boot needs.
func (p Parts) files() []file {
	all := []file{
		{Kernel, p.Kernel}, {VMLinux, p.VMLinux}, {Config, p.Config}, {Modules, p.Modules},
		{Initramfs, p.Initramfs}, {BTF, p.BTF}, {SystemMap, p.SystemMap},
	}
	var there []file
	for _, f := range all {
		if f.path != "" {
			there = append(there, f)
		}
	}
	return there
}

type file struct {
	part Part
	path string
}
