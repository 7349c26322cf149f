package guest

import (
	"fmt"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"syscall"

	"github.com/bpf-vmtest/bpf-vmtest/initramfs/wire"
	"github.com/bpf-vmtest/bpf-vmtest/internal/machine"
)

// A Layout is what a guest sees: its file systems and what of the host is in
// them. docs/guest.md describes the result for users.
type Layout struct {
	Hostname string
	// Shares are the host's directories to be seen in the guest, at their
	// own paths unless they say otherwise. A share below another one is
	// part of that.
	Shares []Share
	// Masks are files below shares that the guest sees otherwise than they
	// are on the host.
	Masks []Mask
	// Dirs exist in the guest, empty unless a share fills them.
	Dirs []string
	// Files are small files to be created, also over shares. Own are those
	// that no other machine has alike.
	Files, Own []wire.Write
	// Links are symbolic links to be created.
	Links []wire.Symlink
	// Modules is the host's directory of the kernel's modules, or empty.
	Modules string
	// Config is the kernel's .config, for /boot/config-RELEASE, where
	// programs look that find no /proc/config.gz; or empty.
	Config []byte
	// Cores is the directory for core dumps, or empty: then there are none.
	Cores string
}

// coreLimit bounds a core dump, in bytes. A program in Go dumps all that it has
// ever used of its heap; half a gigabyte is a quarter of a guest's memory.
const coreLimit = 512 << 20

// A Share is a directory of the host, exported read-only. The guest has a
// tmpfs overlaid on it, so that tests may write and nothing leaves the guest.
type Share struct {
	Path   string // on the host, absolute
	Target string // in the guest; empty for the same path
}

// A Mask is a file of the host and what a guest sees in its place.
type Mask struct {
	Path string // on the host, absolute
	Data []byte
}

func (s Share) target() string {
	if s.Target == "" {
		return s.Path
	}
	return s.Target
}

// shares returns the layout's shares in the order of mounting: parents first,
// and none that another already holds.
func (l Layout) shares() []Share {
	all := append([]Share(nil), l.Shares...)
	sort.SliceStable(all, func(i, j int) bool { return all[i].target() < all[j].target() })
	var kept []Share
	for _, s := range all {
		if !covered(s, kept) {
			kept = append(kept, s)
		}
	}
	return kept
}

func covered(s Share, by []Share) bool {
	// The nearest share above decides what is seen at the target.
	for i := len(by) - 1; i >= 0; i-- {
		rel, ok := below(s.target(), by[i].target())
		if ok {
			return filepath.Join(by[i].Path, rel) == s.Path
		}
	}
	return false
}

// below returns path relative to dir, if it is dir or below it.
func below(path, dir string) (string, bool) {
	rel, err := filepath.Rel(dir, path)
	if err != nil || rel == ".." || strings.HasPrefix(rel, "../") {
		return "", false
	}
	return rel, true
}

// tag names a share by its place alone: in the devices of a machine that is
// restored the tags are those of the one that was saved.
func tag(n int) string { return fmt.Sprintf("share%d", n) }

// machineShares are the layout's shares, and the modules after them.
func (l Layout) machineShares() []machine.Share {
	var shares []machine.Share
	for i, s := range l.shares() {
		shares = append(shares, machine.Share{Tag: tag(i), Path: s.Path})
	}
	if l.Modules != "" {
		shares = append(shares, machine.Share{Tag: tag(len(shares)), Path: l.Modules})
	}
	return shares
}

// Exports is how many directories a machine exports for the layout.
func (l Layout) Exports() int { return len(l.machineShares()) }

// Prepared is the work for the guest's init that neither needs the host's
// directories nor is any machine's own. The release is part of some names.
func (l Layout) Prepared(release string) []wire.Step {
	var b steps
	b.pseudoFileSystems()
	b.mount("tmpfs", overlayDir, "tmpfs", 0, "mode=700")
	b.create(l.apart(true), release)
	return b
}

// Bare is the layout without the host's directories and what is any machine's
// own. What is to be prepared for it is the same.
func (l Layout) Bare() Layout {
	bare := l.apart(true)
	bare.Hostname, bare.Dirs, bare.Cores = l.Hostname, l.Dirs, l.Cores
	return bare
}

// apart has the files and links of the layout that have nothing to do with any
// share, neither in it nor on the way to it, or the others. It has nothing else.
func (l Layout) apart(yes bool) Layout {
	targets := l.shares()
	want := func(path string) bool {
		return yes != slices.ContainsFunc(targets, func(s Share) bool {
			_, in := below(path, s.target())
			_, onTheWay := below(s.target(), path)
			return in || onTheWay
		})
	}
	var kept Layout
	for _, f := range l.Files {
		if want(f.Path) {
			kept.Files = append(kept.Files, f)
		}
	}
	for _, s := range l.Links {
		if want(s.Path) {
			kept.Links = append(kept.Links, s)
		}
	}
	if want(bootDir) {
		kept.Config = l.Config
	}
	return kept
}

const bootDir = "/boot"

// create makes the layout's links and files.
func (b *steps) create(l Layout, release string) {
	for _, s := range l.Links {
		b.add(wire.Step{Symlink: &s})
	}
	for _, f := range l.Files {
		b.add(wire.Step{Write: &f})
	}
	if len(l.Config) > 0 {
		b.add(wire.Step{Write: &wire.Write{Path: bootDir + "/config-" + release, Mode: 0o644, Data: l.Config}})
	}
}

// steps is the rest of the work. The release names the directory of the
// modules.
func (l Layout) steps(release string) []wire.Step {
	var b steps
	shares := l.shares()
	modules := l.modulesDir(release)
	for i, s := range shares {
		within := ""
		if rel, ok := below(modules, s.target()); ok && l.Modules != "" {
			within = rel
		}
		b.share(tag(i), s.target(), within)
	}
	b.create(l.apart(false), release)
	for _, dir := range l.Dirs {
		if dir != "/" {
			b.add(wire.Step{Mkdir: &wire.Mkdir{Path: dir}})
		}
	}
	if l.Cores != "" { // tests may give up being root
		b.mkdir(l.Cores, 0o1777)
	}
	if l.Modules != "" { // after the links: /lib is one on most hosts
		b.share(tag(len(shares)), modules, "")
	}
	for _, f := range l.Own {
		b.add(wire.Step{Write: &f})
	}
	return b
}

// modulesDir is where programs look for the kernel's modules, which on most hosts
// is below /usr.
func (l Layout) modulesDir(release string) string {
	lib := "/lib"
	for _, s := range l.Links {
		if s.Path == lib && !filepath.IsAbs(s.Target) {
			lib = "/" + s.Target
		}
	}
	return filepath.Join(lib, "modules", release)
}

type steps []wire.Step

func (b *steps) add(s wire.Step) { *b = append(*b, s) }

func (b *steps) mkdir(path string, mode uint32) {
	b.add(wire.Step{Mkdir: &wire.Mkdir{Path: path, Mode: mode}})
}

func (b *steps) mount(source, target, fs string, flags uintptr, data string) {
	b.add(wire.Step{Mount: &wire.Mount{Source: source, Target: target, Type: fs, Flags: flags, Data: data}})
}

// optional mounts what not every kernel has.
func (b *steps) optional(fs, target string, data string) {
	b.mount(fs, target, fs, syscall.MS_NOSUID|syscall.MS_NODEV|syscall.MS_NOEXEC, data)
	(*b)[len(*b)-1].Optional = true
}

func (b *steps) pseudoFileSystems() {
	b.mount("devpts", "/dev/pts", "devpts", syscall.MS_NOSUID|syscall.MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620,gid=5")
	(*b)[len(*b)-1].Optional = true
	b.mount("tmpfs", "/dev/shm", "tmpfs", syscall.MS_NOSUID|syscall.MS_NODEV, "mode=1777")
	b.optional("mqueue", "/dev/mqueue", "")
	b.optional("cgroup2", "/sys/fs/cgroup", "")
	b.optional("bpf", "/sys/fs/bpf", "mode=0700")
	b.optional("tracefs", "/sys/kernel/tracing", "")
	b.optional("debugfs", "/sys/kernel/debug", "")
	b.optional("securityfs", "/sys/kernel/security", "")
	b.mount("tmpfs", "/tmp", "tmpfs", syscall.MS_NOSUID|syscall.MS_NODEV, "mode=1777")
	b.mount("tmpfs", "/run", "tmpfs", syscall.MS_NOSUID|syscall.MS_NODEV, "mode=755")
	b.mkdir("/root", 0o700)
	b.mkdir("/var/tmp", 0o1777)
	for _, s := range []wire.Symlink{
		{Path: "/dev/fd", Target: "/proc/self/fd"},
		{Path: "/dev/stdin", Target: "fd/0"},
		{Path: "/dev/stdout", Target: "fd/1"},
		{Path: "/dev/stderr", Target: "fd/2"},
	} {
		b.add(wire.Step{Symlink: &s})
	}
}

const (
	overlayDir = "/run/vmtest/overlay"
	sharesDir  = "/run/vmtest/shares"
	// cache=loose is three times faster than none on a tree of small files
	// and safe because nothing can be written. A msize of 512000 is the most
	// that virtio's 128 descriptors take.
	ninePOptions = "trans=virtio,version=9p2000.L,cache=loose,msize=512000"
)

// share mounts one of QEMU's exports and a tmpfs over it. The directory within is
// there afterwards, at no cost: made later, overlayfs would copy all above it.
func (b *steps) share(tag, target, within string) {
	lower, upper, work := sharesDir+"/"+tag, overlayDir+"/"+tag+"/upper", overlayDir+"/"+tag+"/work"
	b.mount(tag, lower, "9p", syscall.MS_RDONLY, ninePOptions)
	b.mkdir(upper, 0o755)
	if within != "" {
		b.mkdir(upper+"/"+within, 0o755)
	}
	b.mkdir(work, 0o755)
	b.mount("overlay", target, "overlay", 0, "lowerdir="+lower+",upperdir="+upper+",workdir="+work)
}
