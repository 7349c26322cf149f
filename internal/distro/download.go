package distro

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/lockedfile"

	"github.com/bpf-vmtest/bpf-vmtest/internal/cache"
)

// download brings the package into the cache, unless it is there.
func (a *Apt) download(ctx context.Context, r *root, e entry) (*Package, error) {
	p := &Package{Name: e.name, Version: e.version, Suite: r.suite, SHA256: e.sha256, Size: e.size}
	dir, err := a.path("debs", e.sha256)
	if err != nil {
		return nil, err
	}
	if err := cache.Hold(dir); err != nil {
		return nil, err
	}
	// The name is for people; the directory is what identifies the file.
	if p.Path, err = a.path("debs", e.sha256, e.name+".deb"); err != nil {
		return nil, err
	}
	unlock, err := lockedfile.MutexAt(filepath.Join(filepath.Dir(p.Path), "lock")).Lock()
	if err != nil {
		return nil, fmt.Errorf("lock package cache: %w", err)
	}
	defer unlock()
	if _, err := os.Stat(p.Path); err == nil {
		return p, nil
	}
	if err := a.downloadTo(ctx, r, e, p.Path); err != nil {
		return nil, fmt.Errorf("download package %q %s: %w", e.name, e.version, err)
	}
	return p, nil
}

func (a *Apt) downloadTo(ctx context.Context, r *root, e entry, path string) error {
	tmp := filepath.Join(filepath.Dir(path), "download")
	if err := os.RemoveAll(tmp); err != nil { // what a killed run left
		return err
	}
	if err := os.Mkdir(tmp, 0o755); err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	status, done, err := a.followStatus(e)
	if err != nil {
		return err
	}
	err = r.locked(func() error { return r.run(ctx, tmp, status, "download", e.name+"="+e.version) })
	status.Close()
	<-done
	if err != nil {
		return err
	}
	debs, err := filepath.Glob(filepath.Join(tmp, "*.deb"))
	if err != nil || len(debs) != 1 {
		return fmt.Errorf("apt left %d packages instead of one", len(debs))
	}
	// apt has checked the file against its index; this checks that it is
	// the package we chose, since two suites may hold one version twice.
	got, err := cache.Digest(debs[0])
	if err != nil {
		return err
	}
	if got != e.sha256 {
		return fmt.Errorf("its SHA-256 is %s, the index says %s", got, e.sha256)
	}
	return os.Rename(debs[0], path)
}

// followStatus returns the end of a pipe for apt's status lines, which become
// progress reports; done is closed once the other end has been closed.
func (a *Apt) followStatus(e entry) (w *os.File, done chan struct{}, err error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	done = make(chan struct{})
	go func() {
		defer close(done)
		defer r.Close()
		for lines := bufio.NewScanner(r); lines.Scan(); {
			// dlstatus:1:42.4242:Retrieving file 1 of 1 (3s remaining)
			f := strings.SplitN(lines.Text(), ":", 4)
			if len(f) < 3 || f[0] != "dlstatus" {
				continue
			}
			if percent, err := strconv.ParseFloat(f[2], 64); err == nil {
				a.progress(Progress{What: e.name + " " + e.version, Done: int64(percent / 100 * float64(e.size)), Total: e.size})
			}
		}
	}()
	return w, done, nil
}
