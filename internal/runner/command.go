package runner

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/bpf-vmtest/bpf-vmtest/internal/blocklist"
	"github.com/bpf-vmtest/bpf-vmtest/internal/gotest"
	"github.com/bpf-vmtest/bpf-vmtest/internal/result"
	"github.com/bpf-vmtest/bpf-vmtest/internal/workspace"
)

// A command that is run instead of tests is the only test, of this name, of a
// package that is called as the command reads.
const commandTest = "command"

// commandName is the command line as a package's name, in characters at most.
const commandName = 80

// loadCommand is load for a command. Without a Go toolchain there is nothing of
// Go's to share. Of the blocklist, what it says about faults of kernels counts.
func (r *Run) loadCommand(ctx context.Context) ([]*gotest.Package, error) {
	env, err := r.Go.Environment(ctx)
	var missing *gotest.ToolchainError
	if err != nil && !errors.As(err, &missing) {
		return nil, err
	}
	r.space = workspace.Workspace{
		Go: env, Arch: r.Arch, Dirs: []string{r.Go.Dir}, Mounts: r.Mounts, Hermetic: r.Hermetic, Env: r.Env,
	}
	module := r.Go.Dir
	if filepath.Base(env.GOMOD) == "go.mod" {
		module = filepath.Dir(env.GOMOD)
	}
	list, err := r.Blocklist([]string{module})
	if err != nil {
		return nil, err
	}
	r.list = &blocklist.List{Splats: list.Splats}
	name := []rune(strings.Join(strings.Fields(r.Command), " "))
	if len(name) > commandName {
		name = append(name[:commandName-1], '…')
	}
	return []*gotest.Package{{ImportPath: string(name), Dir: r.Go.Dir, Tests: []gotest.Test{{Name: commandTest}}}}, nil
}

// runCommand runs the command as a test. An error means that the kernel is lost.
func (pr *packageRun) runCommand(ctx context.Context) error {
	pr.begins(commandTest)
	pr.emit(result.Event{Action: result.Run, Test: commandTest})
	say := func(s string) {
		e := result.Event{Action: result.Output, Test: commandTest, Output: s}
		if pr.flooded {
			return
		}
		pr.printed(e)
		pr.emit(e)
		pr.spend(e)
	}
	out := &lines{each: say}
	c := pr.shell(pr.Command)
	c.Env = append(c.Env, "VMTEST_ARTIFACTS="+pr.pkg.guestArtifacts())
	c.Stdout = out
	exited, timedOut, err := pr.exec(ctx, pr.pkg.ImportPath, c)
	out.close()
	collectErr := pr.collect(ctx, err)
	pr.splats(pr.pkg.ImportPath, nil)

	end := result.Event{Action: result.Pass, Test: commandTest}
	status := exited.Code
	exited.Code = 0
	switch reason := pr.orFlood(endReason(exited, pr.Flags.Timeout, timedOut)); {
	case err != nil:
		end.Action, end.Reason = result.Fail, err.Error()
	case reason != "":
		end.Action, end.Reason = result.Fail, reason
	case status != 0:
		say(fmt.Sprintf("exit status %d\n", status))
		end.Action = result.Fail
	}
	if end.Action == result.Fail {
		pr.failed = append(pr.failed, commandTest)
		pr.fails(commandTest)
	}
	end.Elapsed = result.Seconds(time.Since(pr.start))
	pr.emit(end)
	pr.end(end.Action, "")
	return errors.Join(err, collectErr, pr.kept.err)
}
