package runner

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"go/version"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bpf-vmtest/bpf-vmtest/internal/bundle"
	"github.com/bpf-vmtest/bpf-vmtest/internal/guest"
	"github.com/bpf-vmtest/bpf-vmtest/internal/result"
)

// kept is what a package leaves in the bundle.
type kept struct {
	began     map[string]int64         // the console's size when a test began
	output    map[string]*bytes.Buffer // of tests under way, and of the package
	artifacts []artifactDir
	failed    []*failedTest // in the order of their ends
	settling  sync.WaitGroup
	collected guest.Collected // of what the tests wrote
	cores     guest.Collected
	left      int   // files that stay in the guest
	err       error // of writing
}

// A failedTest has what it printed, and what the console got from one size to
// another.
type failedTest struct {
	name        string
	output      *bytes.Buffer
	from, until int64
}

// An artifactDir is one that testing has made for a test. In its place the bundle
// has one with the test's name. Both are relative to the package's artifacts.
type artifactDir struct{ test, guest, local string }

// settle is for what the kernel printed before a test ended: it comes on a line
// of its own, which another goroutine reads.
const settle = 200 * time.Millisecond

// guestArtifacts is VMTEST_ARTIFACTS in the guest.
func (p builtPackage) guestArtifacts() string {
	return "/run/vmtest/artifacts/" + filepath.Dir(p.binary)
}

// artifactDir is where testing's own artifacts go, which Go has since 1.26.
func (pr *packageRun) artifactDir() string {
	if version.Compare(pr.space.Go.GOVERSION, "go1.26") < 0 {
		return ""
	}
	return pr.pkg.guestArtifacts()
}

// bundleDir is the package's directory in the bundle. It is made when there is
// something to keep. Each attempt has its own, and each test that has a machine
// of its own.
func (pr *packageRun) bundleDir() string {
	name := pr.pkg.dir
	if pr.attempt > 1 {
		name = fmt.Sprintf("%s-attempt%d", name, pr.attempt)
	}
	if pr.task.whole.parts > 1 {
		name += "-" + bundle.FileName(pr.task.only[0])
	}
	return filepath.Join(pr.kernelRun.dir, name)
}

// begins remembers what the kernel had printed before a test.
func (pr *packageRun) begins(test string) {
	if pr.kept.began == nil {
		pr.kept.began = map[string]int64{}
	}
	pr.kept.began[test] = pr.log.Size()
}

// printed takes what a test prints, for it may fail.
func (pr *packageRun) printed(e result.Event) {
	if pr.kept.output == nil {
		pr.kept.output = map[string]*bytes.Buffer{}
	}
	b := pr.kept.output[e.Test]
	if b == nil {
		b = new(bytes.Buffer)
		pr.kept.output[e.Test] = b
	}
	b.WriteString(e.Output)
}

// forget drops what a test has printed that did not fail.
func (pr *packageRun) forget(test string) { delete(pr.kept.output, test) }

// fails is called before a test's failure is reported, when it has printed all
// that it prints. With -count there may be several.
func (pr *packageRun) fails(test string) {
	f := &failedTest{name: test, output: pr.kept.output[test], from: pr.kept.began[test]}
	pr.forget(test)
	pr.kept.failed = append(pr.kept.failed, f)
	pr.kept.settling.Go(func() {
		time.Sleep(settle)
		f.until = pr.log.Size()
	})
}

// goArtifacts is testing's own directory in the one it is given.
const goArtifacts = "_artifacts"

// artifactsAt takes the directory of the guest that testing has made for a test,
// and returns where it will be on the host. With -count a test has several.
func (pr *packageRun) artifactsAt(test, path string) string {
	_, below, _ := strings.Cut(path, "/"+goArtifacts+"/")
	made, ok := guest.LocalName(filepath.Join(goArtifacts, below))
	if !ok || made == goArtifacts {
		return path
	}
	local, n := filepath.Join(goArtifacts, bundle.FileName(test)), 1
	for _, a := range pr.kept.artifacts {
		if a.test == test {
			n++
		}
	}
	if n > 1 {
		local = fmt.Sprintf("%s.%d", local, n)
	}
	pr.kept.artifacts = append(pr.kept.artifacts, artifactDir{test, made, local})
	return filepath.Join(pr.bundleDir(), bundle.Artifacts, local)
}

// rename gives the tests' own directories in dir their names, unless a test has
// taken the name itself.
func (pr *packageRun) rename(dir string, c *guest.Collected) error {
	for _, a := range pr.kept.artifacts {
		from, to := filepath.Join(dir, a.guest), filepath.Join(dir, a.local)
		if info, err := os.Lstat(from); err != nil || !info.IsDir() {
			continue // it has no files
		}
		if _, err := os.Lstat(to); err == nil {
			continue
		}
		if err := os.Rename(from, to); err != nil {
			return err
		}
		for i, name := range c.Files {
			if below, ok := strings.CutPrefix(name, a.guest+"/"); ok {
				c.Files[i] = filepath.Join(a.local, below)
			}
		}
	}
	return nil
}

// collect brings back what the tests wrote, if the guest still answers: runErr
// is why it may not.
func (pr *packageRun) collect(ctx context.Context, runErr error) error {
	var timeout *timeoutError
	if errors.As(runErr, &timeout) || pastDeadline(runErr) { // the binary may hang in the kernel; init may not
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(context.WithoutCancel(ctx), pr.slowed(pr.grace()), errors.New("no answer"))
		defer cancel()
	} else if runErr != nil {
		return nil
	}
	pr.keeping.Lock()
	defer pr.keeping.Unlock()
	written, err := pr.take(ctx, pr.pkg.guestArtifacts(), bundle.Artifacts, pr.rename)
	pr.kept.collected = written
	if err != nil {
		return err
	}
	if pr.kept.cores, err = pr.take(ctx, guestCores, bundle.Cores, pr.addProgram); err != nil {
		return err
	}
	return nil
}

// take copies a directory of the guest's into the package's, as far as the
// kernel's limits go. What came is finished before it is put there.
func (pr *packageRun) take(ctx context.Context, from, name string, finish func(dir string, c *guest.Collected) error) (guest.Collected, error) {
	k := pr.kernelRun
	dir := filepath.Join(pr.bundleDir(), name)
	c, err := pr.guest.Collect(ctx, from, dir+".partial", guest.Limits{
		// 0 would be no bound. One byte and one file more do no harm.
		Bytes: max(1, k.Artifacts.Bytes-k.collected.Bytes),
		Files: max(1, k.Artifacts.Files-k.collected.Files),
	})
	k.collected.Bytes += c.Bytes
	k.collected.Files += len(c.Files)
	var remote *guest.RemoteError
	if errors.As(err, &remote) { // a test may have removed the directory
		c.Left, err = append(c.Left, remote.Error()), nil
	}
	if len(c.Files) > 0 {
		err = errors.Join(err, finish(dir+".partial", &c), os.Rename(dir+".partial", dir))
	}
	return c, err
}

// guestCores is where the guest's kernel writes core dumps.
const guestCores = "/run/vmtest/cores"

// addProgram puts the test binary beside core dumps, for they are read with it.
func (pr *packageRun) addProgram(dir string, c *guest.Collected) (err error) {
	from, err := os.Open(filepath.Join(pr.bins, pr.pkg.binary))
	if err != nil {
		return err
	}
	defer from.Close()
	name := filepath.Base(pr.pkg.binary)
	to, err := os.OpenFile(filepath.Join(dir, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	if errors.Is(err, os.ErrExist) { // dumps have other names: it is a test's own
		return nil
	}
	if err != nil {
		return err
	}
	c.Files = append(c.Files, name)
	_, err = io.Copy(to, from)
	return errors.Join(err, to.Close())
}

// keep puts into the bundle what the package leaves, and says so in the stream.
// It comes before the package's end there.
func (pr *packageRun) keep(end result.Action) {
	if end == result.Fail {
		pr.trouble.Store(true)
	}
	pr.kept.settling.Wait()
	for _, f := range pr.kept.failed {
		files, err := pr.keepTest(f)
		pr.kept.err = errors.Join(pr.kept.err, err)
		if len(files) > 0 {
			pr.emit(result.Event{Action: result.Files, Test: f.name, Path: pr.bundleDir(), Files: files})
		}
	}
	e := result.Event{Action: result.Files, Path: pr.bundleDir()}
	if out := pr.kept.output[""]; end == result.Fail && said(out) {
		pr.kept.err = errors.Join(pr.kept.err, writeFile(filepath.Join(pr.bundleDir(), bundle.Output), out.Bytes()))
		e.Files = append(e.Files, bundle.Output)
	}
	pr.kept.told(&e, bundle.Artifacts, pr.kept.collected)
	pr.kept.told(&e, bundle.Cores, pr.kept.cores)
	if e.Reason != "" {
		e.Hint = fmt.Sprintf("regular files are kept, at most %d bytes and %d of them on a kernel; -artifacts-limit sets the bytes", pr.Artifacts.Bytes, pr.Artifacts.Files)
	}
	if len(e.Files) > 0 || e.Reason != "" {
		pr.emit(e)
	}
}

// told adds to the event what was collected, and what was not.
func (k *kept) told(e *result.Event, dir string, c guest.Collected) {
	for _, name := range c.Files {
		e.Files = append(e.Files, filepath.Join(dir, name))
	}
	if n := len(c.Left) + c.More; n > 0 {
		k.left += n
		e.Reason = fmt.Sprintf("%d of its files were left in the guest", k.left)
		e.Lines = append(e.Lines, c.Left...)
	}
	if c.More > 0 {
		e.Lines = append(e.Lines, fmt.Sprintf("… and %d more", c.More))
	}
}

// keepTest writes what a failed test and the kernel printed, and returns the
// files there are about it.
func (pr *packageRun) keepTest(f *failedTest) (files []string, err error) {
	dmesg, err := section(pr.own, f.from, f.until)
	if err != nil {
		return nil, err
	}
	if said(f.output) || len(dmesg) > 0 {
		dir, err := bundle.Mkdir(pr.bundleDir(), f.name)
		if err != nil {
			return nil, err
		}
		add := func(name string, b []byte) {
			if len(b) > 0 {
				err = errors.Join(err, writeFile(filepath.Join(dir, name), b))
				files = append(files, filepath.Join(filepath.Base(dir), name))
			}
		}
		if said(f.output) {
			add(bundle.Output, f.output.Bytes())
		}
		add(bundle.Dmesg, dmesg)
		if err != nil {
			return files, err
		}
	}
	return append(files, pr.writtenBy(f.name)...), nil
}

// writtenBy are the files in directories of a test's name.
func (pr *packageRun) writtenBy(test string) (files []string) {
	var dirs []string
	if own, ok := guest.LocalName(test); ok {
		dirs = append(dirs, own)
	}
	for _, a := range pr.kept.artifacts {
		if a.test == test {
			dirs = append(dirs, a.local)
		}
	}
	for _, name := range pr.kept.collected.Files {
		if slices.ContainsFunc(dirs, func(dir string) bool { return strings.HasPrefix(name, dir+"/") }) {
			files = append(files, filepath.Join(bundle.Artifacts, name))
		}
	}
	return files
}

// said reports whether there is more in the output of a test than that it ran
// and failed.
func said(out *bytes.Buffer) bool {
	if out == nil {
		return false
	}
	for line := range bytes.Lines(out.Bytes()) {
		line = bytes.TrimLeft(line, " ")
		if !bytes.HasPrefix(line, []byte("=== ")) && !bytes.HasPrefix(line, []byte("--- ")) && !isVerdict(line) {
			return true
		}
	}
	return false
}

// isVerdict reports whether a line says of a package only what its end says, too.
func isVerdict(line []byte) bool {
	return bytes.Equal(line, []byte("PASS\n")) || bytes.Equal(line, []byte("FAIL\n")) || bytes.HasPrefix(line, []byte("coverage: "))
}

// lineBefore is how far back a line may have begun.
const lineBefore = 1 << 10

// section is what a console's file got from one size to another, and the
// beginning of its first line.
func section(file string, from, until int64) ([]byte, error) {
	if until <= from {
		return nil, nil
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	before := min(from, lineBefore)
	b, err := io.ReadAll(io.NewSectionReader(f, from-before, before+until-from))
	if int64(len(b)) < before { // it ends before
		return nil, err
	}
	b = b[bytes.LastIndexByte(b[:before], '\n')+1:]
	return bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n")), err
}

func writeFile(path string, b []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, b, 0o644)
}
