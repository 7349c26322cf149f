package main

import (
	"flag"
	"path/filepath"
	"strings"

	"github.com/bpf-vmtest/bpf-vmtest/internal/bundle"
	"github.com/bpf-vmtest/bpf-vmtest/internal/guest"
	"github.com/bpf-vmtest/bpf-vmtest/internal/record"
)

// artifactFlags are about what a run leaves beside its results.
type artifactFlags struct {
	dir   string
	limit string
	bytes int64

	outputLimit string
	output      int64
}

// What the tests' files of one kernel may come to.
const (
	defaultArtifacts = "256MiB" // a verifier's log may have 16, and some do
	maxArtifacts     = 10_000   // files
	defaultOutput    = "256MiB" // of a package; in the stream it takes about twice as much
)

func (f *artifactFlags) register(fs *flag.FlagSet) {
	fs.StringVar(&f.dir, "artifacts", "", "keep consoles, logs of failed tests and what tests write to VMTEST_ARTIFACTS in this `directory`, see docs/bundle.md (default: beside the results)")
	fs.StringVar(&f.limit, "artifacts-limit", defaultArtifacts, "the `size` that the tests' files on one kernel may have")
	fs.StringVar(&f.outputLimit, "output-limit", defaultOutput, "the `size` of what a package may print on one kernel; more is dropped, and fails it")
}

func (f *artifactFlags) check() (err error) {
	// For go test it is a flag without a value.
	if strings.Contains(f.dir, "...") || strings.HasPrefix(f.dir, "-") {
		return usagef("as in -artifacts out ./...", "-artifacts %s: want a directory", f.dir)
	}
	if f.bytes, err = parseSize(f.limit); err != nil || f.bytes == 0 {
		return usagef("write a size, as in 1GiB", "-artifacts-limit %s is not a size", f.limit)
	}
	if f.output, err = parseSize(f.outputLimit); err != nil || f.output == 0 {
		return usagef("write a size, as in 1GiB", "-output-limit %s is not a size", f.outputLimit)
	}
	return nil
}

func (f *artifactFlags) limits() guest.Limits {
	return guest.Limits{Bytes: f.bytes, Files: maxArtifacts}
}

// open begins the bundle: in the record's directory unless another is named.
func (f *artifactFlags) open(rec *record.Record) (*bundle.Bundle, error) {
	if f.dir != "" {
		return bundle.Open(f.dir)
	}
	dir, err := filepath.Abs(rec.Dir)
	return &bundle.Bundle{Dir: dir}, err
}
