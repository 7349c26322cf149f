package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/bpf-vmtest/bpf-vmtest/internal/host"
	"github.com/bpf-vmtest/bpf-vmtest/internal/runner"
)

func (a *app) doctor(ctx context.Context, args []string) error {
	fs := a.flagSet("doctor")
	group := fs.String("for", "run", groupUsage("look at"))
	if err := parseFlags(fs, args); err != nil {
		return err
	}
	groups, err := parseGroups(*group)
	if err != nil {
		return err
	}
	cache, err := cacheDir()
	if err != nil {
		return err
	}
	report, err := host.Doctor(ctx, host.Options{Groups: groups, CacheDir: cache})
	if err != nil {
		return err
	}
	if err := report.Write(a.stdout); err != nil {
		return err
	}
	if len(report.Missing()) > 0 {
		fmt.Fprintf(a.stderr, "vmtest: hint: `vmtest setup -for %s` installs what is missing\n", *group)
		return exitError(runner.ExitInfra)
	}
	return nil
}

func (a *app) setup(ctx context.Context, args []string) error {
	fs := a.flagSet("setup")
	group := fs.String("for", "run", groupUsage("install"))
	dry := fs.Bool("n", false, "print the commands and run none")
	if err := parseFlags(fs, args); err != nil {
		return err
	}
	groups, err := parseGroups(*group)
	if err != nil {
		return err
	}
	cache, err := cacheDir()
	if err != nil {
		return err
	}
	return host.Setup(ctx, host.SetupOptions{Groups: groups, CacheDir: cache, DryRun: *dry, Stdout: a.stdout})
}

func groupUsage(verb string) string {
	return "what to " + verb + ": `purposes` of run, build, bpf, dev, arm64 or all, separated by commas"
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
