package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bpf-vmtest/bpf-vmtest/internal/action"
	"github.com/bpf-vmtest/bpf-vmtest/internal/actions"
	"github.com/bpf-vmtest/bpf-vmtest/internal/bundle"
	"github.com/bpf-vmtest/bpf-vmtest/internal/lockfile"
)

// action is the GitHub Action of action.yml, in three steps: plan checks the
// inputs and finds out which kernels are meant, fetch brings those into the
// cache, and run runs the tests.
func (a *app) action(ctx context.Context, args []string) error {
	fs := a.flagSet("action")
	if err := parseFlags(fs, args); err != nil {
		return err
	}
	if !actions.Running() || os.Getenv("RUNNER_TEMP") == "" {
		return usagef("the command line that it prints does the same anywhere", "action: this is not a step of GitHub Actions")
	}
	if fs.NArg() == 1 && fs.Arg(0) == "plan" {
		return a.planAction(ctx)
	}
	step := map[string]func(*app, context.Context, *actionRun) error{
		"fetch": (*app).fetchForAction, "run": (*app).runAction,
	}[fs.Arg(0)]
	if step == nil || fs.NArg() != 2 {
		return usagef("vmtest action plan | fetch PLAN | run PLAN", "action: unexpected arguments")
	}
	plan, err := action.ReadPlan(fs.Arg(1))
	if err != nil {
		return err
	}
	if err := os.Setenv("VMTEST_LOCK", plan.Lock); err != nil {
		return err
	}
	r, err := newActionRun(plan)
	if err != nil {
		return err
	}
	return step(a, ctx, r)
}

// actionRun is a plan, with what its command line means.
type actionRun struct {
	*action.Plan
	test  testFlags
	cache string
}

// newActionRun goes to the plan's working directory.
func newActionRun(plan *action.Plan) (*actionRun, error) {
	r := &actionRun{Plan: plan}
	var err error
	if r.cache, err = cacheDir(); err != nil {
		return nil, err
	}
	if err := os.Chdir(plan.Dir); err != nil {
		return nil, usagef("name a directory of the checkout", "input working-directory: %v", err)
	}
	fs := (&app{}).flagSet("test")
	r.test.register(fs)
	return r, r.test.parse(fs, plan.Args)
}

func (a *app) planAction(ctx context.Context) error {
	in, err := action.Read(action.Input, orElse(os.Getenv("VMTEST_REPOSITORY"), defaultRepository))
	if err != nil {
		return err
	}
	temp := os.Getenv("RUNNER_TEMP")
	plan, err := action.NewPlan(in, temp)
	if err != nil {
		return err
	}
	r, err := newActionRun(plan)
	if err != nil {
		return err
	}
	key, err := a.lockForAction(ctx, r)
	if err != nil {
		return err
	}
	path, err := plan.Save(temp)
	if err != nil {
		return err
	}
	outputs := action.Outputs{"plan": path}
	if key != "" && r.Cache && !r.hasKernels() {
		outputs["key"], outputs["cache"] = key, r.cache
	}
	return outputs.Set()
}

// lockForAction writes a lock file, which begins as the module's, so that the
// kernels that are kept, fetched and booted are the same. Its key stands for
// them; it is empty where not all could be found, which is the run's to report.
func (a *app) lockForAction(ctx context.Context, r *actionRun) (key string, err error) {
	lock, err := moduleLock()
	if err != nil {
		return "", err
	}
	lock.Path = r.Lock
	refs, err := r.test.kernels()
	if err != nil {
		return "", err
	}
	kernels, err := a.store(r.cache, r.test.arch, r.test.verify)
	if err != nil {
		return "", err
	}
	arch := string(r.test.arch)
	digests, complete := []string{arch}, true
	for _, ref := range refs {
		pin, moves := lockfile.For(ref, arch)
		if !moves {
			digests = append(digests, ref.String())
			continue
		}
		if there, ok := lock.Find(ref, arch); ok {
			pin = there
		} else if pin, err = kernels.LookUp(ctx, ref); err != nil {
			a.progress(fmt.Sprintf("warning: %v", err))
			complete = false
			continue
		} else if _, err := lock.Set(pin); err != nil {
			return "", err
		}
		digests = append(digests, pin.Digest)
	}
	if complete {
		slices.Sort(digests)
		key = fmt.Sprintf("vmtest-kernels-%x", sha256.Sum256([]byte(strings.Join(digests, "\n"))))
	}
	return key, lock.Save()
}

// hasKernels reports whether the cache is one that stays from job to job, as on
// a machine of one's own.
func (r *actionRun) hasKernels() bool {
	for _, area := range []string{"images", "kernels"} {
		if entries, err := os.ReadDir(filepath.Join(r.cache, area)); err == nil && len(entries) > 0 {
			return true
		}
	}
	return false
}

// fetchForAction brings the kernels into the cache. That is worth keeping only
// when none is missing.
func (a *app) fetchForAction(ctx context.Context, r *actionRun) error {
	refs, err := r.test.kernels()
	if err != nil {
		return err
	}
	kernels, err := a.store(r.cache, r.test.arch, r.test.verify)
	if err != nil {
		return err
	}
	complete := "true"
	for _, ref := range refs {
		if _, err := kernels.Resolve(ctx, ref); err != nil {
			a.progress(fmt.Sprintf("warning: %v", err))
			complete = "false"
		}
	}
	return action.Outputs{"complete": complete}.Set()
}

// runAction runs the tests, and sets the outputs also when they fail.
func (a *app) runAction(ctx context.Context, r *actionRun) error {
	files := action.Files{Dir: r.Artifacts}
	if err := os.RemoveAll(files.Results()); err != nil { // of a run before
		return err
	}
	a.progress("vmtest test " + bundle.Quote(r.Args))
	err := a.test(ctx, slices.Concat([]string{"-setup"}, files.Flags(r.Coverage), r.Args))
	outputs, outErr := files.Outputs()
	if outErr == nil {
		outErr = outputs.Set()
	}
	if err == nil {
		return outErr
	}
	if outErr != nil {
		a.complain(outErr)
	}
	return err
}
