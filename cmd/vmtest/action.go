package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/bpf-vmtest/bpf-vmtest/internal/action"
	"github.com/bpf-vmtest/bpf-vmtest/internal/actions"
	"github.com/bpf-vmtest/bpf-vmtest/internal/bundle"
	"github.com/bpf-vmtest/bpf-vmtest/internal/kernelref"
)

// action is the GitHub Action of action.yml, in three steps: plan checks the
// inputs, installs what is missing and finds out which kernels are meant, fetch brings those into the
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
	step := map[string]func(*app, context.Context, *actionJob) error{
		"fetch": (*app).fetchForAction, "run": (*app).runAction,
	}[fs.Arg(0)]
	if step == nil || fs.NArg() != 2 {
		return usagef("vmtest action plan | fetch PLAN | run PLAN", "action: unexpected arguments")
	}
	job, err := action.ReadJob(fs.Arg(1))
	if err != nil {
		return err
	}
	j, err := newActionJob(job, job.LockFile)
	if err != nil {
		return err
	}
	return step(a, ctx, j)
}

// actionJob is what the inputs came to, with what the command line means if it
// is one of vmtest test.
type actionJob struct {
	*action.Job
	test  testFlags
	cache string
}

// newActionJob goes to the job's directory. An empty lock is the module's.
func newActionJob(job *action.Job, lock string) (*actionJob, error) {
	j := &actionJob{Job: job}
	var err error
	if j.cache, err = cacheDir(); err != nil {
		return nil, err
	}
	if err := os.Chdir(job.Dir); err != nil {
		return nil, usagef("name a directory of the checkout", "input working-directory: %v", err)
	}
	if lock != "" {
		if err := os.Setenv("VMTEST_LOCK", lock); err != nil {
			return nil, err
		}
	}
	if job.Mode != action.Test {
		return j, nil
	}
	fs := (&app{}).flagSet("test")
	j.test.register(fs)
	return j, j.test.parse(fs, job.Args)
}

func (a *app) planAction(ctx context.Context) error {
	in, err := action.Read(action.Input, cmp.Or(os.Getenv("VMTEST_REPOSITORY"), defaultRepository))
	if err != nil {
		return err
	}
	temp := os.Getenv("RUNNER_TEMP")
	job, err := action.NewJob(in, temp)
	if err != nil {
		return err
	}
	lock := ""
	if in.Lock != "" {
		lock = job.LockFile
		if err := os.WriteFile(lock, []byte(in.Lock+"\n"), 0o644); err != nil {
			return fmt.Errorf("input lock: %w", err)
		}
	}
	j, err := newActionJob(job, lock)
	if err != nil {
		return err
	}
	key := ""
	switch in.Mode {
	case action.Matrix:
		return a.matrixForAction(ctx, j)
	case action.Test:
		if err := a.setUp(ctx, j.test.arch, j.cache); err != nil {
			return err
		}
		if key, err = a.lockForAction(ctx, j); err != nil {
			return err
		}
	}
	path, err := job.Save(temp)
	if err != nil {
		return err
	}
	outputs := action.Outputs{"plan": path}
	if key != "" && j.Cache && !j.hasKernels() {
		outputs["key"], outputs["cache"] = key, j.cache
	}
	return outputs.Set()
}

// matrixForAction makes the jobs of a matrix.
func (a *app) matrixForAction(ctx context.Context, j *actionJob) error {
	m, err := a.parseMatrix(j.Args)
	if err != nil {
		return err
	}
	refs, err := m.kernels()
	if err != nil {
		return err
	}
	if slices.ContainsFunc(refs, isDistribution) { // which apt looks up
		if err := a.setUp(ctx, m.arch, j.cache); err != nil {
			return err
		}
	}
	legs, err := a.legs(ctx, m)
	if err != nil {
		return err
	}
	text, err := action.JSON(legs)
	if err != nil {
		return err
	}
	fmt.Fprintln(a.stdout, text)
	return action.Outputs{"matrix": text, "kernels": m.kernel}.Set()
}

func isDistribution(ref kernelref.Ref) bool {
	_, ok := ref.Source().(kernelref.Distribution)
	return ok
}

// lockForAction writes a lock file, which begins as the module's, so that the
// kernels that are kept, fetched and booted are the same. Its key stands for
// them; it is empty where not all could be found, which is the run's to report.
func (a *app) lockForAction(ctx context.Context, j *actionJob) (key string, err error) {
	refs, err := j.test.kernels()
	if err != nil {
		return "", err
	}
	p, err := a.newPinner(&j.test.machineFlags)
	if err != nil {
		return "", err
	}
	var digests []string
	complete := true
	for _, ref := range refs {
		switch ref.Source().(type) {
		case kernelref.Path, kernelref.Layout:
			continue // it is here
		}
		pin, err := p.pin(ctx, ref)
		if err != nil {
			a.progress(fmt.Sprintf("warning: %v", err))
			complete = false
		}
		digests = append(digests, cmp.Or(pin.Digest, ref.String()))
	}
	if complete && digests != nil {
		slices.Sort(digests)
		key = fmt.Sprintf("vmtest-kernels-%s-%x", p.store.Arch, sha256.Sum256([]byte(strings.Join(digests, "\n"))))
	}
	p.store.Lock.Path = j.LockFile
	return key, p.store.Lock.Save()
}

// hasKernels reports whether the cache is one that stays from job to job, as on
// a machine of one's own.
func (j *actionJob) hasKernels() bool {
	for _, area := range []string{"images", "kernels"} {
		if entries, err := os.ReadDir(filepath.Join(j.cache, area)); err == nil && len(entries) > 0 {
			return true
		}
	}
	return false
}

// fetchForAction brings the kernels into the cache. That is worth keeping only
// when none is missing.
func (a *app) fetchForAction(ctx context.Context, j *actionJob) error {
	refs, err := j.test.kernels()
	if err != nil {
		return err
	}
	kernels, err := a.store(j.cache, j.test.arch, j.test.verify)
	if err != nil {
		return err
	}
	complete := true
	for _, ref := range refs {
		if _, err := kernels.Resolve(ctx, ref); err != nil {
			a.progress(fmt.Sprintf("warning: %v", err))
			complete = false
		}
	}
	return action.Outputs{"complete": strconv.FormatBool(complete)}.Set()
}

// runAction runs the tests, or joins what was run, and sets the outputs also when
// something failed.
func (a *app) runAction(ctx context.Context, j *actionJob) error {
	files := action.Files{Dir: j.Artifacts}
	if err := os.RemoveAll(files.Results()); err != nil { // of a run before
		return err
	}
	var err error
	if j.Mode == action.Report {
		a.progress("vmtest report " + bundle.Quote(j.Args))
		err = a.report(ctx, slices.Concat(files.ReportFlags(), j.Args))
	} else {
		a.progress("vmtest test " + bundle.Quote(j.Args))
		err = a.test(ctx, slices.Concat(files.TestFlags(j.Coverage), j.Args))
	}
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
