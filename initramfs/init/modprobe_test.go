package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestFindModules(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{
		"modules.dep":     "kernel/net/veth.ko.xz:\nkernel/net/sch-ingress.ko: kernel/a.ko kernel/b.ko\n",
		"modules.alias":   "# Aliases extracted from modules themselves.\nalias rtnl-link-veth veth\nalias net-sch-[a-z]* sch_ingress\nalias tcp* veth\nalias tcp_a* sch_ingress\n",
		"modules.builtin": "kernel/fs/overlayfs/overlay.ko\n",

		"modules.builtin.modinfo": "9p.alias=fs-9p\x009p.license=GPL\x00dummy.alias=rtnl-link-dummy*\x00dummy.description=no-alias\x00",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	m, err := openModules(dir)
	if err != nil {
		t.Fatal(err)
	}
	const veth, ingress = "kernel/net/veth.ko.xz", "kernel/net/sch-ingress.ko"
	for name, want := range map[string][]string{
		"veth": {veth}, "sch-ingress": {ingress}, "sch_ingress": {ingress},
		"rtnl-link-veth": {veth}, "net-sch-ingress": {ingress}, "tcp_abc": {veth, ingress},
		"rtnl-link-vet": nil, "overlay": nil,
	} {
		if got, err := m.find(name); err != nil || !slices.Equal(got, want) {
			t.Errorf("find(%q) = %q, %v, want %q", name, got, err, want)
		}
	}
	if want := []string{"kernel/a.ko", "kernel/b.ko"}; !slices.Equal(m.needs[ingress], want) {
		t.Errorf("%s needs %q, want %q", ingress, m.needs[ingress], want)
	}
	for name, want := range map[string]bool{
		"overlay": true, "fs-9p": true, "rtnl-link-dummy0": true, "veth": false, "GPL": false, "no-alias": false,
	} {
		if got := m.isBuiltin(name); got != want {
			t.Errorf("isBuiltin(%q) = %t", name, got)
		}
	}
}

func TestModprobeUsage(t *testing.T) {
	for _, args := range [][]string{nil, {"-q"}, {"-r", "veth"}} {
		if modprobe(args) == nil {
			t.Errorf("modprobe %q succeeds", args)
		}
	}
}
