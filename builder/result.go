package builder

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/bpf-vmtest/bpf-vmtest/internal/cache"
	"github.com/bpf-vmtest/bpf-vmtest/internal/kver"
)

// A finished kernel is a directory DIR/builds/<key> with these names in it.
// It is renamed into place whole, so that one that is there is complete.
const (
	vmlinuxName   = "vmlinux"
	configName    = "config"
	systemMapName = "System.map"
	btfName       = "vmlinux.btf"
	debugName     = "debug"
	logName       = "build.log"
	recordName    = "build.json"
)

// A record is what build.json holds.
type record struct {
	Version   string    `json:"version"`
	Release   string    `json:"release"`
	Arch      string    `json:"arch"`
	BuildInfo BuildInfo `json:"build"`
	// What not every configuration gives.
	BTF   bool `json:"btf"`
	Debug bool `json:"debug,omitempty"`
}

func (b *build) resultsDir() string { return filepath.Join(b.Dir, "builds") }
func (b *build) resultDir() string  { return filepath.Join(b.resultsDir(), b.key) }

// logPath is where the log is while the build runs, and stays when it fails.
func (b *build) logPath() string { return b.resultDir() + ".log" }

// load gives the finished kernel of the build's key.
func (b *build) load() (*Result, error) {
	r, err := load(b.resultDir())
	if err != nil {
		return nil, err
	}
	r.Cached = true
	// The kernel is the same whatever its ingredients are called.
	r.BuildInfo.Source, r.BuildInfo.Revision, r.BuildInfo.Flavour = b.tree.name, b.tree.revision, b.Flavour
	r.BuildInfo.Fragments, r.BuildInfo.Patches = b.fragments, b.staged.Names()
	return r, nil
}

func load(dir string) (*Result, error) {
	data, err := os.ReadFile(filepath.Join(dir, recordName))
	if err != nil {
		return nil, fmt.Errorf("read finished kernel: %w", err)
	}
	var rec record
	if err := json.Unmarshal(data, &rec); err != nil {
		return nil, fmt.Errorf("read finished kernel %q: %w", dir, err)
	}
	r := &Result{
		Release:    rec.Release,
		Arch:       rec.Arch,
		Dir:        dir,
		Image:      filepath.Join(dir, imageTargets[rec.Arch].target),
		Vmlinux:    filepath.Join(dir, vmlinuxName),
		Config:     filepath.Join(dir, configName),
		SystemMap:  filepath.Join(dir, systemMapName),
		ModulesDir: filepath.Join(dir, "lib/modules", rec.Release),
		Log:        filepath.Join(dir, logName),
		BuildInfo:  rec.BuildInfo,
	}
	if r.Version, err = kver.Parse(rec.Version); err != nil {
		return nil, fmt.Errorf("read finished kernel %q: %w", dir, err)
	}
	paths := []string{r.Image, r.Vmlinux, r.Config, r.SystemMap, r.ModulesDir}
	if rec.BTF {
		r.BTF = filepath.Join(dir, btfName)
		paths = append(paths, r.BTF)
	}
	if rec.Debug {
		r.DebugDir = filepath.Join(dir, debugName)
		paths = append(paths, filepath.Join(r.DebugDir, vmlinuxName))
	}
	for _, path := range paths {
		if _, err := os.Stat(path); err != nil {
			return nil, fmt.Errorf("read finished kernel %q: %w", dir, err)
		}
	}
	return r, nil
}

// results lists the finished kernels in the cache, the newest first.
func (b *build) results() []*Result {
	records, _ := filepath.Glob(filepath.Join(b.resultsDir(), "*", recordName)) // the pattern is well formed
	modified := func(path string) time.Time {
		info, err := os.Stat(path)
		if err != nil {
			return time.Time{}
		}
		return info.ModTime()
	}
	slices.SortFunc(records, func(x, y string) int { return modified(y).Compare(modified(x)) })
	var list []*Result
	for _, path := range records {
		if r, err := load(filepath.Dir(path)); err == nil {
			list = append(list, r)
		}
	}
	return list
}

// store puts what make built into the cache.
func (b *build) store(ctx context.Context) (*Result, error) {
	b.phase("store")
	tmp, err := os.MkdirTemp(b.resultsDir(), b.key+".tmp-")
	if err != nil {
		return nil, fmt.Errorf("store kernel: %w", err)
	}
	defer os.RemoveAll(tmp)
	if err := b.collect(ctx, tmp); err != nil {
		return nil, err
	}
	if err := os.Chmod(tmp, 0o755); err != nil {
		return nil, fmt.Errorf("store kernel: %w", err)
	}
	dir := b.resultDir()
	err = os.Rename(tmp, dir)
	if errors.Is(err, fs.ErrExist) {
		// An unusable one, or another process was faster: either way ours
		// is as good as any.
		if err = os.RemoveAll(dir); err == nil {
			err = os.Rename(tmp, dir)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("store kernel: %w", err)
	}
	os.Remove(b.logPath()) // collect has copied it
	return load(dir)
}

// collect fills dir with everything a finished kernel has.
func (b *build) collect(ctx context.Context, dir string) error {
	vmlinux := filepath.Join(dir, vmlinuxName)
	// Of what is not loaded nothing is needed to boot; notes and BTF are loaded.
	strip := exec.CommandContext(ctx, b.tools.prefix+"strip", "--strip-all", "-o", vmlinux, filepath.Join(b.out, "vmlinux"))
	if err := run(strip); err != nil {
		return err
	}
	if err := b.collectBTF(vmlinux, dir); err != nil {
		return err
	}
	if err := b.collectDebug(dir); err != nil {
		return err
	}
	image := imageTargets[b.Arch]
	for from, to := range map[string]string{image.path: image.target, ".config": configName, "System.map": systemMapName} {
		if err := copyFile(filepath.Join(b.out, from), filepath.Join(dir, to)); err != nil {
			return err
		}
	}
	if err := b.installModules(ctx, dir); err != nil {
		return err
	}
	if err := copyFile(b.logPath(), filepath.Join(dir, logName)); err != nil {
		return err
	}
	return b.writeRecord(dir)
}

func (b *build) installModules(ctx context.Context, dir string) error {
	install := []string{"INSTALL_MOD_PATH=" + dir, "INSTALL_MOD_STRIP=1", "modules_install"}
	if err := b.make(ctx, nil, install...); err != nil {
		return err
	}
	if b.testModule != "" {
		if err := b.make(ctx, nil, append([]string{"M=" + b.testModule}, install...)...); err != nil {
			return err
		}
	}
	modules := filepath.Join(dir, "lib/modules", b.release)
	for _, link := range []string{"build", "source"} { // into directories that will be gone
		if err := os.RemoveAll(filepath.Join(modules, link)); err != nil {
			return err
		}
	}
	return nil
}

func (b *build) writeRecord(dir string) error {
	configDigest, err := cache.Digest(filepath.Join(dir, configName))
	if err != nil {
		return err
	}
	rec := record{Version: b.version.String(), Release: b.release, Arch: b.Arch, BTF: b.has(btfSymbol), Debug: b.has(gdbSymbol), BuildInfo: BuildInfo{
		Source:       b.tree.name,
		SourceDigest: b.tree.digest,
		Revision:     b.tree.revision,
		ConfigDigest: "sha256:" + configDigest,
		Flavour:      b.Flavour,
		Fragments:    b.fragments,
		Patches:      b.staged.Names(),
		Compiler:     b.tools.compiler,
		Linker:       b.tools.linker,
		Pahole:       b.tools.pahole,
		Objects:      b.objects,
	}}
	data, err := json.MarshalIndent(rec, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, recordName), append(data, '\n'), 0o644)
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		return errors.Join(err, out.Close())
	}
	return out.Close()
}
