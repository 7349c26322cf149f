package main

import (
	"errors"
	"flag"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/bpf-vmtest/bpf-vmtest/internal/actions"
	"github.com/bpf-vmtest/bpf-vmtest/internal/report"
	"github.com/bpf-vmtest/bpf-vmtest/internal/result"
)

// outputs are the reports that a command makes of a stream: what it prints, and
// the files it writes when the stream has ended.
type outputs struct {
	format  string
	verbose bool
	files   map[string]*string // by format
	stream  string             // path of a file for the stream itself, or empty
	github  bool

	matrix report.Matrix
	kept   *report.File // the stream itself
}

// streamed are the formats that are printed as the events come.
var streamed = []string{"text", "json", "gotest"}

func (o *outputs) register(fs *flag.FlagSet, github bool) {
	fs.StringVar(&o.format, "format", "text", "print the results in this `format`: text, table, summary, junit, html, tap, json, gotest, annotations")
	fs.BoolFunc("json", "short for -format json: print the result stream, see docs/results.md; gotestsum and other readers of go test -json want -format gotest", func(s string) error {
		if on, err := strconv.ParseBool(s); err != nil || !on {
			return err
		}
		o.format = "json"
		return nil
	})
	o.files = map[string]*string{}
	for _, f := range report.Formats {
		if f.File {
			o.files[f.Name] = fs.String(f.Name, "", "write "+f.What+" to this `file`, too")
		}
	}
	fs.StringVar(&o.stream, "jsonl", "", "write the result stream to this `file`, too")
	fs.BoolVar(&o.github, "github", github, "append to the job's summary, and annotate failures, as GitHub Actions wants it")
}

// check makes sure that the formats are known before anything is done.
func (o *outputs) check() error {
	if !slices.Contains(streamed, o.format) {
		return report.CheckFormat(o.format)
	}
	return nil
}

// printsGoTest reports whether nothing is wanted but what go test itself can
// print.
func (o *outputs) printsGoTest() bool {
	for _, file := range o.files {
		if *file != "" {
			return false
		}
	}
	return o.stream == "" && slices.Contains(streamed, o.format)
}

// progress says what is being done. To gotestsum each line on standard error is an
// error.
func (o *outputs) progress(a *app) func(string) {
	return func(what string) {
		if o.format != "gotest" || strings.HasPrefix(what, "warning: ") {
			a.progress(what)
		}
	}
}

// open begins the reports, the one that is printed on stdout.
func (o *outputs) open(a *app, stdout io.Writer) (result.Sink, error) {
	sink := sinks{&o.matrix}
	if o.stream != "" {
		f, err := report.Create(o.stream)
		if err != nil {
			return nil, err
		}
		o.kept = f
		sink = append(sink, result.Encode(f))
	}
	jsonOut := stdout
	if a.log != nil && stdout == a.stdout {
		jsonOut = a.log.JSON()
	}
	switch o.format {
	case "text":
		sink = append(sink, &report.Text{Out: stdout, Notes: a.stderr, Verbose: o.verbose, Matrix: &o.matrix})
	case "json":
		sink = append(sink, result.Encode(jsonOut))
	case "gotest":
		sink = append(sink, report.NewGoTest(jsonOut))
	}
	return sink, nil
}

// close writes what is written at the end. Of a run that did not begin there is
// nothing to report.
func (o *outputs) close(a *app, stdout io.Writer) error {
	defer o.cancel()
	if o.matrix.Empty() {
		return nil
	}
	var errs []error
	if o.kept != nil {
		errs = append(errs, o.kept.Close())
	}
	if !slices.Contains(streamed, o.format) {
		if o.format == "annotations" && a.log != nil && stdout == a.stdout {
			stdout = a.commands()
		}
		errs = append(errs, o.matrix.Write(stdout, o.format))
	}
	for _, f := range report.Formats {
		if path := o.files[f.Name]; path != nil && *path != "" {
			errs = append(errs, o.write(*path, f.Name))
		}
	}
	if o.github {
		errs = append(errs, actions.AppendSummary(o.matrix.Summary), o.matrix.WriteAnnotations(a.commands()))
	}
	return errors.Join(errs...)
}

// cancel writes nothing.
func (o *outputs) cancel() {
	if o.kept != nil {
		o.kept.Cancel()
	}
}

func (o *outputs) write(path, format string) error {
	f, err := report.Create(path)
	if err != nil {
		return err
	}
	defer f.Cancel()
	if err := o.matrix.Write(f, format); err != nil {
		return err
	}
	return f.Close()
}

// commands is where workflow commands are read: standard error, since standard
// output may be a report.
func (a *app) commands() io.Writer {
	if a.log != nil {
		return a.log.Commands()
	}
	return a.stderr
}

// sinks hands each event to all of them.
type sinks []result.Sink

func (s sinks) Event(e result.Event) error {
	var errs []error
	for _, sink := range s {
		errs = append(errs, sink.Event(e))
	}
	return errors.Join(errs...)
}
