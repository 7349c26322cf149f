package distro

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/bpf-vmtest/bpf-vmtest/internal/kver"
)

// chooser says which packages of a suite are of interest, and which of those,
// given newest first and all of the wanted version, make up the result; none
// of them is no result.
type chooser struct {
	match  func(name string) bool
	choose func([]entry) []entry
}

// found is what a search ends with: packages of one suite.
type found struct {
	root    *root
	entries []entry
}

// find searches the suites for the query's version.
func (a *Apt) find(ctx context.Context, q Query, c chooser) (*found, error) {
	if _, err := path.Match(q.Package, ""); err != nil {
		return nil, fmt.Errorf("parse package pattern %q: %w", q.Package, err)
	}
	if releases[q.Distribution] == nil {
		return nil, fmt.Errorf("find package %q: unknown distribution %q: want debian or ubuntu", q.Package, q.Distribution)
	}
	missing := &NotFoundError{What: q.String()}
	var failed error
	for _, suite := range Suites(q.Distribution, q.Version, q.Suite) {
		f, has, err := a.findIn(ctx, suite, q, c)
		switch {
		case f != nil:
			return f, nil
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err == nil:
			missing.Suites = append(missing.Suites, suite)
			missing.add(has)
		case errors.As(err, new(*hinted)) || unreachable(err):
			return nil, err // the next suite would do no better
		default: // a mirror need not have every suite
			a.warn(err.Error())
			failed = err
		}
	}
	if failed != nil {
		return nil, failed
	}
	return nil, missing
}

// unreachable reports whether apt could not talk to the mirror at all. It has
// no other way of telling than its messages.
func unreachable(err error) bool {
	for _, text := range []string{"Could not connect", "Could not resolve", "Temporary failure resolving", "Unable to connect", "Connection timed out", "Cannot initiate the connection"} {
		if strings.Contains(err.Error(), text) {
			return true
		}
	}
	return false
}

// findIn searches one suite. Without a result it returns what the suite has in
// other versions.
func (a *Apt) findIn(ctx context.Context, suite string, q Query, c chooser) (*found, []entry, error) {
	r, unlock, err := a.openRoot(ctx, q.Distribution, suite)
	if err != nil {
		return nil, nil, err
	}
	defer unlock()
	entries, err := r.index(ctx, c.match)
	if err != nil {
		return nil, nil, err
	}
	wanted := slices.DeleteFunc(slices.Clone(entries), func(e entry) bool { return !e.matches(q.Version) })
	slices.SortStableFunc(wanted, func(x, y entry) int { return compareVersions(y.version, x.version) })
	if len(wanted) == 0 {
		return nil, entries, nil
	}
	chosen := c.choose(wanted)
	if len(chosen) == 0 {
		return nil, entries, nil
	}
	return &found{r, chosen}, nil, nil
}

// String is the query as a user would write it, as far as that goes.
func (q Query) String() string {
	s := q.Distribution + ":"
	switch {
	case q.Package != "":
		s = q.Package
	case q.Version != kver.Version{}:
		s += q.Version.String()
	}
	if q.Suite != "" {
		s += "@" + q.Suite
	}
	return s
}

// add records the kernel versions among the entries.
func (e *NotFoundError) add(has []entry) {
	versions := make(map[kver.Version]bool)
	for _, x := range has {
		versions[x.upstream()] = true
	}
	delete(versions, kver.Version{})
	for _, s := range e.Has {
		if v, err := kver.Parse(s); err == nil {
			versions[v] = true
		}
	}
	var sorted []kver.Version
	for v := range versions {
		sorted = append(sorted, v)
	}
	slices.SortFunc(sorted, func(v, w kver.Version) int { return w.Compare(v) })
	e.Has = nil
	for _, v := range sorted {
		e.Has = append(e.Has, v.String())
	}
}
