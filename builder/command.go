package builder

import (
	"bytes"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// run runs a short command; its error holds the end of what it printed.
func run(cmd *exec.Cmd) error {
	_, err := output(cmd)
	return err
}

// output gives what a short command prints on stdout.
func output(cmd *exec.Cmd) (string, error) {
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := runGroup(cmd); err != nil {
		if text := strings.TrimSpace(stderr.String()); text != "" {
			err = fmt.Errorf("%w: %s", err, text)
		}
		return "", fmt.Errorf("run %s: %w", filepath.Base(cmd.Path), err)
	}
	return stdout.String(), nil
}

// runGroup runs the command in a process group of its own, all of which ends
// with the command's context: make does not pass a signal on to compilers
// that ccache started.
func runGroup(cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	signal := func(s syscall.Signal) error {
		err := syscall.Kill(-cmd.Process.Pid, s)
		if errors.Is(err, syscall.ESRCH) {
			return nil
		}
		return err
	}
	cancelled := false
	if cmd.Cancel != nil { // set by exec.CommandContext
		cmd.Cancel = func() error { cancelled = true; return signal(syscall.SIGTERM) }
	}
	cmd.WaitDelay = 5 * time.Second // then the leader is killed
	err := cmd.Run()
	if cancelled {
		return errors.Join(errors.New("interrupted"), signal(syscall.SIGKILL))
	}
	return err
}
