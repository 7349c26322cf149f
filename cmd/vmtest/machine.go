package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"strings"

	"github.com/bpf-vmtest/bpf-vmtest/internal/host"
	"github.com/bpf-vmtest/bpf-vmtest/internal/runner"
)

func (a *app) doctor(ctx context.Context, args []string) error {
	p, err := a.purposes(a.flagSet("doctor"), "look at", args)
	if err != nil {
		return err
	}
	report, err := host.Doctor(ctx, host.Options{Groups: p.groups, CacheDir: p.cache})
	if err != nil {
		return err
	}
	if err := report.Write(a.stdout); err != nil {
		return err
	}
	if len(report.Missing()) > 0 {
		fmt.Fprintf(a.stderr, "vmtest: hint: `vmtest setup -for %s` installs what is missing\n", p.asked)
		return exitError(runner.ExitInfra)
	}
	return nil
}

func (a *app) setup(ctx context.Context, args []string) error {
	fs := a.flagSet("setup")
	dry := fs.Bool("n", false, "print the commands and run none")
	p, err := a.purposes(fs, "install", args)
	if err != nil {
		return err
	}
	return host.Setup(ctx, host.SetupOptions{Groups: p.groups, CacheDir: p.cache, DryRun: *dry, Stdout: a.stdout})
}

// purposes are what a machine is looked at, or made complete, for.
type purposes struct {
	asked  string
	groups []host.Group
	cache  string
}

func (a *app) purposes(fs *flag.FlagSet, verb string, args []string) (purposes, error) {
	var p purposes
	var names []string
	for _, g := range host.Groups() {
		names = append(names, string(g))
	}
	fs.StringVar(&p.asked, "for", "run", "what to "+verb+": `purposes` of "+strings.Join(names, ", ")+" or all, separated by commas")
	err := parseFlags(fs, args)
	if err == nil {
		p.groups, err = parseGroups(p.asked)
	}
	if err == nil {
		p.cache, err = cacheDir()
	}
	return p, err
}

func parseGroups(s string) ([]host.Group, error) {
	if s == "all" {
		return host.Groups(), nil
	}
	var groups []host.Group
	var errs []error
	for name := range strings.SplitSeq(s, ",") {
		g, err := host.ParseGroup(name)
		groups, errs = append(groups, g), append(errs, err)
	}
	return groups, errors.Join(errs...)
}
