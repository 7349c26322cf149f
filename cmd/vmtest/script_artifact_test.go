package main

import (
	"context"
	"flag"
	"io"
	"log"
	"math/rand/v2"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/bpf-vmtest/bpf-vmtest/internal/artifact"
	"github.com/bpf-vmtest/bpf-vmtest/internal/attest/sigstoretest"
	"github.com/bpf-vmtest/bpf-vmtest/internal/fakeqemu"
	"github.com/bpf-vmtest/bpf-vmtest/internal/features"
)

// registry starts a registry of the script's own, $REGISTRY.
func cmdRegistry(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 0 {
		ts.Fatalf("usage: registry")
	}
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	ts.Defer(server.Close)
	ts.Setenv("REGISTRY", strings.TrimPrefix(server.URL, "http://"))
}

// artifact [-arch GOARCH] [-flavour NAME] [-config FILE] [-features FILE] [-untested] [-module KIB] [-zeros MIB] DIR TAG RELEASE
// packs a kernel for the fake QEMU, as `vmtest kernel build` packs its own. The
// features are a table; the parts that it is about are filled in. A module of
// random bytes takes as long to fetch as one of zeros takes to unpack.
func cmdArtifact(ts *testscript.TestScript, neg bool, args []string) {
	flags := flag.NewFlagSet("artifact", flag.ContinueOnError)
	arch := flags.String("arch", runtime.GOARCH, "")
	flavour := flags.String("flavour", "", "")
	config := flags.String("config", "", "")
	table := flags.String("features", "", "")
	untested := flags.Bool("untested", false, "")
	random := flags.Int("module", 0, "")
	zeros := flags.Int("zeros", 0, "")
	if err := flags.Parse(args); err != nil || neg || flags.NArg() != 3 {
		ts.Fatalf("usage: artifact [flags] dir tag release")
	}
	dir, tag, release := ts.MkAbs(flags.Arg(0)), flags.Arg(1), flags.Arg(2)
	work, err := os.MkdirTemp(ts.Getenv("WORK"), "artifact-")
	ts.Check(err)
	defer os.RemoveAll(work)
	write := func(name, content string) string {
		path := filepath.Join(work, name)
		ts.Check(os.MkdirAll(filepath.Dir(path), 0o755))
		ts.Check(os.WriteFile(path, []byte(content), 0o644))
		return path
	}
	parts := artifact.Parts{
		Release: release, Arch: *arch, Kernel: filepath.Join(work, "kernel"), Initramfs: write("initramfs", "cpio"),
		Modules: filepath.Dir(write("lib/modules/"+release+"/modules.dep", "")),
		Config:  write("config", "CONFIG_BPF=y\n"),
		Build:   artifact.Build{Flavour: *flavour, Source: "linux-source " + release, Compiler: "gcc 12", Pahole: "v1.24", Fragments: []string{"base", "bpf"}},
	}
	module := make([]byte, *random<<10+*zeros<<20)
	rand.NewChaCha8([32]byte{}).Read(module[:*random<<10])
	write("lib/modules/"+release+"/kernel/m.ko", string(module))
	if *config != "" {
		parts.Config = ts.MkAbs(*config)
	}
	ts.Check(fakeqemu.Kernel{Release: release, Arch: *arch}.WriteFile(parts.Kernel))
	if !*untested {
		parts.Features = write("features.json", tableOf(ts, parts, work, *table))
	}
	_, err = artifact.Pack(context.Background(), parts, dir, tag)
	ts.Check(err)
}

// tableOf is the table in the file, or an empty one, about the parts.
func tableOf(ts *testscript.TestScript, parts artifact.Parts, work, file string) string {
	table := &features.Table{}
	if file != "" {
		var err error
		table, err = features.Parse([]byte(ts.ReadFile(file)))
		ts.Check(err)
	}
	table.Add(features.Kernel, features.Feature{Name: "power_off", State: features.Supported})
	dir := filepath.Join(work, "layout")
	digest, err := artifact.Pack(context.Background(), parts, dir)
	ts.Check(err)
	layout, err := artifact.OpenLayout(dir)
	ts.Check(err)
	kernels, err := layout.Kernels("", digest)
	ts.Check(err)
	table.Release, table.Arch, table.Parts = parts.Release, parts.Arch, kernels[0].BootParts()
	content, err := table.Encode()
	ts.Check(err)
	return string(content)
}

// sigstore makes the script a job of a workflow of GitHub's, with a sigstore
// that trusted_root.json and signing_config.json describe.
func cmdSigstore(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 0 {
		ts.Fatalf("usage: sigstore")
	}
	server, err := sigstoretest.Start()
	ts.Check(err)
	ts.Defer(server.Close)
	root, err := server.TrustedRoot(time.Now().Add(time.Hour))
	ts.Check(err)
	config, err := server.SigningConfig()
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs("trusted_root.json"), root, 0o644))
	ts.Check(os.WriteFile(ts.MkAbs("signing_config.json"), config, 0o644))
	for name, value := range server.Environment() {
		ts.Setenv(name, value)
	}
}
