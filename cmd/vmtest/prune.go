package main

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/bpf-vmtest/bpf-vmtest/internal/attest"
	"github.com/bpf-vmtest/bpf-vmtest/internal/cache"
)

// pruneCache removes from the cache what was used longest ago and prints it.
func (a *app) pruneCache(ctx context.Context, args []string) error {
	p := cache.Pruning{Size: -1}
	fs := a.flagSet("kernel prune")
	fs.BoolVar(&p.Trial, "n", false, "remove nothing, print what would be removed")
	fs.Func("to", "remove until the cache, with sources and built kernels, takes no more than this `size`, as in 5GiB", func(s string) (err error) {
		p.Size, err = parseSize(s)
		p.Built = true
		return err
	})
	fs.Func("older", "remove what has not been used for this `time`, as in 30d or 12h", func(s string) (err error) {
		p.Age, err = parseAge(s)
		p.Built = true
		return err
	})
	if err := parseFlags(fs, args); err != nil {
		return err
	}
	if fs.NArg() > 0 {
		return usagef("vmtest kernel prune -to 5GiB", "kernel prune: unexpected argument %q", fs.Arg(0))
	}
	dir, err := cacheDir()
	if err != nil {
		return err
	}
	kernels, err := a.store(dir, "", verifyMode{attest.Off})
	if err != nil {
		return err
	}
	if !p.Built {
		p.Size = kernels.Limit
	}
	r, err := kernels.Prune(ctx, p)
	if err := a.printPruned(r); err != nil {
		return err
	}
	if err != nil {
		return err
	}
	done := "freed"
	if p.Trial {
		done = "would free"
	}
	a.progress(fmt.Sprintf("%s %s, %s stay", done, size(r.Freed()), size(r.Stays)))
	if r.InUse > 0 {
		a.progress(fmt.Sprintf("%d are in use and stay, too", r.InUse))
	}
	return nil
}

func (a *app) printPruned(r cache.Report) error {
	w := tabwriter.NewWriter(a.stdout, 0, 8, 2, ' ', 0)
	for _, e := range r.Removed {
		fmt.Fprintf(w, "%s\t%.20s\t%s\t%s\tused %s\n", e.What, e.Name, cmp.Or(e.Of, "-"), size(e.Size), e.Used.Format(time.DateOnly))
	}
	return w.Flush()
}

func size(bytes int64) string { return humanize.IBytes(uint64(bytes)) }

// parseAge reads a duration, also in days, which package time does not know
// because not all have 24 hours.
func parseAge(s string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.Atoi(days)
		if err == nil && n > 0 && n < 100000 {
			return time.Duration(n) * 24 * time.Hour, nil
		}
	} else if d, err := time.ParseDuration(s); err == nil && d > 0 {
		return d, nil
	}
	return 0, fmt.Errorf("%q is not a time, as 30d or 12h is", s)
}
