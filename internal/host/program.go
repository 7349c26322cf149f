package host

import (
	"context"
	"fmt"
	"go/version"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// patience is how long a program may take to say its version.
const patience = 20 * time.Second

func (p program) check(ctx context.Context) Check {
	c := Check{Name: p.name, Group: p.group, Status: OK, supply: p.supply}
	if c.supply == "" {
		c.supply = supply(p.name)
	}
	fault := func(detail string) Check {
		c.Status, c.Detail, c.Remedy = Missing, detail, p.instead
		if p.optional {
			c.Status = Warn
		}
		return c
	}

	path, err := p.find()
	if err != nil {
		return fault("not found: " + p.why)
	}
	v, err := p.version(ctx, path)
	switch {
	case err == nil && v.Compare(p.least) < 0:
		return fault(fmt.Sprintf("%s is too old: %s or later is needed", v, p.least))
	case err == nil:
		c.Detail = v.String()
	case p.least != nil:
		return fault(err.Error())
	default: // any version will do, and this program does not tell
		c.Detail = path
	}
	return c
}

// find looks for the program under all of its names.
func (p program) find() (path string, err error) {
	for _, name := range append([]string{p.name}, p.other...) {
		if path, err = lookPath(name); err == nil {
			return path, nil
		}
	}
	return "", err
}

// version asks the program itself.
func (p program) version(ctx context.Context, path string) (Version, error) {
	args := []string{"--version"}
	if p.name == "go" {
		args = []string{"env", "GOVERSION"}
	}
	out, err := output(ctx, path, args...)
	if err != nil {
		return nil, err
	}
	if p.parse != nil {
		return p.parse(out)
	}
	return findVersion(out)
}

// parseGoVersion reads what go env GOVERSION prints: go1.26.8, go1.27rc1, or
// a development version, which is taken for the release it leads to.
func parseGoVersion(output string) (Version, error) {
	name := strings.TrimPrefix(strings.TrimSpace(output), "devel ")
	name, _, _ = strings.Cut(name, " ") // experiments
	name, _, _ = strings.Cut(name, "-") // a commit
	if !version.IsValid(name) {
		return nil, fmt.Errorf("parse Go version %q: not Go's", oneLine(output))
	}
	return findVersion(name)
}

func (f file) check() Check {
	c := Check{Name: f.name, Group: f.group, Status: OK, supply: f.supply}
	for _, path := range f.paths {
		if _, err := os.Stat(path); err == nil {
			c.Detail = path
			return c
		}
	}
	c.Status, c.Detail = Warn, fmt.Sprintf("%s not found: %s", strings.Join(f.paths, " or "), f.why)
	return c
}

func (h header) check(ctx context.Context) Check {
	c := Check{Name: h.name, Group: h.group, Status: OK, Detail: "found", supply: h.supply}
	fault := Missing
	if h.optional {
		fault = Warn
	}
	compiler, err := lookPath(h.compiler)
	if err != nil {
		c.Status, c.Detail = fault, fmt.Sprintf("cannot be looked for without %s: %s", h.compiler, h.why)
		return c
	}
	// The compiler knows its own search path; its -E finds without compiling.
	cmd := command(ctx, compiler, "-E", "-x", "c", "-o", os.DevNull, "-")
	cmd.Stdin = strings.NewReader(fmt.Sprintf("#if !__has_include(<%s>)\n#error missing\n#endif\n", h.include))
	if err := cmd.Run(); err != nil {
		c.Status, c.Detail = fault, fmt.Sprintf("<%s> not found: %s", h.include, h.why)
	}
	return c
}

// lookPath looks where administrators' programs are, too: depmod is not in
// every user's PATH.
func lookPath(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err == nil {
		return path, nil
	}
	for _, dir := range []string{"/usr/sbin", "/sbin"} {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path, nil
		}
	}
	return "", err
}

// command is one that speaks English and never waits for an answer.
func command(ctx context.Context, path string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, path, args...)
	// A go command asked in a module with a toolchain line would fetch it.
	cmd.Env = append(os.Environ(), "LC_ALL=C", "GOTOOLCHAIN=local")
	cmd.WaitDelay = time.Second
	return cmd
}

func output(ctx context.Context, path string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	out, err := command(ctx, path, args...).Output()
	if err != nil {
		return "", fmt.Errorf("run %s: %w", path, err)
	}
	return string(out), nil
}
