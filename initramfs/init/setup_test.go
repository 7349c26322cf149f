package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/bpf-vmtest/bpf-vmtest/initramfs/wire"
)

func TestSymlink(t *testing.T) {
	link := filepath.Join(t.TempDir(), "sbin", "modprobe")
	for range 2 { // the second finds the first's
		if err := symlink(wire.Symlink{Path: link, Target: "/proc/1/exe"}); err != nil {
			t.Error(err)
		}
	}
	if target, err := os.Readlink(link); err != nil || target != "/proc/1/exe" {
		t.Errorf("it leads to %q, %v", target, err)
	}
}
