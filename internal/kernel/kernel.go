// Package kernel is a kernel on disk, ready to be booted, wherever it came
// from.
package kernel

// A Kernel is the result of resolving a kernel reference. All paths are
// absolute and stay valid, unchanged, for as long as the program runs.
type Kernel struct {
	// Name is the reference as the user wrote it: the kernel's name in
	// every report.
	Name string
	// Digest identifies the content: the OCI manifest's digest, a
	// package's SHA-256, or the image file's, as "sha256:<hex>".
	Digest string
	// Arch is the kernel's GOARCH.
	Arch string
	// Release is what uname -r will print, or empty where only the boot tells.
	Release string
	// Image is what QEMU's -kernel takes: a bzImage, a vmlinux with a PVH
	// note, or an arm64 Image.
	Image string
	// Modules is the directory that holds the release's modules, with
	// modules.dep in it (…/lib/modules/<release>), or empty when the kernel
	// has none.
	Modules string
	// Config is the kernel's .config, or empty when unknown.
	Config string
	// Initramfs is the archive that came with the kernel, or empty.
	Initramfs string
	// Debug names files that may have the kernel's debug information. They
	// need not be there, and may change, or be another kernel's.
	Debug []string
}
