package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	"github.com/bpf-vmtest/bpf-vmtest/internal/runner"
)

// An outcome is what came of one of several builds.
type outcome struct {
	wantedKernel
	kernel *finishedKernel // nil when it failed
	took   time.Duration
}

// buildSeveral builds one kernel after the other, whether or not those before
// it failed, and prints a table of what came of them.
func (a *app) buildSeveral(ctx context.Context, wanted []wantedKernel, build func(context.Context, wantedKernel) (*finishedKernel, error)) error {
	var outcomes []outcome
	failed := false
	for i, w := range wanted {
		a.progress(fmt.Sprintf("%s: kernel %d of %d", w, i+1, len(wanted)))
		start := time.Now()
		k, err := build(ctx, w)
		if ctx.Err() != nil {
			break
		}
		if err != nil {
			a.complain(fmt.Errorf("build linux %s: %w", w, err))
			k, failed = nil, true
		}
		outcomes = append(outcomes, outcome{w, k, time.Since(start)})
	}
	if len(outcomes) > 0 {
		if err := writeOutcomes(a.stdout, outcomes); err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if failed {
		return exitError(runner.ExitInfra)
	}
	return nil
}

func writeOutcomes(out io.Writer, outcomes []outcome) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "VERSION\tRELEASE\tARCH\tFLAVOUR\tRESULT\tSECONDS\tIMAGE\tDIGEST")
	for _, o := range outcomes {
		release, result, image, digest := "-", "failed", "-", "-"
		if k := o.kernel; k != nil {
			release, result, image, digest = k.Release, "built", mebibytes(k.Image), k.digest
			if k.Cached {
				result = "cached"
			}
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%.0f\t%s\t%s\n", o.name, release, o.options.Arch,
			cmp.Or(o.options.Flavour, defaultFlavour), result, o.took.Seconds(), image, digest)
	}
	return w.Flush()
}

// mebibytes is a file's size.
func mebibytes(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return "-"
	}
	return fmt.Sprintf("%.1f MiB", float64(info.Size())/(1<<20))
}
