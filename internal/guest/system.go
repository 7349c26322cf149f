package guest

import (
	"bufio"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/bpf-vmtest/bpf-vmtest/initramfs/wire"
)

// AddSystem adds the host's programs and libraries, so that dynamically linked
// tests and tools such as ip and tc work: /usr, what the root has beside it,
// and the dynamic linker's directories. Of /etc only what the linker and the C
// library's name services need comes along, none of it private.
func (l *Layout) AddSystem() {
	l.Shares = append(l.Shares, Share{Path: "/usr"})
	for _, dir := range []string{"/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"} {
		l.addRootDir(dir)
	}
	for _, dir := range linkerDirs("/etc/ld.so.conf") {
		if isDir(dir) {
			l.Shares = append(l.Shares, Share{Path: dir})
		}
	}
	l.addLinks("/etc/alternatives") // awk, pager, cc on Debian are links into it
	for _, file := range []string{
		"/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/protocols", "/etc/services", "/etc/localtime",
	} {
		if b, err := os.ReadFile(file); err == nil {
			l.Files = append(l.Files, wire.Write{Path: file, Mode: 0o644, Data: b})
		}
	}
}

// AddModprobe gives a guest without the host's programs the one that the kernel
// itself calls, to load modules: init is that as well, under its name.
func (l *Layout) AddModprobe() {
	l.Links = append(l.Links, wire.Symlink{Path: "/sbin/modprobe", Target: "/proc/1/exe"})
}

// AddToolbox gives a guest of another architecture u-root's shell in the place
// of the host's, and the C library that this machine's cross compiler links
// against, where it has one. The archive with /bbin in it is the caller's.
func (l *Layout) AddToolbox(arch string) {
	l.Links = append(l.Links, wire.Symlink{Path: "/bin/sh", Target: "/bbin/sh"})
	dir := map[string]string{"amd64": "/usr/x86_64-linux-gnu/lib", "arm64": "/usr/aarch64-linux-gnu/lib"}[arch]
	if !isDir(dir) {
		return
	}
	l.Shares = append(l.Shares, Share{Path: dir, Target: "/lib"})
	if arch == "amd64" { // its programs name the dynamic linker there
		l.Links = append(l.Links, wire.Symlink{Path: "/lib64", Target: "lib"})
	}
}

// addRootDir adds /bin and its like: a link into /usr today, a directory on
// older hosts.
func (l *Layout) addRootDir(dir string) {
	if target, err := os.Readlink(dir); err == nil {
		l.Links = append(l.Links, wire.Symlink{Path: dir, Target: target})
	} else if isDir(dir) {
		l.Shares = append(l.Shares, Share{Path: dir})
	}
}

// addLinks adds the symbolic links in a directory, of which a share would take
// longer to be mounted.
func (l *Layout) addLinks(dir string) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if target, err := os.Readlink(path); err == nil {
			l.Links = append(l.Links, wire.Symlink{Path: path, Target: target})
		}
	}
}

// AddIdentity adds the files that say who and where the guest is.
func (l *Layout) AddIdentity() {
	text := func(path, data string) wire.Write {
		return wire.Write{Path: path, Mode: 0o644, Data: []byte(data)}
	}
	l.Files = append(l.Files,
		text("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"),
		text("/etc/group", "root:x:0:\ntty:x:5:\nnogroup:x:65534:\n"),
		text("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n"),
		text("/etc/resolv.conf", "# no network\n"),
	)
	l.Own = append(l.Own,
		text("/etc/hostname", l.Hostname+"\n"),
		text("/etc/hosts", "127.0.0.1 localhost "+l.Hostname+"\n::1 localhost\n"),
	)
	l.Links = append(l.Links, wire.Symlink{Path: "/etc/mtab", Target: "/proc/self/mounts"})
}

// linkerDirs reads ld.so.conf and the files it includes.
func linkerDirs(conf string) []string {
	seen := map[string]bool{}
	var read func(file string, depth int)
	read = func(file string, depth int) {
		f, err := os.Open(file)
		if err != nil || depth > 4 { // an include of itself
			return
		}
		defer f.Close()
		for lines := bufio.NewScanner(f); lines.Scan(); {
			line, _, _ := strings.Cut(lines.Text(), "#")
			line = strings.TrimSpace(line)
			if pattern, ok := strings.CutPrefix(line, "include "); ok {
				pattern = strings.TrimSpace(pattern)
				if !filepath.IsAbs(pattern) {
					pattern = filepath.Join(filepath.Dir(file), pattern)
				}
				files, _ := filepath.Glob(pattern)
				for _, f := range files {
					read(f, depth+1)
				}
			} else if filepath.IsAbs(line) {
				seen[line] = true
			}
		}
	}
	read(conf, 0)
	var dirs []string
	for dir := range seen {
		// Through /lib -> usr/lib most are part of /usr.
		if real, err := filepath.EvalSymlinks(dir); err == nil {
			dirs = append(dirs, real)
		}
	}
	sort.Strings(dirs)
	return dirs
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// Path is the PATH of commands in a guest: the toolchain's directory first, the
// u-root toolbox last.
func Path(goroot string) string {
	path := "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/bbin"
	if goroot != "" {
		path = filepath.Join(goroot, "bin") + ":" + path
	}
	return path
}
