package builder

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/bpf-vmtest/bpf-vmtest/internal/kver"
)

const hostArch = runtime.GOARCH

// Whatever form the same source comes in, the tree is the same, and unpacked
// only once.
func TestSources(t *testing.T) {
	for _, tool := range []string{"tar", "git"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("needs %s", tool)
		}
	}
	dir := t.TempDir()
	src := filepath.Join(dir, "linux-6.12")
	write(t, filepath.Join(src, "Makefile"), "VERSION = 6\nPATCHLEVEL = 12\n")
	sh(t, dir, "tar", "czf", "linux.tar.gz", "linux-6.12")
	sh(t, src, "git", "init", "-q")
	sh(t, src, "git", "add", "Makefile")
	sh(t, src, "git", "-c", "user.name=t", "-c", "user.email=t@t", "commit", "-q", "-m", "t")
	write(t, filepath.Join(src, "untracked"), "")
	cache := t.TempDir()
	for name, s := range map[string]Source{"tarball": Tarball{filepath.Join(dir, "linux.tar.gz")}, "git": Git{Dir: src}} {
		t.Run(name, func(t *testing.T) {
			var phases []string
			o := Options{Dir: cache, Progress: func(p Progress) { phases = append(phases, p.Phase) }}
			for range 2 {
				tree, err := s.open(context.Background(), o)
				if err != nil {
					t.Fatal(err)
				}
				tree.close()
				if v, err := os.ReadDir(tree.dir); err != nil || len(v) != 1 || v[0].Name() != "Makefile" {
					t.Errorf("the tree holds %v, %v", v, err)
				}
			}
			if len(phases) != 1 {
				t.Errorf("phases = %q, want one unpacking", phases)
			}
		})
	}
	for name, s := range map[string]Source{"no tarball": Tarball{filepath.Join(dir, "none.tar")}, "no tar": Tarball{filepath.Join(src, "Makefile")},
		"no commit": Git{Dir: src, Rev: "none"}, "an option": Git{Dir: src, Rev: "--all"}, "no directory": Directory{filepath.Join(dir, "none")}} {
		if tree, err := s.open(context.Background(), Options{Dir: cache, Progress: func(Progress) {}}); err == nil {
			t.Errorf("%s: opened %+v", name, tree)
		}
	}
	leftovers(t, cache)
}

func sh(t *testing.T, dir string, args ...string) {
	t.Helper()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", args, err, out)
	}
}

// What a killed run left half unpacked must not be taken for a source.
func TestUnpackAfterKill(t *testing.T) {
	cache := t.TempDir()
	write(t, filepath.Join(cache, "sources/sha256-00.tmp/half"), "")
	a := archive{name: "n", digest: "sha256:00", extract: func(_ context.Context, dir string) error {
		return os.Mkdir(dir, 0o755)
	}}
	tree, err := unpack(context.Background(), Options{Dir: cache, Progress: func(Progress) {}}, a)
	if err != nil {
		t.Fatal(err)
	}
	defer tree.close()
	if entries, err := os.ReadDir(tree.dir); err != nil || len(entries) > 0 {
		t.Errorf("the tree holds %v, %v", entries, err)
	}
	// Nobody else gets at it, and waiting for it can be ended.
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	if _, err := unpack(ctx, Options{Dir: cache, Progress: func(Progress) {}}, a); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("second unpack = %v, want it to wait", err)
	}
}

func TestHashTree(t *testing.T) {
	hash := func(dir string) string {
		t.Helper()
		h, err := hashTree(context.Background(), dir)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	dir := t.TempDir()
	seen := []string{hash(dir)}
	for _, change := range []func() error{
		func() error { return os.WriteFile(filepath.Join(dir, "a"), nil, 0o644) },
		func() error { return os.WriteFile(filepath.Join(dir, "a"), []byte("x"), 0o644) },
		func() error { return os.Chmod(filepath.Join(dir, "a"), 0o755) },
		func() error { return os.Rename(filepath.Join(dir, "a"), filepath.Join(dir, "b")) },
		func() error { return os.Symlink("b", filepath.Join(dir, "c")) },
	} {
		if err := change(); err != nil {
			t.Fatal(err)
		}
		h := hash(dir)
		if slices.Contains(seen, h) {
			t.Errorf("change %d is not in the digest", len(seen))
		}
		seen = append(seen, h)
	}
	write(t, filepath.Join(dir, ".git/HEAD"), "")
	if hash(dir) != seen[len(seen)-1] {
		t.Error("git's own files are in the digest")
	}
}

func TestMissingTools(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := findTools(context.Background(), hostArch)
	var missing *MissingToolsError
	if !errors.As(err, &missing) {
		t.Fatalf("findTools without any = %v", err)
	}
	for _, tool := range []string{"make", "flex", "pahole", "gelf.h"} {
		if !slices.Contains(missing.Tools, tool) {
			t.Errorf("%v does not name %s", err, tool)
		}
	}
	if !strings.Contains(missing.Hint(), "vmtest setup -for build") || !strings.Contains(missing.Hint(), "libelf-dev") {
		t.Errorf("hint = %q", missing.Hint())
	}
}

// Ending the context must end what the command started, too.
func TestRunGroup(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	pidfile := filepath.Join(t.TempDir(), "pid")
	go func() {
		for range 100 {
			if data, _ := os.ReadFile(pidfile); len(data) > 0 {
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
		cancel()
	}()
	cmd := exec.CommandContext(ctx, "sh", "-c", `trap "" TERM; sh -c 'echo $$ > '"$1"'; trap "" TERM; sleep 100 & wait; sleep 100'`, "sh", pidfile)
	if err := runGroup(cmd); err == nil {
		t.Error("runGroup = nil, want an error")
	}
	for range 100 {
		if !groupRuns(t, cmd.Process.Pid) {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Error("processes of the group are still there")
}

// groupRuns says whether a process group has a process that is not a zombie;
// whether those are ever reaped depends on the machine's init.
func groupRuns(t *testing.T, pgid int) bool {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range stats {
		data, err := os.ReadFile(path)
		if err != nil {
			continue // gone
		}
		// After the name in parentheses: state, parent, group.
		f := strings.Fields(string(data[strings.LastIndexByte(string(data), ')')+1:]))
		if f[2] == strconv.Itoa(pgid) && f[0] != "Z" {
			return true
		}
	}
	return false
}

func TestErrorLines(t *testing.T) {
	var l errorLines
	readLines(strings.NewReader("  CC      lib/error.o\n"+strings.Repeat("x", 10000)+"\na.c:1: error: bad\nmake: *** [x] Error 1\nlast"), l.add)
	if got := strings.Join(l.lines(), "|"); got != "a.c:1: error: bad|make: *** [x] Error 1" {
		t.Errorf("lines = %q", got)
	}
	l = errorLines{}
	readLines(strings.NewReader("one\ntwo"), l.add)
	if got := strings.Join(l.lines(), "|"); got != "one|two" {
		t.Errorf("lines = %q", got)
	}
}

func TestPaholeWrapper(t *testing.T) {
	bin := t.TempDir()
	write(t, filepath.Join(bin, "pahole"), "#!/bin/sh\nif [ \"$1\" = --help ]; then echo ' --skip_encoding_btf_enum64'; else echo \"$@\"; fi\n")
	if err := os.Chmod(filepath.Join(bin, "pahole"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ version, flags, args, want string }{
		{"5.10", "", "-J -j vmlinux", "--skip_encoding_btf_enum64 -J vmlinux"},
		{"5.10", "--skip_encoding_btf_enum64", "-J vmlinux", "-J vmlinux"},
		{"6.1", "", "-J -j2 --btf_gen_floats vmlinux", "-J --btf_gen_floats vmlinux"},
		{"6.12", "", "-J -j2 --btf_features=+reproducible_build vmlinux", "-J -j2 --btf_features=+reproducible_build vmlinux"},
		{"5.10", "", "--version", "--version"},
	} {
		v, err := kver.Parse(c.version)
		if err != nil {
			t.Fatal(err)
		}
		src := t.TempDir()
		write(t, filepath.Join(src, "scripts/pahole-flags.sh"), c.flags)
		b := &build{version: v, tree: &tree{dir: src}, out: t.TempDir(), tools: toolchain{paholePath: filepath.Join(bin, "pahole")}}
		if err := b.writePaholeWrapper(); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(filepath.Join(b.out, paholeWrapper), strings.Fields(c.args)...).Output()
		if err != nil || strings.TrimSpace(string(out)) != c.want {
			t.Errorf("%s: pahole %s became %q, %v, want %q", c.version, c.args, out, err, c.want)
		}
	}
}
