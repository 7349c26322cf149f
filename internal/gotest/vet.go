package gotest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// vetFlags are the analyzers that go test runs by default (go doc cmd/go,
// "high-confidence subset").
var vetFlags = []string{
	"-atomic", "-bool", "-buildtags", "-directive", "-errorsas", "-ifaceassert",
	"-nilfunc", "-printf", "-stringintconv", "-tests",
}

// A VetError says that go vet cannot be used as asked.
type VetError struct{ Reason string }

func (e *VetError) Error() string { return "run go vet: " + e.Reason }

// ExitCode is that of a usage error.
func (e *VetError) ExitCode() int { return 2 }

// Hint says what can be asked for.
func (e *VetError) Hint() string {
	return "-vet takes off, all, or analyzers separated by commas; `go tool vet help` lists them"
}

// Vet runs go vet over packages as go test does, and returns what it found by
// package. What keeps a package from being vetted keeps it from being built,
// and is told then.
func (g Go) Vet(ctx context.Context, mode string, packages []*Package) (map[string]string, error) {
	if mode == "off" || len(packages) == 0 {
		return nil, nil
	}
	flags := vetFlags
	switch mode {
	case "":
	case "all":
		flags = nil
	default:
		flags = nil
		for a := range strings.SplitSeq(mode, ",") {
			flags = append(flags, "-"+a)
		}
	}
	// As JSON: the headers that tell packages apart are not always printed.
	args := append(append([]string{"vet", "-json"}, flags...), g.BuildFlags...)
	for _, p := range packages {
		args = append(args, p.ImportPath)
	}
	var stdout, stderr bytes.Buffer
	cmd := g.command(ctx, args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	const unknown = "flag provided but not defined"
	if first, _, _ := strings.Cut(stderr.String(), "\n"); err != nil && strings.HasPrefix(first, unknown) {
		return nil, &VetError{first}
	}
	// Findings went to standard error until Go 1.25.
	return g.findings(stdout.String()+stderr.String(), packages)
}

// findings reads go vet's JSON, an object for each package, among lines that
// are not JSON.
func (g Go) findings(out string, packages []*Package) (map[string]string, error) {
	var objects strings.Builder
	inside := false
	for line := range strings.Lines(out) {
		inside = inside || line == "{\n"
		if inside {
			objects.WriteString(line)
		}
		inside = inside && line != "}\n"
	}
	known := map[string]bool{}
	for _, p := range packages {
		known[p.ImportPath] = true
	}
	found := map[string]string{}
	for dec := json.NewDecoder(strings.NewReader(objects.String())); dec.More(); {
		var byPackage map[string]map[string]json.RawMessage
		if err := dec.Decode(&byPackage); err != nil {
			return nil, fmt.Errorf("read go vet's output: %w", err)
		}
		for id, byAnalyzer := range byPackage {
			path, _, _ := strings.Cut(id, " ") // "m/a [m/a.test]"
			if !known[path] {
				path = strings.TrimSuffix(path, "_test") // the external test
			}
			found[path] += g.describe(byAnalyzer)
		}
	}
	return found, nil
}

// describe lists the diagnostics of one package as go vet prints them.
func (g Go) describe(byAnalyzer map[string]json.RawMessage) string {
	var lines []string
	for _, raw := range byAnalyzer {
		var diagnostics []struct{ Posn, Message string }
		if json.Unmarshal(raw, &diagnostics) != nil {
			continue // an analyzer's own error, because the package does not build
		}
		for _, d := range diagnostics {
			lines = append(lines, g.relative(d.Posn)+": "+d.Message+"\n")
		}
	}
	slices.Sort(lines)
	return strings.Join(slices.Compact(lines), "")
}

// relative shortens a position below the user's directory, as the go command
// does.
func (g Go) relative(posn string) string {
	if rel, err := filepath.Rel(g.Dir, posn); err == nil && filepath.IsAbs(posn) && !strings.HasPrefix(rel, "../") {
		return rel
	}
	return posn
}
