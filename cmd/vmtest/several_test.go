package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bpf-vmtest/bpf-vmtest/builder"
)

// Building goes on after a failure; the table has them all, and the exit code
// says that something was wrong.
func TestBuildSeveral(t *testing.T) {
	image := filepath.Join(t.TempDir(), "bzImage")
	if err := os.WriteFile(image, make([]byte, 3<<20/2), 0o644); err != nil {
		t.Fatal(err)
	}
	want := func(name, flavour string) wantedKernel {
		return wantedKernel{name: name, options: builder.Options{Arch: "amd64", Flavour: flavour}}
	}
	build := func(_ context.Context, w wantedKernel) (*finishedKernel, error) {
		if w.name == "6.1" {
			return &finishedKernel{}, usagef("mend it", "broken")
		}
		k := &finishedKernel{Result: &builder.Result{Release: w.name + ".9", Image: image, Cached: w.options.Flavour != ""}, digest: "sha256:" + w.name}
		return k, nil
	}
	var stdout, stderr bytes.Buffer
	a := &app{stdout: &stdout, stderr: &stderr}
	err := a.buildSeveral(t.Context(), []wantedKernel{want("6.1", ""), want("7.2", ""), want("6.12", "debug")}, build)
	if code := exitError(3); err != code {
		t.Errorf("error = %v, want %v", err, code)
	}
	table := `VERSION  RELEASE  ARCH   FLAVOUR  RESULT  SECONDS  IMAGE    DIGEST
6.1      -        amd64  default  failed  0        -        -
7.2      7.2.9    amd64  default  built   0        1.5 MiB  sha256:7.2
6.12     6.12.9   amd64  debug    cached  0        1.5 MiB  sha256:6.12
`
	if diff := cmp.Diff(table, regexp.MustCompile(`(built  |failed |cached ) [0-9]+ `).ReplaceAllString(stdout.String(), "$1 0 ")); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}
	messages := `vmtest: 6.1 amd64: kernel 1 of 3
vmtest: error: build linux 6.1 amd64: broken
vmtest: hint: mend it
vmtest: 7.2 amd64: kernel 2 of 3
vmtest: 6.12 amd64 debug: kernel 3 of 3
`
	if diff := cmp.Diff(messages, stderr.String()); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
	if err := a.buildSeveral(t.Context(), []wantedKernel{want("7.2", "")}, build); err != nil {
		t.Error(err)
	}
}

// An interrupt ends the series; what is finished is shown.
func TestBuildSeveralInterrupted(t *testing.T) {
	var stdout, stderr bytes.Buffer
	a := &app{stdout: &stdout, stderr: &stderr}
	ctx, cancel := context.WithCancel(t.Context())
	err := a.buildSeveral(ctx, []wantedKernel{{name: "7.2"}, {name: "6.12"}, {name: "6.1"}}, func(ctx context.Context, w wantedKernel) (*finishedKernel, error) {
		if w.name == "6.12" {
			cancel()
			return nil, ctx.Err()
		}
		return &finishedKernel{Result: &builder.Result{}, digest: "sha256:0"}, nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error = %v", err)
	}
	if got := stdout.String(); strings.Count(got, "\n") != 2 || !strings.Contains(got, "\n7.2 ") {
		t.Errorf("table:\n%s", got)
	}
}
