package accel_test

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/u-root/u-root/pkg/cpio"

	"github.com/bpf-vmtest/bpf-vmtest/initramfs/toolbox"
	"github.com/bpf-vmtest/bpf-vmtest/internal/distro"
	"github.com/bpf-vmtest/bpf-vmtest/internal/kver"
)

// TestProbeNested has the probe find a KVM that works, on any host: QEMU's
// translator knows AMD's virtualisation, so that a kernel it runs has one.
func TestProbeNested(t *testing.T) {
	if os.Getenv("VMTEST_TESTS") != "all" {
		t.Skip("needs QEMU, a Debian kernel and u-root: set VMTEST_TESTS=all")
	}
	if runtime.GOARCH != "amd64" {
		t.Skip("the guest's program is for amd64")
	}
	kernel := debianKernel(t)
	files := map[string]string{"probe.test": probeBinary(t)}
	var load string
	for _, path := range kvmModules(t, filepath.Join(kernel.Dir, "lib", "modules", kernel.Release)) {
		files[filepath.Base(path)] = path
		load += "insmod /" + filepath.Base(path) + "; "
	}
	console := boot(t, filepath.Join(kernel.Dir, "boot", "vmlinuz-"+kernel.Release), archive(t, files),
		load+"/probe.test -test.v -test.run 'TestProbe$|TestLoop|TestRunStops'; poweroff\r")
	t.Log(console)
	if !strings.Contains(console, "{Usable:true ") || !strings.Contains(console, "\nPASS\r\n") {
		t.Error("the probe does not find a KVM that works")
	}
}

// kvmModules are AMD's and what it needs, in the order of loading.
func kvmModules(t *testing.T, dir string) []string {
	t.Helper()
	deps, err := os.ReadFile(filepath.Join(dir, "modules.dep"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(deps)) {
		module, needs, _ := strings.Cut(strings.TrimSpace(line), ":")
		if filepath.Base(module) != "kvm-amd.ko" {
			continue
		}
		// modules.dep names the nearest first.
		var paths []string
		for _, name := range append([]string{module}, strings.Fields(needs)...) {
			paths = append([]string{filepath.Join(dir, name)}, paths...)
		}
		return paths
	}
	t.Fatalf("%s has no kvm-amd.ko", dir)
	return nil
}

func cacheDir(t *testing.T) string {
	t.Helper()
	dir, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "bpf-vmtest")
}

// debianKernel is of a release whose modules are not compressed.
func debianKernel(t *testing.T) *distro.Kernel {
	t.Helper()
	version, err := kver.Parse("6.1")
	if err != nil {
		t.Fatal(err)
	}
	apt := &distro.Apt{Dir: cacheDir(t)}
	k, err := apt.Kernel(t.Context(), distro.Query{Distribution: "debian", Version: version})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// probeBinary is this package's test program without a C library.
func probeBinary(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "probe.test")
	cmd := exec.Command("go", "test", "-c", "-o", path, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}

// archive is the toolbox with files laid over it.
func archive(t *testing.T, files map[string]string) string {
	t.Helper()
	box, err := toolbox.Build(t.Context(), toolbox.Options{CacheDir: cacheDir(t)})
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := box.WriteArchive(&b); err != nil {
		t.Fatal(err)
	}
	b.Write(make([]byte, (4-b.Len()%4)%4)) // the kernel wants the next archive aligned
	over := cpio.Newc.Writer(&b)
	for name, path := range files {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := over.WriteRecord(cpio.StaticFile(name, string(content), 0o755)); err != nil {
			t.Fatal(err)
		}
	}
	if err := cpio.WriteTrailer(over); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "initramfs.cpio")
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// boot types a line into the shell and returns what the console showed until
// QEMU ended.
func boot(t *testing.T, image, initrd, line string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	qemu := exec.CommandContext(ctx, "qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-m", "1024", "-nodefaults", "-nographic",
		"-serial", "stdio", "-no-reboot", "-kernel", image, "-initrd", initrd, "-append", "console=ttyS0 panic=-1 quiet")
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
	var console bytes.Buffer
	for buf := make([]byte, 4096); ; {
		n, err := screen.Read(buf)
		console.Write(buf[:n])
		if line != "" && bytes.HasSuffix(console.Bytes(), []byte("\n$ ")) {
			if _, err := io.WriteString(keyboard, line); err != nil {
				t.Error(err)
			}
			line = ""
		}
		if err != nil {
			break
		}
	}
	if err := qemu.Wait(); err != nil {
		t.Errorf("QEMU: %v", err)
	}
	return console.String()
}
