package gotest

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
)

func TestTargetEnviron(t *testing.T) {
	foreign := map[string]string{"amd64": "arm64", "arm64": "amd64"}[runtime.GOARCH]
	cc := crossCompilers[foreign].name
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, cc), []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		target Target
		env    []string
		path   string
		want   []string // GOARCH, CGO_ENABLED, CC; nil for an error
	}{
		{"native", Target{Arch: runtime.GOARCH}, nil, "", []string{"", "", ""}},
		{"native, no C library", Target{Arch: runtime.GOARCH, Static: true}, nil, "", []string{"", "0", ""}},
		{"native, no C library, -race", Target{Arch: runtime.GOARCH, Static: true, Cgo: true}, nil, "", []string{"", "", ""}},
		{"native, no C library, asked for", Target{Arch: runtime.GOARCH, Static: true}, []string{"CGO_ENABLED=1"}, "", []string{"", "1", ""}},
		{"foreign", Target{Arch: foreign}, []string{"GOARCH=mips", "GOOS=plan9", "CC=gcc"}, dir, []string{foreign, "0", "gcc"}},
		{"foreign, -race", Target{Arch: foreign, Cgo: true}, nil, dir, []string{foreign, "1", cc}},
		{"foreign, cgo", Target{Arch: foreign}, []string{"CGO_ENABLED=1"}, dir, []string{foreign, "1", cc}},
		{"foreign, own compiler", Target{Arch: foreign, Cgo: true}, []string{"CC=zig cc"}, "", []string{foreign, "1", "zig cc"}},
		{"foreign, no compiler", Target{Arch: foreign, Cgo: true}, nil, "", nil},
		{"foreign, no compiler for cgo", Target{Arch: foreign}, []string{"CGO_ENABLED=0", "CGO_ENABLED=1"}, "", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("PATH", tt.path)
			env, err := tt.target.Environ(tt.env)
			if tt.want == nil {
				var missing *CompilerError
				if !errors.As(err, &missing) || missing.Hint() == "" {
					t.Errorf("Environ = %q, %v", env, err)
				}
				return
			}
			got := []string{variable(env, "GOARCH"), variable(env, "CGO_ENABLED"), variable(env, "CC")}
			if err != nil || !slices.Equal(got, tt.want) {
				t.Errorf("GOARCH, CGO_ENABLED and CC are %q, %v, want %q", got, err, tt.want)
			}
			if variable(env, "GOOS") != "linux" {
				t.Errorf("GOOS=%s", variable(env, "GOOS"))
			}
		})
	}
}

func TestCheckArch(t *testing.T) {
	for _, tt := range []struct {
		goarch, guest string
		ok            bool
	}{
		{"amd64", "amd64", true}, {"386", "amd64", true}, {"arm64", "arm64", true}, {"arm", "arm64", true},
		{"arm64", "amd64", false}, {"amd64", "arm64", false}, {"386", "arm64", false}, {"riscv64", "amd64", false},
	} {
		if err := CheckArch(tt.goarch, tt.guest); (err == nil) != tt.ok {
			t.Errorf("CheckArch(%s, %s) = %v", tt.goarch, tt.guest, err)
		}
	}
}
