package main

import (
	"bufio"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"unsafe"
)

// modprobe is the program that the kernel calls for a module it could do with,
// for guests without kmod's: `/sbin/modprobe -q -- NAME`. It knows modules and
// aliases, and neither modprobe.d nor how to remove a module.
func modprobe(args []string) error {
	quiet := false
	for len(args) > 0 && strings.HasPrefix(args[0], "-") {
		flag := args[0]
		args = args[1:]
		if flag == "--" {
			break
		}
		if flag != "-q" {
			return fmt.Errorf("unknown flag %s: want -q", flag)
		}
		quiet = true
	}
	if len(args) == 0 {
		return fmt.Errorf("usage: modprobe [-q] name [parameter=value...]")
	}
	modules, err := openModules("/lib/modules/" + hello().Release)
	if err != nil {
		return err
	}
	paths, err := modules.find(args[0])
	if err != nil {
		return err
	}
	if len(paths) == 0 && !quiet && !modules.isBuiltin(args[0]) {
		return fmt.Errorf("no module or alias %s in %s", args[0], modules.dir)
	}
	for _, path := range paths {
		if err := modules.load(path, strings.Join(args[1:], " ")); err != nil {
			return err
		}
	}
	return nil
}

// modules are those of a release: depmod's files, see modules.dep(5).
type modules struct {
	dir   string
	paths map[string]string   // by name, relative to dir
	needs map[string][]string // paths by path, nearest first
}

func openModules(dir string) (*modules, error) {
	m := &modules{dir: dir, paths: map[string]string{}, needs: map[string][]string{}}
	return m, m.lines("modules.dep", func(line string) {
		path, needs, _ := strings.Cut(line, ":")
		m.paths[moduleName(path)] = path
		m.needs[path] = strings.Fields(needs)
	})
}

// lines calls f with each line of one of depmod's files.
func (m *modules) lines(file string, f func(string)) error {
	in, err := os.Open(filepath.Join(m.dir, file))
	if err != nil {
		return err
	}
	defer in.Close()
	s := bufio.NewScanner(in)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		f(s.Text())
	}
	return s.Err()
}

// find returns the modules that a name or an alias stands for.
func (m *modules) find(name string) ([]string, error) {
	if path, ok := m.paths[moduleName(name)]; ok {
		return []string{path}, nil
	}
	var found []string
	return found, m.lines("modules.alias", func(line string) {
		f := strings.Fields(line) // alias PATTERN NAME
		if len(f) != 3 || f[0] != "alias" {
			return
		}
		// An alias holds no slash, which * would not match.
		if ok, _ := path.Match(f[1], name); ok {
			found = append(found, m.paths[moduleName(f[2])])
		}
	})
}

// isBuiltin tells whether a name or an alias stands for a part of the kernel
// itself. Files that are missing hold none.
func (m *modules) isBuiltin(name string) (found bool) {
	_ = m.lines("modules.builtin", func(line string) { found = found || moduleName(line) == moduleName(name) })
	info, _ := os.ReadFile(filepath.Join(m.dir, "modules.builtin.modinfo")) // MODULE.KEY=VALUE, each ended by a zero byte
	for entry := range strings.SplitSeq(string(info), "\x00") {
		key, alias, _ := strings.Cut(entry, "=")
		if !found && strings.HasSuffix(key, ".alias") {
			found, _ = path.Match(alias, name)
		}
	}
	return found
}

// load loads a module after those it needs.
func (m *modules) load(path, parameters string) error {
	for i := len(m.needs[path]) - 1; i >= 0; i-- {
		if err := m.insert(m.needs[path][i], ""); err != nil {
			return err
		}
	}
	return m.insert(path, parameters)
}

// sysFinitModule is a system call that package syscall does not name everywhere.
var sysFinitModule = map[string]uintptr{"amd64": 313, "arm64": 273}[runtime.GOARCH]

// insert gives one module's file to the kernel, which must itself know how to
// decompress it.
func (m *modules) insert(path, parameters string) error {
	f, err := os.Open(filepath.Join(m.dir, path))
	if err != nil {
		return err
	}
	defer f.Close()
	flags := uintptr(0)
	if !strings.HasSuffix(path, ".ko") {
		flags = 4 // MODULE_INIT_COMPRESSED_FILE
	}
	params, err := syscall.BytePtrFromString(parameters)
	if err != nil {
		return err
	}
	_, _, errno := syscall.Syscall(sysFinitModule, f.Fd(), uintptr(unsafe.Pointer(params)), flags)
	if errno != 0 && errno != syscall.EEXIST {
		return fmt.Errorf("load %s: %w", path, errno)
	}
	return nil
}

// moduleName is the kernel's name for a module's file, or for what a user calls
// it: 9pnet-virtio.ko.xz is 9pnet_virtio.
func moduleName(path string) string {
	name, _, _ := strings.Cut(filepath.Base(path), ".ko")
	return strings.ReplaceAll(name, "-", "_")
}
