package patch

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// A MissingGitError says that git is not installed.
type MissingGitError struct{ Cause error }

func (e *MissingGitError) Error() string { return "apply patches: " + e.Cause.Error() }
func (e *MissingGitError) Unwrap() error { return e.Cause }

// Hint says how to install it.
func (e *MissingGitError) Hint() string { return "vmtest setup -for build installs it" }

func asMissingGit(err error) error {
	if errors.Is(err, exec.ErrNotFound) {
		return &MissingGitError{err}
	}
	return nil
}

// A gitError is what git said against it.
type gitError struct{ stderr string }

func (e *gitError) Error() string {
	return "git: " + strings.NewReplacer("error: ", "", "fatal: ", "", "\n", "; ").Replace(e.stderr)
}

// git runs git in a directory, as if there were neither a repository around it
// nor a configuration: with them it may ignore white space, or files.
func git(ctx context.Context, dir string, stdin []byte, args ...string) (string, error) {
	if dir == "" {
		dir = os.TempDir()
	}
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = dir
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "LC_ALL=C",
		"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=" + os.DevNull,
		"GIT_CEILING_DIRECTORIES=" + filepath.Dir(dir),
	}
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(stdin), &stdout, &stderr
	err := cmd.Run()
	if text := strings.TrimSpace(stderr.String()); err != nil && text != "" && ctx.Err() == nil {
		err = &gitError{text}
	}
	return stdout.String(), errors.Join(err, ctx.Err())
}
