package host

import (
	"context"
	"slices"
)

// Options say what to look at.
type Options struct {
	// Groups limits the checks; empty means all of [Groups].
	Groups []Group
	// CacheDir is where kernels and verdicts are kept. It need not exist.
	CacheDir string
}

// Doctor looks at this machine. It changes nothing but the remembered verdict
// on KVM in the cache directory. What it finds wrong is in the report; the
// error is ctx's.
func Doctor(ctx context.Context, o Options) (Report, error) {
	groups := o.Groups
	if len(groups) == 0 {
		groups = Groups()
	}
	var checks []Check
	for _, p := range programs {
		if slices.Contains(groups, p.group) {
			checks = append(checks, p.check(ctx))
		}
	}
	for _, f := range files {
		if slices.Contains(groups, f.group) {
			checks = append(checks, f.check())
		}
	}
	for _, h := range headers {
		if slices.Contains(groups, h.group) {
			checks = append(checks, h.check(ctx))
		}
	}
	if slices.Contains(groups, Run) {
		checks = append(checks, checkKVM(ctx, o.CacheDir), checkUser(), checkSpace(o.CacheDir), checkMemory(), checkCores())
	}
	order := Groups()
	slices.SortStableFunc(checks, func(a, b Check) int {
		return slices.Index(order, a.Group) - slices.Index(order, b.Group)
	})
	prescribe(checks, systemManager())
	return Report{Checks: checks}, ctx.Err()
}

// prescribe adds the command that installs what is not there.
func prescribe(checks []Check, m manager) {
	for i := range checks {
		c := &checks[i]
		if c.Status == OK || c.supply == "" {
			continue
		}
		if names := packages[c.supply][m]; len(names) > 0 {
			c.Remedy = commandLine(append(slices.Clone(shownInstall[m]), names...))
		}
	}
}

// shownInstall is how a person would install a package.
var shownInstall = map[manager][]string{
	apt:    {"sudo", "apt-get", "install"},
	dnf:    {"sudo", "dnf", "install"},
	pacman: {"sudo", "pacman", "-S"},
	zypper: {"sudo", "zypper", "install"},
	apk:    {"sudo", "apk", "add"},
}
