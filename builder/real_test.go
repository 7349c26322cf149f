package builder

import (
	"cmp"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bpf-vmtest/bpf-vmtest/builder/patch"
	"github.com/bpf-vmtest/bpf-vmtest/internal/kver"
	"github.com/bpf-vmtest/bpf-vmtest/kconfig"
)

// cacheDir is the program's own cache, so that a test finds it warm and
// leaves it warm.
func cacheDir(t *testing.T) string {
	t.Helper()
	if os.Getenv("VMTEST_TESTS") != "all" {
		t.Skip("needs a Debian mirror, a compiler and up to an hour: set VMTEST_TESTS=all")
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "bpf-vmtest")
}

// series lists the kernels to try, from an environment variable.
func series(t *testing.T, variable, preset string) []kver.Version {
	t.Helper()
	var list []kver.Version
	for _, s := range strings.Fields(cmp.Or(os.Getenv(variable), preset)) {
		v, err := kver.Parse(s)
		if err != nil {
			t.Fatalf("%s: %v", variable, err)
		}
		list = append(list, v)
	}
	return list
}

// reporter logs each phase once, with the last of its numbers.
func reporter(t *testing.T) func(Progress) {
	var last Progress
	start := time.Now()
	return func(p Progress) {
		if p.Phase != last.Phase && last.Phase != "" {
			t.Logf("%s: %s, %d of %d %s", time.Since(start).Round(time.Millisecond), last.Phase, last.Done, last.Total, last.Unit)
			start = time.Now()
		}
		last = p
	}
}

// What is wrong with a fragment of the user's is told apart.
func TestFragmentsReal(t *testing.T) {
	dir := cacheDir(t)
	for text, want := range map[string]struct{ err, hint string }{
		"CONFIG_BPF_SYSCAL=y": {"check fragments: CONFIG_BPF_SYSCAL at my.config:1: no supported kernel has this symbol", "did you mean CONFIG_BPF_SYSCALL?"},
		"CONFIG_BASE_FULL=y":  {"CONFIG_BASE_FULL at my.config:1: this symbol has left the kernel: 6.1 had it, 6.12.", "like CONFIG_BASE_FULL=y  # ..6.1"},
		"CONFIG_NETFILTER_XTABLES_LEGACY=y": {"CONFIG_NETFILTER_XTABLES_LEGACY at my.config:1: this symbol has not come yet: 7.2 has it, 6.12.",
			"like CONFIG_NETFILTER_XTABLES_LEGACY=y  # 7.2.."},
		"CONFIG_KASAN_OUTLINE=y":       {"CONFIG_KASAN_OUTLINE=y at my.config:1 became n: needs KASAN, which is n", "add what each symbol needs"},
		"CONFIG_BPF_JIT=n":             {"CONFIG_BPF_JIT=n at my.config:1, but =y at bpf.config:", "CONFIG_BPF_JIT is not set  # override"},
		"CONFIG_BPF_JIT=n  # override": {"became n: needs BPF_JIT, which is n", "add what each symbol needs"},
	} {
		t.Run(text, func(t *testing.T) {
			f, err := kconfig.Parse("my.config", []byte(text))
			if err != nil {
				t.Fatal(err)
			}
			_, err = Configure(t.Context(), Options{Source: linux612, Dir: dir, Fragments: []*kconfig.Fragment{f}, Progress: reporter(t)})
			var user interface {
				Hint() string
				ExitCode() int
			}
			if !errors.As(err, &user) || !strings.Contains(err.Error(), want.err) || !strings.Contains(user.Hint(), want.hint) || user.ExitCode() != 2 {
				t.Fatalf("Configure = %v, want %q", err, want.err)
			}
			t.Logf("%v\nhint: %s", err, user.Hint())
		})
	}
}

// The patch that keeps a kernel from going down fits.
func TestNeverOffReal(t *testing.T) {
	patches, err := patch.Read(t.Context(), filepath.Join("testdata", "never-off.patch"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := prepare(t.Context(), Options{Source: linux612, Dir: cacheDir(t), Patches: patches})
	if err != nil {
		t.Fatal(err)
	}
	defer b.close()
	if len(b.staged.Applied) != 1 {
		t.Errorf("applied %v", b.staged.Applied)
	}
}

// A build must give a kernel with everything in it, and the second time give
// the same one at once.
func TestBuildReal(t *testing.T) {
	dir := cacheDir(t)
	for _, v := range series(t, "VMTEST_TEST_BUILD", "6.12") {
		t.Run(v.String(), func(t *testing.T) {
			o := Options{Source: Debian{Series: v}, Dir: dir, Arch: os.Getenv("VMTEST_TEST_ARCH"), Progress: reporter(t)}
			start := time.Now()
			r, err := Build(context.Background(), o)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%v: %+v", time.Since(start), r)
			start = time.Now()
			again, err := Build(context.Background(), o)
			if err != nil || !again.Cached || again.Dir != r.Dir {
				t.Errorf("second build = %+v, %v, want the first from the cache", again, err)
			}
			t.Logf("from the cache: %v", time.Since(start))
		})
	}
}

// A package that is not the pinned one is never unpacked.
func TestPinned(t *testing.T) {
	dir := cacheDir(t)
	source := Debian{Series: kver.Version{Major: 6, Minor: 12}, SHA256: strings.Repeat("0", 64)}
	_, err := source.open(t.Context(), Options{Dir: dir, Progress: func(Progress) {}})
	var pin *PinError
	if !errors.As(err, &pin) || len(pin.Got) != 64 {
		t.Errorf("error = %v, want a *PinError", err)
	}
}

// Where this machine's pahole is too old, or too new, there is Debian's.
func TestPaholeReal(t *testing.T) {
	dir := cacheDir(t)
	path, err := fetchPahole(t.Context(), Options{Dir: dir, Progress: reporter(t)})
	if err != nil {
		t.Fatal(err)
	}
	tools := toolchain{paholePath: path}
	if tools.pahole, err = firstLine(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	newer, err := kver.ParseRange("1.26..")
	if err != nil {
		t.Fatal(err)
	}
	if err := tools.meets(Needs{Pahole: newer}, kver.Version{}); err != nil {
		t.Error(err)
	}
	// It reads the debug information of a real compiler.
	source := filepath.Join(t.TempDir(), "a.c")
	write(t, source, "struct task_struct { long pid; } init_task;\n")
	sh(t, filepath.Dir(source), "gcc", "-g", "-c", "a.c")
	sh(t, filepath.Dir(source), path, "-J", "a.o")
	if raw, err := sectionOf(filepath.Join(filepath.Dir(source), "a.o"), ".BTF"); err != nil || checkBTF(raw) != nil {
		t.Errorf("it made no BTF: %v, %v", err, checkBTF(raw))
	}
}
