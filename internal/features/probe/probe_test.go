package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/bpf-vmtest/bpf-vmtest/internal/features"
)

// A new version of the library may know more types.
func TestAllTypes(t *testing.T) {
	for i := range 100 {
		p, m := ebpf.SocketFilter+ebpf.ProgramType(i), ebpf.Hash+ebpf.MapType(i)
		if known := !strings.HasSuffix(p.String(), ")"); known != (i < len(programTypes)) {
			t.Errorf("program type %v: known to the library: %t", p, known)
		} else if known && programTypes[i].ProgramType != p {
			t.Errorf("program type %d is %v, want %v", i, programTypes[i].ProgramType, p)
		}
		if known := !strings.HasSuffix(m.String(), ")"); known != (i < len(mapTypes)) {
			t.Errorf("map type %v: known to the library: %t", m, known)
		} else if known && mapTypes[i].MapType != m {
			t.Errorf("map type %d is %v, want %v", i, mapTypes[i].MapType, m)
		}
	}
}

func TestHelperNames(t *testing.T) {
	all := helpers()
	if len(all) < 211 {
		t.Fatalf("%d helpers", len(all))
	}
	for number, want := range map[int]string{
		1: "map_lookup_elem", 10: "l3_csum_replace", 7: "get_prandom_u32", 44: "xdp_adjust_head",
		204: "tcp_raw_gen_syncookie_ipv4", 211: "cgrp_storage_delete",
	} {
		if got := helperName(all[number-1]); got != want {
			t.Errorf("helper %d is %s, want %s", number, got, want)
		}
	}
}

func TestFinding(t *testing.T) {
	for _, tt := range []struct {
		err    error
		state  features.State
		detail string
	}{
		{nil, features.Supported, ""},
		{fmt.Errorf("attach: %w", ebpf.ErrNotSupported), features.Unsupported, ""},
		{fmt.Errorf("attach: %w", errors.New("tcx not supported (requires >= v6.6)")), features.Inconclusive, ""},
		{fmt.Errorf("never called: %w", ebpf.ErrNotSupported), features.Unsupported, "never called"},
		{fmt.Errorf("load: %w", unix.ENOMEM), features.Inconclusive, "load: cannot allocate memory"},
		{errors.New("at ffffffff81234567 in f+0x10\nand more"), features.Inconclusive, "at ADDRESS in f+0x10"},
		{errors.New(strings.Repeat("é", 200)), features.Inconclusive, strings.Repeat("é", 80) + "…"},
		{unsupported(unix.ENOENT, "add clsact"), features.Unsupported, "add clsact"},
		{unsupported(unix.EPERM, "add clsact"), features.Inconclusive, "add clsact: operation not permitted"},
	} {
		want := features.Feature{Name: "x", State: tt.state, Detail: tt.detail}
		if got := finding("x", tt.err); got != want {
			t.Errorf("%v: %+v, want %+v", tt.err, got, want)
		}
	}
}

// It must not run where it was built.
func TestRefuses(t *testing.T) {
	if os.Getppid() == 1 {
		t.Skip("this is a guest")
	}
	if err := run(); err == nil || !strings.Contains(err.Error(), "guests of vmtest") {
		t.Errorf("outside of a guest: %v", err)
	}
}
