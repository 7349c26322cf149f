// Package builder turns a kernel's source into a kernel for tests: a
// configuration made of fragments and checked, a compiled image, its BTF and
// its modules, kept in a cache by the content of everything that went into it.
package builder

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"

	"github.com/bpf-vmtest/bpf-vmtest/builder/patch"
	"github.com/bpf-vmtest/bpf-vmtest/internal/cache"
	"github.com/bpf-vmtest/bpf-vmtest/internal/kver"
	"github.com/bpf-vmtest/bpf-vmtest/kconfig"
)

// Options say what to build. Source and Dir must be set.
type Options struct {
	// Source is where the kernel's source comes from.
	Source Source
	// Dir is the cache: sources, ccache's objects and finished kernels.
	Dir string
	// Arch is the kernel's GOARCH, by default this machine's.
	Arch string
	// Flavour is one of [kconfig.Flavours]; empty is the default flavour.
	Flavour string
	// Fragments are merged on top of the embedded ones and the flavour's.
	Fragments []*kconfig.Fragment
	// Patches are applied to a copy of the source, in this order. One that is
	// in the source already is passed over.
	Patches []patch.Patch
	// Needs are the versions of tools that will do.
	Needs Needs
	// Jobs is how many compilers run at once, by default one per CPU.
	Jobs int
	// Progress, when set, is called from one goroutine at a time.
	Progress func(Progress)
	// Notice, when set, is called with what a person should know about a
	// build that goes on.
	Notice func(string)
	// Log, when set, receives everything make and its tools print.
	Log io.Writer
}

// Progress is how far a build has come.
type Progress struct {
	Phase string // such as "unpack source" or "compile"
	// Done and Total count the phase's units: bytes of a download, objects
	// of a compilation. Total is 0 where it is unknown; for objects it is an
	// estimate, and Done may pass it.
	Done, Total int64
	Unit        string // "bytes", "objects" or empty
}

// Result is a finished kernel. All paths are absolute, in the cache, and must
// not be written to.
type Result struct {
	Version kver.Version // of the source
	Release string       // what uname -r will print
	Arch    string       // GOARCH

	Dir        string // holds all files below
	Image      string // bzImage on amd64, Image on arm64
	Vmlinux    string // ELF without debug information, with the PVH note and BTF
	Config     string // .config
	SystemMap  string
	BTF        string // detached, as /sys/kernel/btf/vmlinux is; empty where the configuration has none
	ModulesDir string // lib/modules/<release>, with modules.dep in it
	// DebugDir is a directory for gdb: vmlinux with its debug information,
	// vmlinux-gdb.py beside it, and what that loads. It is empty unless the
	// configuration has GDB_SCRIPTS, as the flavour debug has.
	DebugDir string
	Log      string // what make and its tools printed

	BuildInfo BuildInfo
	Cached    bool // found finished in the cache
}

// BuildInfo is everything a kernel was made from. It names no place on the
// machine that built it.
type BuildInfo struct {
	Source       string   `json:"source"`             // for people: linux-source-6.12 6.12.95-1~bpo12+1
	SourceDigest string   `json:"sourceDigest"`       // sha256:…, or git-tree:… for a commit
	Revision     string   `json:"revision,omitempty"` // the commit, if the source came out of git
	ConfigDigest string   `json:"configDigest"`       // sha256:… of .config
	Flavour      string   `json:"flavour,omitempty"`
	Fragments    []string `json:"fragments"`         // names, in the order they were merged
	Patches      []string `json:"patches,omitempty"` // those applied: name@sha256:…
	Compiler     string   `json:"compiler"`          // first line of its --version
	Linker       string   `json:"linker"`
	Pahole       string   `json:"pahole"`
	Objects      int64    `json:"objects"` // files compiled
}

// Build makes the kernel, or finds it in the cache. A build that ctx ends
// takes make and all compilers with it and leaves nothing but ccache's
// objects.
//
// Errors that a user can do something about: [*MissingToolsError],
// [*ToolVersionError], [*MakeError], [*BTFError], and those of packages kconfig
// and patch.
func Build(ctx context.Context, o Options) (*Result, error) {
	b, err := prepare(ctx, o)
	if err != nil {
		return nil, err
	}
	defer b.close()
	if r, err := b.load(); err == nil {
		return r, nil
	}
	if err := b.configure(ctx); err != nil {
		return nil, err
	}
	if err := b.compile(ctx); err != nil {
		return nil, err
	}
	return b.store(ctx)
}

// Configure stops before compiling: it gives the .config that [Build] would
// use, merged and checked.
func Configure(ctx context.Context, o Options) ([]byte, error) {
	b, err := prepare(ctx, o)
	if err != nil {
		return nil, err
	}
	defer b.close()
	if err := b.configure(ctx); err != nil {
		return nil, err
	}
	config, err := os.ReadFile(filepath.Join(b.out, ".config"))
	if err != nil {
		return nil, err
	}
	return config, os.Remove(b.logPath())
}

// A build is the state of one call of Build.
type build struct {
	Options
	makeArch  string
	tools     toolchain
	tree      *tree
	staged    *patch.Staged
	version   kver.Version
	selection *kconfig.Selection
	fragments []string // names
	config    kconfig.Config
	key       string // identifies everything that goes into the kernel
	out       string // where make writes (its O=)
	log       *os.File
	objects   int64 // compiled so far
	release   string
	// testModule is the directory of the test module that was built, or "".
	testModule string
	cleanup    []func()
}

// prepare finds everything that goes into a kernel and, from that, its key.
func prepare(ctx context.Context, o Options) (_ *build, err error) {
	if o.Source == nil || o.Dir == "" {
		return nil, fmt.Errorf("build kernel: no source or no cache directory given")
	}
	o.Arch = cmp.Or(o.Arch, runtime.GOARCH)
	o.Jobs = cmp.Or(o.Jobs, runtime.NumCPU())
	if err = os.MkdirAll(o.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("make cache: %w", err)
	}
	if o.Dir, err = realPath(o.Dir); err != nil {
		return nil, err
	}
	if o.Progress == nil {
		o.Progress = func(Progress) {}
	}
	if o.Notice == nil {
		o.Notice = func(string) {}
	}
	if o.Log == nil {
		o.Log = io.Discard
	}
	b := &build{Options: o}
	defer func() {
		if err != nil {
			b.close()
		}
	}()
	if b.makeArch, err = kconfig.MakeArch(o.Arch); err != nil {
		return nil, err
	}
	frags, err := b.mergeOrder()
	if err != nil {
		return nil, err
	}
	if b.tools, err = findTools(ctx, o.Arch); err != nil {
		return nil, err
	}
	if b.tree, err = o.Source.open(ctx, o); err != nil {
		return nil, err
	}
	b.cleanup = append(b.cleanup, b.tree.close)
	if err = b.stagePatches(ctx); err != nil {
		return nil, err
	}
	if err = b.readVersion(); err != nil {
		return nil, err
	}
	if err = b.findPahole(ctx); err != nil {
		return nil, err
	}
	if b.selection, err = kconfig.Select(b.version, o.Arch, frags...); err != nil {
		return nil, err
	}
	b.key = b.describe().key()
	return b, cache.Hold(b.resultDir())
}

// realPath is an absolute path without links, as compilers see their own
// working directory: flags that hide it must name it so.
func realPath(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(path)
}

// mergeOrder lists the fragments in the order in which they are merged, and
// keeps their names: of the user's without the directory.
func (b *build) mergeOrder() ([]*kconfig.Fragment, error) {
	all, err := kconfig.Embedded(b.Arch)
	if err != nil {
		return nil, err
	}
	flavour, err := kconfig.Flavour(b.Flavour, b.Arch)
	if err != nil {
		return nil, err
	}
	all = append(all, flavour...)
	for _, f := range all {
		b.fragments = append(b.fragments, f.Name)
	}
	for _, f := range b.Fragments {
		b.fragments = append(b.fragments, filepath.Base(f.Name))
	}
	return append(all, b.Fragments...), nil
}

// has reports whether the configuration has the symbol on.
func (b *build) has(symbol string) bool { return b.config.Get(symbol) == "y" }

func (b *build) close() {
	for i := len(b.cleanup) - 1; i >= 0; i-- {
		b.cleanup[i]()
	}
	b.cleanup = nil
}

func (b *build) phase(name string) { b.Progress(Progress{Phase: name}) }
