package toolbox

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bpf-vmtest/bpf-vmtest/internal/distro"
	"github.com/bpf-vmtest/bpf-vmtest/internal/kver"
)

func needAll(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("VMTEST_TESTS") != "all" {
		t.Skip("needs " + what + ": set VMTEST_TESTS=all")
	}
}

func mustBuild(t *testing.T, o Options) *Toolbox {
	t.Helper()
	start := time.Now()
	o.Progress = func(step string) { t.Logf("%6.1fs %s", time.Since(start).Seconds(), step) }
	built, err := Build(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%6.1fs done", time.Since(start).Seconds())
	return built
}

func TestBuild(t *testing.T) {
	needAll(t, "minutes of compiling")
	// What a user may have set for code of their own.
	setGoEnv(t, "GOFLAGS=-race -mod=vendor")
	t.Setenv("GOFLAGS", "")
	t.Setenv("GOWORK", "/nonexistent/go.work")
	t.Setenv("GOARCH", "mips")
	t.Setenv("UROOT_SOURCE", "/nonexistent")

	cache := filepath.Join(t.TempDir(), "a cache, with spaces")
	first := mustBuild(t, Options{CacheDir: cache})
	t.Run("content", func(t *testing.T) {
		out, err := exec.Command(first.Binary, "nothing of ours").CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			t.Fatalf("run the program: %v", err)
		}
		var listed []string
		for line := range strings.Lines(string(out)) {
			if name, ok := strings.CutPrefix(strings.TrimSpace(line), "- "); ok {
				listed = append(listed, name)
			}
		}
		if diff := cmp.Diff(first.Commands, listed); diff != "" {
			t.Errorf("commands (-want +got):\n%s", diff)
		}
		if uRootModule := (Module{uRoot, uRootVersion, uRootSum}); !slices.Contains(first.Bill.Modules, uRootModule) || len(first.Bill.Modules) < 5 {
			t.Errorf("the bill is %+v", first.Bill)
		}
		var archive bytes.Buffer
		if err := first.WriteArchive(&archive); err != nil {
			t.Fatal(err)
		}
		t.Logf("%d commands, archive of %d bytes", len(first.Commands), archive.Len())
	})
	t.Run("cached", func(t *testing.T) {
		start := time.Now()
		again := mustBuild(t, Options{CacheDir: cache})
		if diff := cmp.Diff(first, again); diff != "" {
			t.Errorf("second build (-first +second):\n%s", diff)
		}
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("a cached build took %v", took)
		}
	})
	t.Run("reproducible", func(t *testing.T) {
		other := mustBuild(t, Options{CacheDir: t.TempDir()})
		a, errA := os.ReadFile(first.Binary)
		b, errB := os.ReadFile(other.Binary)
		if errA != nil || errB != nil || !bytes.Equal(a, b) {
			t.Errorf("two caches hold different programs: %v, %v", errA, errB)
		}
	})
	t.Run("after a kill, two at once", func(t *testing.T) { buildTwice(t, first) })
}

// setGoEnv does what go env -w does, for this test alone.
func setGoEnv(t *testing.T, line string) {
	t.Helper()
	path, err := exec.Command("go", "env", "GOENV").Output()
	if err != nil {
		t.Fatal(err)
	}
	old, err := os.ReadFile(strings.TrimSpace(string(path)))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "env")
	if err := os.WriteFile(file, append(old, "\n"+line+"\n"...), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GOENV", file)
}

// buildTwice starts two builds in a cache in which one has been killed.
func buildTwice(t *testing.T, want *Toolbox) {
	cache := t.TempDir()
	remains := filepath.Join(cache, "toolbox", "workshop-1", "gopath")
	if err := os.MkdirAll(remains, 0o755); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			got, err := Build(t.Context(), Options{CacheDir: cache})
			if err != nil || filepath.Base(got.Binary) != filepath.Base(want.Binary) {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
	wg.Wait()
	entries, err := os.ReadDir(filepath.Join(cache, "toolbox"))
	if err != nil || len(entries) != 3 { // the program, its bill and the lock
		t.Errorf("the cache holds %v, %v", entries, err)
	}
}

func TestBuildOtherArch(t *testing.T) {
	needAll(t, "minutes of compiling")
	arch := "arm64"
	if runtime.GOARCH == arch {
		arch = "amd64"
	}
	mustBuild(t, Options{CacheDir: t.TempDir(), Arch: arch})
}

func TestBuildFails(t *testing.T) {
	t.Run("no module proxy", func(t *testing.T) {
		t.Setenv("GOPROXY", "off")
		t.Setenv("GOMODCACHE", t.TempDir())
		_, err := Build(t.Context(), Options{CacheDir: t.TempDir()})
		var hint interface{ Hint() string }
		if !errors.As(err, &hint) || !strings.Contains(hint.Hint(), "GOPROXY") {
			t.Errorf("got %v: want a hint about GOPROXY", err)
		}
	})
	t.Run("no Go", func(t *testing.T) {
		t.Setenv("PATH", t.TempDir())
		_, err := Build(t.Context(), Options{CacheDir: t.TempDir()})
		var hint interface{ Hint() string }
		if !errors.As(err, &hint) || !strings.Contains(hint.Hint(), "install Go") {
			t.Errorf("got %v: want a hint about Go", err)
		}
	})
	t.Run("cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := Build(ctx, Options{CacheDir: t.TempDir()}); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
}

// TestBoot types into the shell of a kernel that starts from the archive alone.
func TestBoot(t *testing.T) {
	needAll(t, "QEMU and a Debian kernel")
	if runtime.GOARCH != "amd64" {
		t.Skip("the console's name is a PC's")
	}
	release, image := debianKernel(t)
	initrd := filepath.Join(t.TempDir(), "initramfs.cpio")
	f, err := os.Create(initrd)
	if err != nil {
		t.Fatal(err)
	}
	if err := mustBuild(t, Options{CacheDir: sharedCache(t)}).WriteArchive(f); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	console := typeInto(t, image, initrd, "seq 3 | xargs echo sum; uname -r; mount | grep -c proc; poweroff\r")
	t.Logf("booted, ran and powered off in %v", time.Since(start))
	for _, want := range []string{"\nsum 1 2 3\r\n", "\n" + release + "\r\n", "\n1\r\n"} {
		if !strings.Contains(console, want) {
			t.Errorf("the console does not show %q:\n%s", want, console)
		}
	}
}

// sharedCache is the program's own, so that a kernel is fetched once.
func sharedCache(t *testing.T) string {
	t.Helper()
	dir, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "bpf-vmtest")
}

func debianKernel(t *testing.T) (release, image string) {
	t.Helper()
	version, err := kver.Parse("6.1")
	if err != nil {
		t.Fatal(err)
	}
	apt := &distro.Apt{Dir: sharedCache(t)}
	k, err := apt.Kernel(t.Context(), distro.Query{Distribution: "debian", Version: version})
	if err != nil {
		t.Fatal(err)
	}
	return k.Release, filepath.Join(k.Dir, "boot", "vmlinuz-"+k.Release)
}

// typeInto boots, types a line when the shell asks for one, waits for QEMU to
// end and returns what the console showed.
func typeInto(t *testing.T, image, initrd, line string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute) // TCG on a busy machine
	defer cancel()
	qemu := exec.CommandContext(ctx, "qemu-system-x86_64", "-accel", "tcg", "-m", "512", "-nodefaults", "-nographic",
		"-serial", "stdio", "-no-reboot", "-kernel", image, "-initrd", initrd, "-append", "console=ttyS0 panic=-1")
	keyboard, err := qemu.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	screen, err := qemu.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := qemu.Start(); err != nil {
		t.Fatal(err)
	}
	var console []byte
	typed := false
	for buf := make([]byte, 4096); ; {
		n, err := screen.Read(buf)
		console = append(console, buf[:n]...)
		if !typed && bytes.HasSuffix(console, []byte("\n$ ")) {
			typed = true
			if _, err := keyboard.Write([]byte(line)); err != nil {
				t.Error(err)
			}
		}
		if err != nil {
			break
		}
	}
	if err := qemu.Wait(); err != nil {
		t.Errorf("QEMU: %v\n%s", err, console)
	}
	return string(console)
}
