package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/bpf-vmtest/bpf-vmtest/internal/blocklist"
	"github.com/bpf-vmtest/bpf-vmtest/internal/kver"
	"github.com/bpf-vmtest/bpf-vmtest/internal/result"
)

func (a *app) blocklist(_ context.Context, args []string) error {
	fs := a.flagSet("blocklist")
	if err := parseFlags(fs, args); err != nil {
		return err
	}
	switch fs.Arg(0) {
	case "suggest":
		return a.suggest(fs.Arg(1))
	case "check":
		return a.checkBlocklist(fs.Args()[1:])
	case "schema":
		_, err := a.stdout.Write(blocklist.Schema)
		return err
	}
	return usagef("want suggest, check or schema", "blocklist: unknown subcommand %q", fs.Arg(0))
}

// checkBlocklist reads files and says what is wrong with them.
func (a *app) checkBlocklist(files []string) error {
	if len(files) == 0 {
		var err error
		if files, err = blocklist.Find("."); err != nil {
			return err
		}
	}
	list, err := blocklist.Load(files...)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.stdout, "entries: %d, files: %d, errors: none\n", len(list.Entries)+len(list.Allowed), len(files))
	return err
}

// suggest prints entries for what failed in a run.
func (a *app) suggest(file string) error {
	f, err := a.lastRun(file)
	if err != nil {
		return err
	}
	defer f.Close()
	c := collector{kernels: map[string]blocklist.Kernel{}, output: map[[3]string][]string{}}
	if err := result.Decode(f, &c); err != nil {
		return err
	}
	entries, err := blocklist.Suggest(c.results)
	if err != nil {
		return err
	}
	if entries == nil {
		fmt.Fprintln(a.stderr, "vmtest: nothing failed in the last run")
		return nil
	}
	_, err = a.stdout.Write(entries)
	return err
}

// A collector gathers a stream's outcomes with what the tests printed.
type collector struct {
	kernels map[string]blocklist.Kernel
	output  map[[3]string][]string // by kernel, package and test
	results []blocklist.Result
}

func (c *collector) Event(e result.Event) error {
	key := [3]string{e.Kernel, e.Package, e.Test}
	switch e.Action {
	case result.Kernel:
		v, err := kver.FromRelease(e.Machine.Release)
		if err != nil {
			return err
		}
		c.kernels[e.Kernel] = blocklist.Kernel{Name: e.Kernel, Version: v, Arch: e.Machine.Arch}
	case result.Output:
		if !strings.HasPrefix(strings.TrimLeft(e.Output, " "), "--- ") && !strings.HasPrefix(e.Output, "=== ") {
			c.output[key] = append(c.output[key], strings.TrimSuffix(e.Output, "\n"))
		}
	case result.Pass, result.Fail, result.Skip:
		if e.Test == "" || e.Action == result.Fail && e.Block != nil {
			return nil
		}
		lines := c.output[key]
		if e.Reason != "" {
			lines = append(lines, e.Reason)
		}
		c.results = append(c.results, blocklist.Result{
			Kernel: c.kernels[e.Kernel], Package: e.Package, Test: e.Test,
			Outcome: blocklist.Outcome(e.Action), Output: lines,
		})
	}
	return nil
}
