package distro

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/google/renameio/v2"
	"github.com/rogpeppe/go-internal/lockedfile"
)

// root is a private apt root with one suite as its only source: configuration,
// indexes, cache and lock below one directory.
type root struct {
	apt          *Apt
	dir          string
	distribution string
	suite        string
}

// openRoot prepares the private root for the suite, with the indexes in it.
// The caller must call unlock when it no longer needs them unchanged.
func (a *Apt) openRoot(ctx context.Context, distribution, suite string) (r *root, unlock func(), err error) {
	lock, err := a.path("apt", distribution+"-"+suite+"-"+a.arch(), "lock")
	if err != nil {
		return nil, nil, err
	}
	unlock, err = lockedfile.MutexAt(lock).Lock()
	if err != nil {
		return nil, nil, fmt.Errorf("lock apt directory: %w", err)
	}
	r = &root{apt: a, dir: filepath.Dir(lock), distribution: distribution, suite: suite}
	if err := r.refresh(ctx); err != nil {
		unlock()
		return nil, nil, err
	}
	return r, unlock, nil
}

// locked calls f while no other process changes the root.
func (r *root) locked(f func() error) error {
	unlock, err := lockedfile.MutexAt(filepath.Join(r.dir, "lock")).Lock()
	if err != nil {
		return fmt.Errorf("lock apt directory: %w", err)
	}
	defer unlock()
	return f()
}

// refresh writes the configuration and downloads the index where there is none
// or it is old.
func (r *root) refresh(ctx context.Context) error {
	stamp := filepath.Join(r.dir, "updated")
	info, err := os.Stat(stamp)
	have := err == nil
	if have && time.Since(info.ModTime()) < r.apt.maxAge() {
		return nil
	}
	err = r.update(ctx)
	switch {
	case err == nil:
		return renameio.WriteFile(stamp, nil, 0o644)
	case have && ctx.Err() == nil:
		r.apt.warn(fmt.Sprintf("package index of %s is from %s and cannot be refreshed: %v",
			r.suite, info.ModTime().Format("2006-01-02 15:04"), err))
		return nil
	}
	return err
}

func (r *root) update(ctx context.Context) error {
	if err := r.configure(ctx); err != nil {
		return err
	}
	r.apt.progress(Progress{What: "package index of " + r.suite})
	// Without an error mode, apt-get update succeeds when a download fails.
	if err := r.run(ctx, r.dir, nil, "update", "-o", "APT::Update::Error-Mode=any"); err != nil {
		return fmt.Errorf("download package index of %q: %w", r.suite, err)
	}
	return nil
}

// configure writes apt's configuration and the source.
func (r *root) configure(ctx context.Context) error {
	uri, err := r.apt.mirror(ctx, r.distribution, r.suite)
	if err != nil {
		return err
	}
	keyring, err := r.apt.keyring(r.distribution)
	if err != nil {
		return err
	}
	network, err := networkSettings(ctx)
	if err != nil {
		return err
	}
	for _, d := range []string{"state/lists/partial", "cache/archives/partial", "sources"} {
		if err := os.MkdirAll(filepath.Join(r.dir, d), 0o755); err != nil {
			return err
		}
	}
	arch := debArch(r.apt.arch())
	files := map[string]string{
		"status":    "", // no package is installed here
		"apt.conf":  strings.NewReplacer("@DIR@", r.dir, "@ARCH@", arch).Replace(settings) + network,
		sourcesFile: fmt.Sprintf(sources, uri, r.suite, arch, keyring),
	}
	for name, content := range files {
		if err := renameio.WriteFile(filepath.Join(r.dir, name), []byte(content), 0o644); err != nil {
			return err
		}
	}
	return nil
}

const sourcesFile = "sources/vmtest.sources"

const sources = `Types: deb
URIs: %s
Suites: %s
Components: main
Architectures: %s
Targets: Packages
Signed-By: %s
`

// The machine's own configuration files are not read: their hooks (docker's
// images remove apt's archives after an update) would act on the machine.
//
// Expired indexes are accepted. A suite's Valid-Until runs out when its support
// ends, and that is just when a test wants its kernel; the date protects a
// machine from being kept from security updates, while here the version that
// was found is printed and is run in a VM. The signature is always checked.
const settings = `Dir::State "@DIR@/state";
Dir::State::status "@DIR@/status";
Dir::Cache "@DIR@/cache";
Dir::Etc::main "/dev/null";
Dir::Etc::parts "/dev/null";
Dir::Etc::sourcelist "/dev/null";
Dir::Etc::sourceparts "@DIR@/sources";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
APT::Architecture "@ARCH@";
APT::Architectures { "@ARCH@"; };
APT::Install-Recommends "false";
Acquire::Languages "none";
Acquire::Check-Valid-Until "false";
Acquire::Retries "2";
Acquire::http::Timeout "30";
Acquire::https::Timeout "30";
`

// networkSettings are the machine's settings for reaching its mirrors: proxies
// and what concerns HTTP.
func networkSettings(ctx context.Context) (string, error) {
	out, err := output(exec.CommandContext(ctx, "apt-config", "dump"))
	if err != nil {
		return "", fmt.Errorf("read apt configuration: %w", err)
	}
	var keep strings.Builder
	for line := range strings.Lines(string(out)) {
		key, _, _ := strings.Cut(strings.ToLower(line), " ")
		for _, prefix := range []string{"acquire::http", "acquire::https", "acquire::forceipv"} {
			if key == prefix || strings.HasPrefix(key, prefix+"::") || prefix == "acquire::forceipv" && strings.HasPrefix(key, prefix) {
				keep.WriteString(line)
				break
			}
		}
	}
	return keep.String(), nil
}

// run runs apt-get on this root in the directory. What it says about its
// progress goes to status when that is set.
func (r *root) run(ctx context.Context, dir string, status *os.File, args ...string) error {
	cmd := exec.CommandContext(ctx, "apt-get", append([]string{"-q", "-q", "-y"}, args...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "APT_CONFIG="+filepath.Join(r.dir, "apt.conf"), "LC_ALL=C")
	if status != nil {
		cmd.ExtraFiles = []*os.File{status} // descriptor 3
		cmd.Args = append(cmd.Args, "-o", "APT::Status-Fd=3")
	}
	_, err := output(cmd)
	return err
}

// output runs a command of apt's or dpkg's and returns its standard output;
// its error holds what the command complained about.
func output(cmd *exec.Cmd) ([]byte, error) {
	var complaint strings.Builder
	cmd.Stderr = &complaint
	// apt cleans up after an interrupt, and takes its children with it.
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGINT) }
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.Output()
	if err == nil {
		return out, nil
	}
	if errors.Is(err, exec.ErrNotFound) {
		return nil, &hinted{err, fmt.Sprintf("kernels of distributions need %s, which Debian and Ubuntu have; use another kernel reference elsewhere", cmd.Args[0])}
	}
	if said := summary(complaint.String()); said != "" {
		return nil, fmt.Errorf("%s: %s", cmd.Args[0], said)
	}
	return nil, fmt.Errorf("%s: %w", cmd.Args[0], err)
}

// summary is the first errors apt printed, on one line; apt's warnings only
// where it printed no error.
func summary(stderr string) string {
	var errs, rest []string
	for line := range strings.Lines(stderr) {
		line = strings.TrimSpace(line)
		if text, ok := strings.CutPrefix(line, "E: "); ok {
			errs = append(errs, text)
		} else if line != "" {
			rest = append(rest, strings.TrimPrefix(line, "W: "))
		}
	}
	if len(errs) == 0 {
		errs = rest
	}
	return strings.Join(errs[:min(len(errs), 3)], "; ")
}

// debArch is Debian's name of a GOARCH.
func debArch(goarch string) string {
	switch goarch {
	case "386":
		return "i386"
	case "arm":
		return "armhf"
	case "ppc64le":
		return "ppc64el"
	}
	return goarch
}
