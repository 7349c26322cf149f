package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/bpf-vmtest/bpf-vmtest/internal/action"
	"github.com/bpf-vmtest/bpf-vmtest/internal/bundle"
	"github.com/bpf-vmtest/bpf-vmtest/internal/record"
	"github.com/bpf-vmtest/bpf-vmtest/internal/report"
	"github.com/bpf-vmtest/bpf-vmtest/internal/result"
)

// lastRun opens a recorded stream: the named file, or the last run's.
func (a *app) lastRun(file string) (*os.File, error) {
	if file != "" {
		return os.Open(file)
	}
	cache, err := cacheDir()
	if err != nil {
		return nil, err
	}
	dir, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	f, err := record.Last(cache, dir)
	if errors.Is(err, record.ErrNone) {
		return nil, usagef("run `vmtest test` here first, or name a recorded stream", "%v", err)
	}
	return f, err
}

// reportFlags are those of vmtest report.
type reportFlags struct {
	outputs
	file     string // what is printed goes there
	merge    bool
	expect   stringList
	exitCode bool
	bundle   bool
}

func (a *app) report(_ context.Context, args []string) error {
	var r reportFlags
	fs := a.flagSet("report")
	r.register(fs, false)
	fs.BoolVar(&r.verbose, "v", false, "show what passing tests printed, too")
	fs.StringVar(&r.file, "o", "", "print to this `file`")
	fs.BoolVar(&r.merge, "merge", false, "join several streams, or all below directories, into one report")
	fs.Var(&r.expect, "expect", "the `kernels`, separated by commas, that -merge must find; in this order they are shown")
	fs.BoolVar(&r.exitCode, "exit-code", false, "exit as the run did, and with 3 when its stream has no end or lacks a kernel that is expected")
	fs.BoolVar(&r.bundle, "bundle", false, "say what the run has left beside its results, and where, instead of reporting")
	if err := parseFlags(fs, args); err != nil {
		return err
	}
	if err := r.check(); err != nil {
		return err
	}
	if !r.merge && (fs.NArg() > 1 || len(r.expect) > 0) {
		return usagef("-merge joins several streams", "report: want one stream")
	}
	if r.bundle && r.merge {
		return usagef("each run has its own", "report: -bundle is about one run")
	}
	if r.bundle {
		return a.explainBundle(fs.Arg(0))
	}
	if err := a.renderTo(&r, fs.Args()); err != nil {
		return err
	}
	if r.exitCode {
		return exit(r.matrix.Code(), nil)
	}
	return nil
}

// explainBundle says what a run has left: the last one, or the one whose stream
// is in a file.
func (a *app) explainBundle(file string) error {
	f, err := a.lastRun(file)
	if err != nil {
		return err
	}
	defer f.Close()
	dir := ""
	err = result.Decode(f, result.SinkFunc(func(e result.Event) error {
		if e.Action == result.Header {
			dir = e.Run.Bundle
		}
		return nil
	}))
	if err != nil {
		return err
	}
	if dir == "" {
		return usagef("run the tests again", "report: that run has left nothing but its results")
	}
	if _, err := os.Stat(dir); err != nil {
		return usagef("look where that run was, or where its artifacts are kept", "report: %v", err)
	}
	fmt.Fprintf(a.stdout, "%s\n\n", dir)
	return bundle.Explain(a.stdout, dir)
}

// renderTo writes all reports, the one that is printed to the file that -o names.
func (a *app) renderTo(r *reportFlags, args []string) error {
	if r.file == "" {
		return a.render(r, a.stdout, args)
	}
	f, err := report.Create(r.file)
	if err != nil {
		return err
	}
	defer f.Cancel()
	if err := a.render(r, f, args); err != nil {
		return err
	}
	return f.Close()
}

// render reads streams and writes all reports of them.
func (a *app) render(r *reportFlags, stdout io.Writer, args []string) error {
	sources, closeAll, err := a.sources(r, args)
	if err != nil {
		return err
	}
	defer closeAll()
	sink, err := r.open(a, stdout)
	if err != nil {
		return err
	}
	if r.merge {
		err = result.Merge(sources, r.expected(), sink)
	} else {
		err = result.Decode(sources[0].R, sink)
	}
	if err != nil { // half a report would look like a whole one
		r.cancel()
		return err
	}
	return r.close(a, stdout)
}

func (r *reportFlags) expected() []string {
	var names []string
	for _, list := range r.expect {
		for name := range strings.SplitSeq(list, ",") {
			if name = strings.TrimSpace(name); name != "" {
				names = append(names, name)
			}
		}
	}
	return names
}

// sources opens the streams that the arguments name: the last run's when there
// is none.
func (a *app) sources(r *reportFlags, args []string) (sources []result.Source, closeAll func(), err error) {
	names := args
	if r.merge {
		if names, err = streamsIn(args); err != nil {
			return nil, nil, err
		}
	}
	if len(names) == 0 {
		names = []string{""}
	}
	var files []*os.File
	closeFiles := func() {
		for _, f := range files {
			f.Close()
		}
	}
	for _, name := range names {
		f, err := a.lastRun(name)
		if err != nil {
			closeFiles()
			return nil, nil, err
		}
		files = append(files, f)
		sources = append(sources, result.Source{Name: f.Name(), R: f})
	}
	return sources, closeFiles, nil
}

// streamsIn replaces directories by the streams below them, for that is how CI
// brings artifacts back.
func streamsIn(args []string) ([]string, error) {
	var names []string
	for _, arg := range args {
		if info, err := os.Stat(arg); err != nil || !info.IsDir() {
			names = append(names, arg)
			continue
		}
		before := len(names)
		err := filepath.WalkDir(arg, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() && path != arg && d.Name() == action.BundleName {
				return fs.SkipDir // what is in there was written by tests
			}
			if err == nil && !d.IsDir() && strings.HasSuffix(path, ".jsonl") {
				names = append(names, path)
			}
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("look for result streams: %w", err)
		}
		if len(names) == before {
			return nil, usagef("vmtest test -jsonl FILE writes one", "no result stream (*.jsonl) is below %s", arg)
		}
	}
	return names, nil
}
