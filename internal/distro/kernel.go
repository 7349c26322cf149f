package distro

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"github.com/bpf-vmtest/bpf-vmtest/internal/cache"
)

// A Kernel is a distribution's kernel, unpacked.
type Kernel struct {
	Package        // the one that holds the image; its Path is empty
	Release string // what uname -r prints: 6.12.107+deb13-amd64
	// Dir is a root directory with the files of all the kernel's packages
	// at their places, and with modules.dep, which is otherwise made when
	// the packages are installed.
	Dir string
	// Fresh says that it was not there before.
	Fresh bool
}

// Kernel finds the newest kernel that matches, of the flavour made for virtual
// machines, and unpacks it, from the cache where possible. The query's Package
// is not used.
func (a *Apt) Kernel(ctx context.Context, q Query) (*Kernel, error) {
	k, f, err := a.findKernel(ctx, q, func(entry) bool { return true })
	if err != nil {
		return nil, err
	}
	return k, a.unpack(ctx, f, k)
}

// FindKernel finds the newest kernel that matches, as Kernel does, and does not
// unpack it: its Dir is empty.
func (a *Apt) FindKernel(ctx context.Context, q Query) (*Kernel, error) {
	k, _, err := a.findKernel(ctx, q, func(entry) bool { return true })
	if err != nil {
		return nil, err
	}
	k.Dir = ""
	return k, nil
}

// PinnedKernel unpacks the kernel of exactly this package, of which all fields
// but Size and Path must be set. The mirror is asked only for what is not in
// the cache. The error is a *GoneError if it no longer has the package.
func (a *Apt) PinnedKernel(ctx context.Context, distribution string, p Package) (*Kernel, error) {
	flavour, err := a.flavour(distribution)
	if err != nil {
		return nil, err
	}
	k := &Kernel{Package: p, Release: flavour.release(p.Name)}
	if k.Dir, err = a.path("kernels", p.SHA256); err != nil {
		return nil, err
	}
	if err := cache.Hold(k.Dir); err != nil {
		return nil, err
	}
	if _, err := os.Stat(k.Dir); err == nil {
		return k, nil
	}
	q := Query{Distribution: distribution, Suite: p.Suite}
	same := func(e entry) bool { return e.name == p.Name && e.version == p.Version && e.sha256 == p.SHA256 }
	k, f, err := a.findKernel(ctx, q, same)
	var missing *NotFoundError
	if errors.As(err, &missing) {
		// Somebody with a newer index may have pinned it.
		fresh := *a
		fresh.MaxAge = time.Nanosecond
		k, f, err = fresh.findKernel(ctx, q, same)
	}
	if errors.As(err, &missing) {
		return nil, &GoneError{Package: p}
	}
	if err != nil {
		return nil, err
	}
	return k, a.unpack(ctx, f, k)
}

// findKernel finds the newest kernel that matches and whose image is a wanted
// package.
func (a *Apt) findKernel(ctx context.Context, q Query, want func(image entry) bool) (*Kernel, *found, error) {
	flavour, err := a.flavour(q.Distribution)
	if err != nil {
		return nil, nil, err
	}
	q.Package = ""
	f, err := a.find(ctx, q, flavour.chooser(want))
	if err != nil {
		return nil, nil, err
	}
	image := f.entries[0]
	k := &Kernel{
		Package: Package{Name: image.name, Version: image.version, Suite: f.root.suite, SHA256: image.sha256, Size: image.size},
		Release: flavour.release(image.name),
	}
	// The image's SHA-256 stands for all the packages: they are built from
	// one source and depend on each other's exact version.
	k.Dir, err = a.path("kernels", image.sha256)
	return k, f, err
}

// unpack fills the kernel's directory, unless it is there.
func (a *Apt) unpack(ctx context.Context, f *found, k *Kernel) error {
	if err := a.tryUnpack(ctx, f, k); err != nil {
		return fmt.Errorf("unpack package %q %s: %w", k.Name, k.Version, err)
	}
	return nil
}

func (a *Apt) tryUnpack(ctx context.Context, f *found, k *Kernel) error {
	if err := cache.Hold(k.Dir); err != nil {
		return err
	}
	waiting := func() { a.progress(Progress{What: k.Release + " in another process"}) }
	unlock, err := cache.Lock(ctx, k.Dir+".lock", waiting)
	if err != nil {
		return err
	}
	defer unlock()
	if _, err := os.Stat(k.Dir); err == nil {
		return nil
	}
	tmp := k.Dir + ".tmp"
	if err := os.RemoveAll(tmp); err != nil { // what a killed run left
		return err
	}
	defer os.RemoveAll(tmp)
	for _, dir := range []string{"debs", "root"} {
		if err := os.MkdirAll(filepath.Join(tmp, dir), 0o755); err != nil {
			return err
		}
	}
	tree := filepath.Join(tmp, "root")
	for _, e := range f.entries {
		deb := filepath.Join(tmp, "debs", e.name+".deb")
		if err := a.downloadTo(ctx, f.root, e, deb); err != nil {
			return err
		}
		if err := dpkgDeb(ctx, deb, tree); err != nil {
			return err
		}
	}
	if err := depmodAll(ctx, tree); err != nil {
		return err
	}
	k.Fresh = true
	return os.Rename(tree, k.Dir)
}

// abi is what a release has between the version's first two numbers and the
// flavour: .0-56, .107+deb13, -rc7, but no other flavour's name (-rt, -cloud).
const abi = `[0-9a-z.+~]*(?:-(?:rc)?[0-9][0-9a-z.+~]*)*`

// flavour recognises the packages of one kernel flavour.
type flavour struct {
	packages *regexp.Regexp
	// needs are the parts a kernel has beside the package with its image,
	// by that package's part.
	needs map[string][]string
}

// The flavours that have the virtio and 9p drivers. Debian's cloud flavour,
// though made for virtual machines, has no 9p.
func (a *Apt) flavour(distribution string) (flavour, error) {
	arch := debArch(a.arch())
	suffix := map[string]string{
		"debian/amd64": "amd64",
		"debian/arm64": "arm64",
		"ubuntu/amd64": "generic", // what linux-image-virtual depends on
		"ubuntu/arm64": "generic",
	}[distribution+"/"+arch]
	if suffix == "" {
		return flavour{}, fmt.Errorf("find kernel of %q: it has none for virtual machines on %s", distribution, a.arch())
	}
	f := flavour{
		// A kernel not signed for secure boot is called unsigned, before
		// or after its release.
		packages: regexp.MustCompile(`^linux-(image|binary|modules|base)-(unsigned-)?(\d+\.\d+` + abi + `-` +
			regexp.QuoteMeta(suffix) + `)(-unsigned)?$`),
		// Since 6.19, Debian has linux-binary and its linux-image is empty.
		needs: map[string][]string{"image": nil, "binary": {"modules", "base"}},
	}
	if distribution == "ubuntu" {
		f.needs = map[string][]string{"image": {"modules"}}
	}
	return f, nil
}

// parse splits a package's name; ok is false for other packages.
func (f flavour) parse(name string) (part, release string, unsigned, ok bool) {
	m := f.packages.FindStringSubmatch(name)
	if m == nil {
		return "", "", false, false
	}
	return m[1], m[3], m[2]+m[4] != "", true
}

// release is the kernel release in a package's name.
func (f flavour) release(name string) string {
	_, release, _, _ := f.parse(name)
	return release
}

// chooser chooses the packages of the newest complete kernel whose image is
// wanted, the one with the image first.
func (f flavour) chooser(want func(image entry) bool) chooser {
	match := func(name string) bool { _, _, _, ok := f.parse(name); return ok }
	return chooser{match, func(entries []entry) []entry {
		// Newest first already; of the same kernel, the signed one.
		slices.SortStableFunc(entries, func(x, y entry) int {
			return cmp.Or(compareVersions(y.version, x.version), f.unsignedLast(x, y))
		})
		for _, image := range entries {
			if !want(image) {
				continue
			}
			if kernel := f.complete(image, entries); kernel != nil {
				return kernel
			}
		}
		return nil
	}}
}

func (f flavour) unsignedLast(x, y entry) int {
	rank := map[bool]int{true: 1}
	_, _, ux, _ := f.parse(x.name)
	_, _, uy, _ := f.parse(y.name)
	return rank[ux] - rank[uy]
}

// A package smaller than this holds no image and only depends on others:
// Debian's have 2 kB, an image megabytes.
const emptyPackage = 1 << 20

// complete gathers the packages of the image's kernel. It is nil if the entry
// holds no image or a part is missing, as with old kernels in Debian's
// backports, of which only the signed image stays.
func (f flavour) complete(image entry, entries []entry) []entry {
	part, release, _, _ := f.parse(image.name)
	needs, ok := f.needs[part]
	if !ok || image.size < emptyPackage {
		return nil
	}
	kernel := []entry{image}
	for _, need := range needs {
		i := slices.IndexFunc(entries, func(e entry) bool {
			p, r, _, _ := f.parse(e.name)
			return p == need && r == release && e.version == image.version
		})
		if i < 0 {
			return nil
		}
		kernel = append(kernel, entries[i])
	}
	return kernel
}
