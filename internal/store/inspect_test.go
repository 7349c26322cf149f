package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bpf-vmtest/bpf-vmtest/internal/artifact"
	"github.com/bpf-vmtest/bpf-vmtest/internal/kernelref"
)

func inspect(t *testing.T, s *Store, format string, args ...any) (*Image, error) {
	t.Helper()
	ref, err := kernelref.Parse(fmt.Sprintf(format, args...), "")
	if err != nil {
		t.Fatal(err)
	}
	return s.Inspect(context.Background(), ref)
}

// An image can be looked into without fetching its kernel, and afterwards
// without its registry.
func TestInspect(t *testing.T) {
	dir, server := t.TempDir(), newServer(t)
	arm := pack(t, dir, "6.12", "6.12.95", "arm64")
	amd := pack(t, dir, "6.12", "6.12.95", "amd64")
	index := server.push(t, dir, "6.12")
	s := newStore(t)
	var fetched []string
	s.Progress = func(p Progress) {
		if !slices.Contains(fetched, p.What) {
			fetched = append(fetched, p.What)
		}
	}
	pack(t, dir, "stable", "6.12.95", "arm64")
	pack(t, dir, "stable", "6.12.95", "amd64")
	for _, ref := range []string{"oci:" + dir, "oci:" + dir + ":6.12", server.repository + ":6.12", server.repository + "@" + index} {
		fetched = nil
		image, err := inspect(t, s, "%s", ref)
		if err != nil {
			t.Fatal(err)
		}
		if image.Digest != index || len(image.Kernels) != 2 || image.Kernels[0].Digest() != amd || image.Kernels[1].Digest() != arm {
			t.Errorf("%s is %+v, want index %s of %s and %s", ref, image, index, amd, arm)
		}
		if image.Annotations["org.opencontainers.image.version"] != "6.12.95" {
			t.Errorf("%s: annotations are %v", ref, image.Annotations)
		}
		if len(fetched) > 0 {
			t.Errorf("%s: fetched %v", ref, fetched)
		}
	}

	image, err := inspect(t, s, "%s:6.12", server.repository)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		config, err := image.ReadFile(context.Background(), image.Kernels[0], artifact.Config)
		if err != nil || string(config) != "CONFIG_BPF=y\n" {
			t.Errorf("config is %q, %v", config, err)
		}
		server.CloseClientConnections()
		server.Close()
	}
	if diff := cmp.Diff([]string{"config"}, fetched); diff != "" {
		t.Errorf("fetched (-want +got):\n%s", diff)
	}
	if again, err := inspect(t, s, "%s:6.12", server.repository); err != nil || again.Digest != index {
		t.Errorf("offline: %+v, %v", again, err)
	}
	if _, err := image.ReadFile(context.Background(), image.Kernels[0], artifact.Features); err == nil || !strings.Contains(err.Error(), "features") {
		t.Errorf("features: %v", err)
	}
	if _, err := inspect(t, s, "debian:6.12"); !errors.Is(err, ErrNoImage) {
		t.Errorf("a package: %v", err)
	}
}

// All of a kernel can be unpacked, whatever its layout.
func TestExtract(t *testing.T) {
	dir := t.TempDir()
	pack(t, dir, "6.12", "6.12.95", "amd64")
	others := foreign(t, "", "amd64", map[string]string{"boot/vmlinuz-6.1.5": string(fakeImage("6.1.5")), "etc/passwd": "root"})
	for ref, want := range map[string][]string{
		"oci:" + dir: {
			"boot/config", "boot/initramfs", "boot/vmlinux.btf", "boot/vmlinuz",
			"usr/lib/modules/6.12.95/kernel/9p.ko", "usr/lib/modules/6.12.95/modules.dep",
		},
		"oci:" + others: {"boot/vmlinuz-6.1.5"},
	} {
		image, err := inspect(t, newStore(t), "%s", ref)
		if err != nil {
			t.Fatal(err)
		}
		to := t.TempDir()
		if err := image.Extract(context.Background(), image.Kernels[0], to); err != nil {
			t.Error(err)
		}
		var got []string
		err = filepath.WalkDir(to, func(path string, d os.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				got = append(got, strings.TrimPrefix(path, to+"/"))
			}
			return err
		})
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v, files (-want +got):\n%s", ref, err, diff)
		}
	}
}
