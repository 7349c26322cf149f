package main

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bpf-vmtest/bpf-vmtest/internal/kernel"
	"github.com/bpf-vmtest/bpf-vmtest/internal/kernelref"
	"github.com/bpf-vmtest/bpf-vmtest/internal/store"
)

// TestArtifact takes kernels through a registry process, ours to other projects'
// tools and other projects' to us.
func TestArtifact(t *testing.T) {
	needReal(t)
	registry, err := startRegistry(t.Cleanup)
	if err != nil {
		t.Fatal(err)
	}
	docker := t.TempDir()
	if err := login(docker, registry.host(), "me", "secret"); err != nil {
		t.Fatal(err)
	}
	a := &artifacts{realVmtest: newReal(t), registry: registry.host()}
	a.env = append(a.env, "DOCKER_CONFIG="+docker, "REGISTRY_AUTH_FILE="+filepath.Join(docker, "config.json"))
	a.crane = filepath.Join(t.TempDir(), "crane")
	install := exec.Command("go", "install", "github.com/google/go-containerregistry/cmd/crane@v0.22.1")
	install.Env = append(os.Environ(), "GOBIN="+filepath.Dir(a.crane), "GOFLAGS=")
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("install crane: %v\n%s", err, out)
	}
	t.Run("foreign", a.testForeignLayouts)
	t.Run("own", a.testOwn)
}

// artifacts is vmtest with a registry and the tools of others.
type artifacts struct {
	*realVmtest
	registry string // its host
	crane    string
}

// tool runs another project's program, as a shell would.
func (a *artifacts) tool(t *testing.T, script string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "bash", append([]string{"-euo", "pipefail", "-c", script, "bash"}, args...)...)
	cmd.Env = append(a.env, "crane="+a.crane, "R="+a.registry)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", script, err, out, &stderr)
	}
	return strings.TrimSpace(string(out))
}

// testForeignLayouts runs a test on kernels laid out as other projects do, in images
// that another tool made.
func (a *artifacts) testForeignLayouts(t *testing.T) {
	ref, err := kernelref.Parse(realNew, "")
	if err != nil {
		t.Fatal(err)
	}
	k, err := (&store.Store{Dir: a.cache}).Resolve(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	a.pushForeign(t, k, "cilium/ci-kernels", "boot/vmlinuz", "usr/lib/modules", "ln -s usr/lib lib")
	a.pushForeign(t, k, "lvh-images/kernel-images", "data/kernels/6.12/boot/vmlinuz-"+k.Release, "data/kernels/6.12/lib/modules", "")
	kernels := a.registry + "/cilium/ci-kernels:6.12," + a.registry + "/lvh-images/kernel-images:6.12"
	run := a.run(t, a.module(t, "verdicts"), nil, "test", "-run", "TestGood", "-kernel", kernels, ".")
	run.want(t, 0, "ci-kernels:6.12: Linux "+k.Release, "kernel-images:6.12: Linux "+k.Release, "on 2 kernels")
}

// pushForeign pushes the kernel as an image that has only these files.
func (a *artifacts) pushForeign(t *testing.T, k *kernel.Kernel, repository, image, modules, also string) {
	a.tool(t, `
		root=$(mktemp -d) && trap 'rm -rf "$root"' EXIT
		cd "$root"
		mkdir -p "$(dirname "$3")" "$4"
		cp "$1" "$3"
		cp -r "$2" "$4/"
		eval "$5"
		tar -cf layer.tar --exclude=layer.tar .
		"$crane" append -f layer.tar -t "$R/$6:layer"
		"$crane" mutate --set-platform linux/amd64 -t "$R/$6:6.12" "$R/$6:layer"
	`, k.Image, k.Modules, image, modules, also, repository)
}

// testOwn builds a kernel, pushes it, and does with it what its format is for.
func (a *artifacts) testOwn(t *testing.T) {
	user, err := cacheDir()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	a.run(t, dir, []string{"VMTEST_CACHE=" + user}, "kernel", "build", "-o", "out", "6.12").want(t, 0, "oci:out:6.12@sha256:")
	pushed := a.run(t, dir, nil, "kernel", "push", "-channel", "stable", "oci:out:6.12", a.registry+"/org/kernels")
	pushed.want(t, 0, "6.12: new → sha256:", "stable: new → sha256:")
	digest := pushed.stdout[strings.Index(pushed.stdout, "sha256:"):strings.Index(pushed.stdout, "\n")]

	t.Run("credentials", func(t *testing.T) {
		refused := a.run(t, dir, []string{"DOCKER_CONFIG=" + t.TempDir(), "REGISTRY_AUTH_FILE="}, "kernel", "push", "oci:out:6.12", a.registry+"/org/kernels")
		refused.want(t, 3, "it wants credentials", "docker login "+a.registry)
	})
	t.Run("crane", func(t *testing.T) {
		if got := a.tool(t, `"$crane" digest "$R/org/kernels:stable"`); got != digest {
			t.Errorf("stable is %s, want %s", got, digest)
		}
		a.tool(t, `"$crane" validate --remote "$R/org/kernels:6.12"`)
		a.tool(t, `"$crane" copy "$R/org/kernels:6.12" "$R/by/crane:6.12"`)
		if got := a.tool(t, `"$crane" digest "$R/by/crane:6.12"`); got != digest {
			t.Errorf("copied it is %s, want %s", got, digest)
		}
	})
	t.Run("skopeo", func(t *testing.T) { a.testSkopeo(t, dir, digest) })
	t.Run("another cache", func(t *testing.T) {
		run := a.run(t, dir, nil, "exec", "-kernel", a.registry+"/org/kernels:stable", "--", "uname", "-r")
		run.want(t, 0, "6.12.")
	})
	t.Run("plain QEMU", func(t *testing.T) { a.testPlain(t, dir) })
}

// testSkopeo copies between layouts and the registry, both ways.
func (a *artifacts) testSkopeo(t *testing.T, dir, digest string) {
	inspected := a.tool(t, `skopeo inspect --tls-verify=false --format '{{.Architecture}} {{.Os}}' "docker://$R/org/kernels:6.12"`)
	if inspected != "amd64 linux" {
		t.Errorf("skopeo inspect says %q", inspected)
	}
	copied := filepath.Join(dir, "copied")
	a.tool(t, `skopeo copy --all --src-tls-verify=false "docker://$R/org/kernels:6.12" "oci:$1:6.12"`, copied)
	a.tool(t, `skopeo copy --all --dest-tls-verify=false "oci:$1:6.12" "docker://$R/by/skopeo:6.12"`, filepath.Join(dir, "out"))
	if got := a.tool(t, `"$crane" digest "$R/by/skopeo:6.12"`); got != digest {
		t.Errorf("copied from the layout it is %s, want %s", got, digest)
	}
	inspect := func(ref string) string {
		run := a.run(t, dir, nil, "kernel", "inspect", ref)
		run.want(t, 0, "program types, ")
		_, rest, _ := strings.Cut(run.stdout, "\n")
		return rest
	}
	if got, want := inspect("oci:"+copied+":6.12"), inspect("oci:out:6.12"); got != want {
		t.Errorf("the copied layout holds\n%s, want\n%s", got, want)
	}
}

// testPlain boots what other tools take out of the image, as docs/artifact.md
// has it.
func (a *artifacts) testPlain(t *testing.T, dir string) {
	exported, extracted := filepath.Join(dir, "exported"), filepath.Join(dir, "extracted")
	a.tool(t, `mkdir "$1" && "$crane" export --platform linux/amd64 "$R/org/kernels:6.12" - | tar -x -C "$1"`, exported)
	a.run(t, dir, nil, "kernel", "extract", a.registry+"/org/kernels:6.12", extracted).want(t, 0, "sha256:")
	if a, b := files(t, exported), files(t, extracted); !slices.Equal(a, b) {
		t.Errorf("crane exports %v, vmtest extracts %v", a, b)
	}
	a.tool(t, `diff -r "$1" "$2"`, exported, extracted)

	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	// env finds the real QEMU, not the scripts' own.
	qemu := exec.CommandContext(ctx, "env", "qemu-system-x86_64", "-m", "1G", "-nographic",
		"-kernel", "boot/vmlinuz", "-initrd", "boot/initramfs", "-append", "console=ttyS0")
	qemu.Dir, qemu.Env = exported, a.env
	keyboard, err := qemu.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var screen syncBuffer
	qemu.Stdout, qemu.Stderr = &screen, &screen
	if err := qemu.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- qemu.Wait() }()
	for _, step := range []struct{ shown, typed string }{
		{"\n$ ", "uname -r\r"},
		{"\n6.12.", "poweroff\r"}, // u-root takes one flag at a time
	} {
		for !strings.Contains(strings.ReplaceAll(screen.String(), "\r", ""), step.shown) {
			select {
			case err := <-ended:
				t.Fatalf("nothing shows %q before the end: %v\n%s", step.shown, err, screen.String())
			case <-time.After(100 * time.Millisecond):
			}
		}
		if _, err := fmt.Fprint(keyboard, step.typed); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-ended; err != nil {
		t.Errorf("QEMU: %v\n%s", err, screen.String())
	}
}

// files are the paths of the files below the directory.
func files(t *testing.T, dir string) []string {
	t.Helper()
	var names []string
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			names = append(names, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}
