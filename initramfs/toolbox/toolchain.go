package toolbox

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// neutral are settings of the go command that are meant for the user's own
// code; here each gets a value that changes nothing. An empty one would not do,
// because then the settings of go env -w come into force.
var neutral = map[string]string{
	"GOFLAGS": "-buildvcs=false", "GOWORK": "off", "GOTOOLCHAIN": "local", "GOPACKAGESDRIVER": "off",
}

// A toolchain is the host's Go.
type toolchain struct{ root, path, version string }

// findToolchain asks the go command in PATH.
func findToolchain(ctx context.Context) (toolchain, error) {
	var env struct{ GOROOT, GOPATH, GOVERSION string }
	out, err := toolchain{}.run(ctx, "", nil, "env", "-json", "GOROOT", "GOPATH", "GOVERSION")
	if err != nil {
		return toolchain{}, err
	}
	if err := json.Unmarshal(out, &env); err != nil {
		return toolchain{}, fmt.Errorf("read go env: %w", err)
	}
	return toolchain{root: env.GOROOT, path: env.GOPATH, version: env.GOVERSION}, nil
}

// run runs a go command and returns its standard output; what it says about a
// failure is in the error.
func (t toolchain) run(ctx context.Context, dir string, env []string, args ...string) ([]byte, error) {
	program := "go"
	if t.root != "" {
		program = filepath.Join(t.root, "bin", "go")
	}
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = dir
	cmd.Env = os.Environ()
	for name, value := range neutral {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	cmd.Env = append(cmd.Env, env...)
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	if err := cmd.Run(); err != nil {
		if errors.Is(err, exec.ErrNotFound) {
			return nil, &noGoError{err}
		}
		return out.Bytes(), fmt.Errorf("go %s: %w%s", args[0], err, indented(problems.String()))
	}
	return out.Bytes(), nil
}

func indented(s string) string {
	if s = strings.TrimSpace(s); s == "" {
		return ""
	}
	return "\n\t" + strings.ReplaceAll(s, "\n", "\n\t")
}

type noGoError struct{ err error }

func (e *noGoError) Error() string { return e.err.Error() }
func (e *noGoError) Unwrap() error { return e.err }
func (e *noGoError) Hint() string  { return "install Go: https://go.dev/doc/install" }
