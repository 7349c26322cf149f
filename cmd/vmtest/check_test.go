package main

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/bpf-vmtest/bpf-vmtest/internal/artifact"
	"github.com/bpf-vmtest/bpf-vmtest/internal/bootcheck"
	"github.com/bpf-vmtest/bpf-vmtest/internal/fakeqemu"
	"github.com/bpf-vmtest/bpf-vmtest/internal/features"
)

// layouts are OCI layouts that scripts about features find: a kernel's
// behavior and its configuration, by name.
var layouts = map[string]struct {
	behavior fakeqemu.Behavior
	config   string
}{
	"good":     {fakeqemu.Good, "CONFIG_BPF_SYSCALL=y\nCONFIG_DEBUG_INFO_BTF=y\n"},
	"nobtf":    {fakeqemu.Good, "CONFIG_BPF_SYSCALL=y\n"},
	"restarts": {fakeqemu.Restarts, "CONFIG_BPF_SYSCALL=y\n"},
	"other":    {fakeqemu.OtherConfig, "CONFIG_BPF_SYSCALL=y\n"},
}

// features RELEASE [KIND/NAME…] makes the layouts, of kernels of that release,
// and the probe print a table in which all is there that may be required but
// for those.
func cmdFeatures(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: features release [kind/name...]")
	}
	table := &features.Table{Release: args[0], Arch: runtime.GOARCH}
	for _, r := range bootcheck.Requirements {
		f := features.Feature{Name: r.Name, State: features.Supported}
		if slices.Contains(args[1:], string(r.Kind)+"/"+r.Name) {
			f.State = features.Unsupported
		}
		if r.Name != "config" && r.Name != "power_off" { // found out by the host
			table.Add(r.Kind, f)
		}
	}
	b, err := table.Encode()
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs("table.json"), b, 0o644))
	probe, err := bootcheck.Probe().Path(ts.Getenv("VMTEST_CACHE"), runtime.GOARCH)
	ts.Check(err)
	ts.Check(os.MkdirAll(filepath.Dir(probe), 0o755))
	ts.Check(os.WriteFile(probe, []byte("#!/bin/sh\nexec cat "+ts.MkAbs("table.json")+"\n"), 0o755))
	for name, l := range layouts {
		image, config, initramfs := ts.MkAbs(name+".image"), ts.MkAbs(name+".config"), ts.MkAbs(name+".cpio")
		ts.Check(fakeqemu.Kernel{Release: args[0], Behavior: l.behavior}.WriteFile(image))
		ts.Check(os.WriteFile(config, []byte(l.config), 0o644))
		ts.Check(os.WriteFile(initramfs, nil, 0o644))
		ts.Check(os.RemoveAll(ts.MkAbs(name)))
		parts := artifact.Parts{Release: args[0], Arch: runtime.GOARCH, Kernel: image, Config: config, Initramfs: initramfs}
		_, err := artifact.Pack(context.Background(), parts, ts.MkAbs(name), "latest")
		ts.Check(err)
	}
}
