package initramfs

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// A Module is a kernel module file of the host's copy of a kernel.
type Module struct {
	Name string // as lsmod prints it, such as 9pnet_virtio
	Path string // of the .ko, which may be compressed with gzip, xz or zstd
}

// bootModules are what a guest needs before it can mount the host's shares, and
// what tests of BPF expect. What a kernel has built in needs no module; BootModules checks that it is
// one of the two.
var bootModules = []string{
	"virtio_pci", "virtio_mmio", "virtio_console",
	"9pnet_virtio", "9p", "overlay",
	"bpf_testmod",
}

// optionalModules need not be there. Of the virtio transports one is enough,
// and a machine without any has no port for init to find. bpf_testmod is the
// kernel's own module to try BPF on; our kernels have it, and suites such as
// cilium/ebpf's expect it to be loaded.
var optionalModules = map[string]bool{"virtio_mmio": true, "virtio_pci": true, "bpf_testmod": true}

// A MissingModuleError says that a kernel cannot mount the host's files.
type MissingModuleError struct{ Name, Dir string }

func (e *MissingModuleError) Error() string {
	return fmt.Sprintf("find module %q in %s: neither a module nor built in", e.Name, e.Dir)
}

// Hint says what the kernel needs.
func (e *MissingModuleError) Hint() string {
	return "the kernel needs VIRTIO_PCI, VIRTIO_CONSOLE, NET_9P_VIRTIO, 9P_FS and OVERLAY_FS, built in or as modules"
}

// BootModules returns the modules that must be loaded before the host's shares
// can be mounted, dependencies first. The directory is a release's, with
// depmod's modules.dep in it; for a kernel without one all is built in.
func BootModules(dir string) ([]Module, error) {
	if dir == "" {
		return nil, nil
	}
	deps, err := readDeps(filepath.Join(dir, "modules.dep"))
	if err != nil {
		return nil, err
	}
	builtin, err := readBuiltin(filepath.Join(dir, "modules.builtin"))
	if err != nil {
		return nil, err
	}
	o := ordering{dir: dir, deps: deps, seen: map[string]bool{}}
	for _, name := range bootModules {
		path, ok := deps.byName[name]
		switch {
		case ok:
			o.add(path)
		case !builtin[name] && !optionalModules[name] && len(builtin) > 0:
			return nil, &MissingModuleError{Name: name, Dir: dir}
		}
	}
	return o.modules, nil
}

type dependencies struct {
	byName map[string]string   // module name → path relative to the directory
	needs  map[string][]string // path → paths, nearest dependency first
}

// readDeps reads modules.dep: "path: dependency dependency …" per line, the
// dependencies in the reverse of the order in which they must be loaded.
func readDeps(file string) (dependencies, error) {
	f, err := os.Open(file)
	if err != nil {
		return dependencies{}, fmt.Errorf("read module dependencies: %w", err)
	}
	defer f.Close()
	d := dependencies{byName: map[string]string{}, needs: map[string][]string{}}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		path, needs, ok := strings.Cut(lines.Text(), ":")
		if !ok {
			return dependencies{}, fmt.Errorf("read module dependencies: %s:%d: no colon", file, n)
		}
		d.byName[moduleName(path)] = path
		d.needs[path] = strings.Fields(needs)
	}
	return d, lines.Err()
}

func readBuiltin(file string) (map[string]bool, error) {
	b, err := os.ReadFile(file)
	if os.IsNotExist(err) {
		return nil, nil // a tree without it: nothing can be checked
	}
	if err != nil {
		return nil, fmt.Errorf("read built-in modules: %w", err)
	}
	names := map[string]bool{}
	for line := range strings.Lines(string(b)) {
		names[moduleName(strings.TrimSpace(line))] = true
	}
	return names, nil
}

// moduleName is the kernel's name for a module file: 9pnet-virtio.ko.xz is
// 9pnet_virtio.
func moduleName(path string) string {
	base, _, _ := strings.Cut(filepath.Base(path), ".ko")
	return strings.ReplaceAll(base, "-", "_")
}

type ordering struct {
	dir     string
	deps    dependencies
	seen    map[string]bool
	modules []Module
}

func (o *ordering) add(path string) {
	if o.seen[path] {
		return
	}
	o.seen[path] = true
	for _, need := range o.deps.needs[path] {
		o.add(need)
	}
	o.modules = append(o.modules, Module{Name: moduleName(path), Path: filepath.Join(o.dir, path)})
}

// read returns the module's image, decompressed: not every kernel can do that
// itself, and none as cheaply as the host.
func (m Module) read() ([]byte, error) {
	b, err := os.ReadFile(m.Path)
	if err != nil {
		return nil, err
	}
	var r io.Reader
	switch filepath.Ext(m.Path) {
	case ".ko":
		return b, nil
	case ".xz":
		r, err = xz.NewReader(bytes.NewReader(b))
	case ".gz":
		r, err = gzip.NewReader(bytes.NewReader(b))
	case ".zst":
		var z *zstd.Decoder
		if z, err = zstd.NewReader(bytes.NewReader(b)); err == nil {
			defer z.Close()
			r = z
		}
	default:
		return nil, fmt.Errorf("read module %s: unknown compression", m.Path)
	}
	if err == nil {
		b, err = io.ReadAll(r)
	}
	if err != nil {
		return nil, fmt.Errorf("decompress module %s: %w", m.Path, err)
	}
	return b, nil
}
