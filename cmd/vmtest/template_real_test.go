package main

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bpf-vmtest/bpf-vmtest/initramfs"
	"github.com/bpf-vmtest/bpf-vmtest/internal/artifact"
	"github.com/bpf-vmtest/bpf-vmtest/internal/kernelref"
	"github.com/bpf-vmtest/bpf-vmtest/internal/store"
)

// TestRealTemplates lets go wrong what may, with what is saved and while it is
// being saved. Each row leaves a saved machine that works to the next one.
func TestRealTemplates(t *testing.T) {
	needReal(t)
	t.Parallel()
	m := newSavedMachine(t)
	for _, row := range []struct {
		name  string
		fault func(*savedMachine, *testing.T)
		check func(*savedMachine, *testing.T)
	}{
		{"killed while it saves, and two at once", (*savedMachine).kill, (*savedMachine).checkTwo},
		{"memory truncated", truncated("ram"), (*savedMachine).checkAnew},
		{"state truncated", truncated("state"), (*savedMachine).checkAnew},
		{"console truncated", truncated("console"), (*savedMachine).checkAnew},
		{"record truncated", truncated("template.json"), (*savedMachine).checkAnew},
		{"QEMU replaced", (*savedMachine).replaceQEMU, (*savedMachine).checkAnew},
		{"kernel replaced", (*savedMachine).replaceKernel, (*savedMachine).checkAnew},
		{"disk full", (*savedMachine).fillDisk, (*savedMachine).checkUnsaved},
	} {
		done := t.Run(row.name, func(t *testing.T) {
			row.fault(m, t)
			row.check(m, t)
			m.checkLeft(t)
		})
		if !done {
			return // the next would have nothing to begin with
		}
	}
}

// A savedMachine is a kernel and a QEMU that stay where they are, whatever they
// are, and the templates of their machines.
type savedMachine struct {
	*realVmtest
	dir       string // of all of them
	templates string
	release   string // of the kernel
	last      origin // of the machine that is saved now, if there is one
}

func newSavedMachine(t *testing.T) *savedMachine {
	t.Helper()
	m := &savedMachine{realVmtest: newReal(t), dir: t.TempDir()}
	m.templates = filepath.Join(m.dir, "saved")
	qemu, err := m.lookPath("qemu-system-x86_64")
	if err != nil {
		t.Fatal(err)
	}
	err = copyFile(m.qemu(), qemu)
	for _, dir := range []string{"lib", "share"} { // QEMU looks for its own files beside itself
		err = errors.Join(err, os.Symlink(filepath.Join("/usr", dir), filepath.Join(m.dir, dir)))
	}
	if err != nil {
		t.Fatal(err)
	}
	m.pack(t, realNew)
	return m
}

func (m *savedMachine) qemu() string { return filepath.Join(m.dir, "bin", "qemu-system-x86_64") }

// lookPath finds a program in the PATH of vmtest, which has no fake ones.
func (r *realVmtest) lookPath(name string) (string, error) {
	cmd := exec.Command("sh", "-c", "command -v "+name)
	cmd.Env = r.env
	out, err := cmd.Output()
	return strings.TrimSpace(string(out)), err
}

// pack makes the kernel, and what its machines need of its modules, the one that
// the reference of all runs names.
func (m *savedMachine) pack(t *testing.T, name string) {
	t.Helper()
	ref, err := kernelref.Parse(name, "")
	if err != nil {
		t.Fatal(err)
	}
	k, err := (&store.Store{Dir: m.cache}).Resolve(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	modules := filepath.Join(t.TempDir(), "lib/modules", k.Release)
	all, err := initramfs.BootModules(k.Modules)
	if err != nil {
		t.Fatal(err)
	}
	files := []string{"modules.dep", "modules.builtin"}
	for _, module := range all {
		rel, err := filepath.Rel(k.Modules, module.Path)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, rel)
	}
	for _, file := range files {
		if err := copyFile(filepath.Join(modules, file), filepath.Join(k.Modules, file)); err != nil {
			t.Fatal(err)
		}
	}
	parts := artifact.Parts{Release: k.Release, Arch: k.Arch, Kernel: k.Image, Modules: modules}
	if _, err := artifact.Pack(t.Context(), parts, filepath.Join(m.dir, "kernels"), "6.x"); err != nil {
		t.Fatal(err)
	}
	m.release = k.Release
}

// exec is a run that says where its machine comes from.
func (m *savedMachine) exec(t *testing.T) *exec.Cmd {
	return m.command(t.Context(), m.dir, []string{"VMTEST_TEMPLATES=" + m.templates}, "exec",
		"-kernel", "oci:kernels:6.x", "-qemu", m.qemu(), "-cpus", "1", "-memory", "512", "--", "sh", "-c", originScript)
}

// An origin is what the kernel chose at random while it booted: where it and a
// module lie in memory. Machines have it in common if they come from one boot.
type origin string

// originScript prints a machine's own identity, its kernel and its origin.
const originScript = `cat /proc/sys/kernel/random/boot_id
uname -r
grep -m1 ' _text$' /proc/kallsyms
grep ^overlay /proc/modules`

// saw reads what a machine has said: it must have been the right kernel, and a
// machine that no other run has had.
func (m *savedMachine) saw(t *testing.T, run vmtestRun) origin {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(run.stdout), "\n")
	if run.code != 0 || len(run.left) > 0 || len(lines) != 4 || lines[1] != m.release {
		t.Fatalf("exit code %d, want 0, a machine of Linux %s, and nothing left but %v:\n%s%s", run.code, m.release, run.left, run.stdout, run.stderr)
	}
	text, _, _ := strings.Cut(lines[2], " ")
	module := strings.Fields(lines[3])
	return origin(text + " " + module[len(module)-1])
}

// checkAnew: the machine has booted, and the next one starts from it.
func (m *savedMachine) checkAnew(t *testing.T) {
	run := finish(t, m.exec(t))
	run.left = m.left()
	made := m.saw(t, run)
	if made == m.last || strings.Contains(run.stderr, ", warm") || strings.Contains(run.stderr, "without") {
		t.Errorf("it has not been booted and saved anew: %s, before %s\n%s", made, m.last, run.stderr)
	}
	m.last = made
	m.checkWarm(t)
}

// checkWarm: a machine starts from the one that is saved.
func (m *savedMachine) checkWarm(t *testing.T) {
	t.Helper()
	run := finish(t, m.exec(t))
	run.left = m.left()
	if from := m.saw(t, run); from != m.last || !strings.Contains(run.stderr, ", warm") {
		t.Errorf("it does not come from the saved machine: %s, want %s\n%s", from, m.last, run.stderr)
	}
}

// checkTwo: of two runs one saves, and both use it.
func (m *savedMachine) checkTwo(t *testing.T) {
	var runs [2]vmtestRun
	var group sync.WaitGroup
	for i := range runs {
		group.Go(func() { runs[i] = finish(t, m.exec(t)) })
	}
	group.Wait()
	waited := 0
	for _, run := range runs {
		from := m.saw(t, run)
		if m.last == "" {
			m.last = from
		}
		if from != m.last || strings.Contains(run.stderr, "without") {
			t.Errorf("it does not come from the saved machine: %s, want %s\n%s", from, m.last, run.stderr)
		}
		waited += strings.Count(run.stderr, "oci:kernels:6.x: waiting for another process that boots this machine\n")
	}
	if waited != 1 {
		t.Errorf("%d runs have waited for the other", waited)
	}
	m.checkWarm(t)
}

// checkUnsaved: the machine runs all the same, and that it could not be saved is
// said.
func (m *savedMachine) checkUnsaved(t *testing.T) {
	run := finish(t, m.exec(t))
	run.left = m.left()
	if from := m.saw(t, run); from == m.last || strings.Contains(run.stderr, ", warm") {
		t.Errorf("it has not been booted: %s\n%s", from, run.stderr)
	}
	run.want(t, 0, "vmtest: oci:kernels:6.x: start it from a template: "+m.templates+"/templates is full: ", "; booting it without\n")
	if left := m.files(t); len(left) > 0 {
		t.Errorf("%v are left", left)
	}
}

// checkLeft: of each saved machine all files are there, and nothing else.
func (m *savedMachine) checkLeft(t *testing.T) {
	want := []string{"console", "ram", "state", "template.json"}
	for dir, files := range m.files(t) {
		slices.Sort(files)
		if !slices.Equal(files, want) {
			t.Errorf("%s holds %v, want %v", dir, files, want)
		}
	}
}

// files are the names of the files of each template, and of what else is there.
func (m *savedMachine) files(t *testing.T) map[string][]string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(m.templates, "templates", "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]string{}
	for _, path := range found {
		dir := filepath.Base(filepath.Dir(path))
		files[dir] = append(files[dir], filepath.Base(path))
	}
	return files
}

// kill kills a run when it has begun to write the state of the devices. What is
// left is half a template.
func (m *savedMachine) kill(t *testing.T) {
	for range 3 {
		var stderr syncBuffer
		cmd := m.exec(t)
		cmd.Stderr = &stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		for saving := false; !saving && len(ended) == 0; time.Sleep(time.Millisecond) {
			left, _ := filepath.Glob(filepath.Join(m.templates, "templates", "*.new-*", "state"))
			saving = len(left) > 0
		}
		_ = cmd.Process.Kill()
		<-ended
		whole, _ := filepath.Glob(filepath.Join(m.templates, "templates", "*", "template.json"))
		half, _ := filepath.Glob(filepath.Join(m.templates, "templates", "*.new-*", "ram"))
		if len(half) == 1 && len(whole) == 0 {
			return
		}
		t.Logf("too late: %v\n%s", half, stderr.String())
		if err := os.RemoveAll(m.templates); err != nil {
			t.Fatal(err)
		}
	}
	t.Fatal("no run could be killed while it saved")
}

// truncated takes the last byte of a file of every template.
func truncated(name string) func(*savedMachine, *testing.T) {
	return func(m *savedMachine, t *testing.T) {
		files, _ := filepath.Glob(filepath.Join(m.templates, "templates", "*", name))
		if len(files) == 0 {
			t.Fatalf("no template has a %s", name)
		}
		for _, file := range files {
			info, err := os.Stat(file)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Truncate(file, info.Size()-1); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// replaceQEMU puts another program at QEMU's path, with the old one's size and
// time: it differs in the last byte, which nobody reads.
func (m *savedMachine) replaceQEMU(t *testing.T) {
	info, err := os.Stat(m.qemu())
	if err != nil {
		t.Fatal(err)
	}
	another := m.qemu() + ".new"
	if err := copyFile(another, m.qemu()); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(another, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	last := make([]byte, 1)
	_, err = f.ReadAt(last, info.Size()-1)
	if err == nil {
		_, err = f.WriteAt([]byte{^last[0]}, info.Size()-1)
	}
	if err = errors.Join(err, f.Close(), os.Chtimes(another, info.ModTime(), info.ModTime()), os.Rename(another, m.qemu())); err != nil {
		t.Fatal(err)
	}
}

func (m *savedMachine) replaceKernel(t *testing.T) { m.pack(t, realOld) }

// fillDisk saves where there is less room than a kernel needs to boot. There is
// no other template there.
func (m *savedMachine) fillDisk(t *testing.T) {
	small := t.TempDir()
	if err := unix.Mount("tmpfs", small, "tmpfs", 0, "size=32m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(small, unix.MNT_DETACH) })
	m.templates = small
}

// copyFile copies a file with its mode, and makes directories for it.
func copyFile(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, info.Mode())
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
