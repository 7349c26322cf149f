package main

import (
	"os"
	"os/user"
	"path/filepath"
	"runtime/debug"
	"strings"

	"context"
	"fmt"

	"golang.org/x/term"
)

func homeOfUser() string {
	u, err := user.Current()
	if err != nil || u.HomeDir == "" {
		return "/"
	}
	return u.HomeDir
}

// cacheDir is where kernels, compiled parts and records of runs are kept.
func cacheDir() (string, error) {
	if dir := os.Getenv("VMTEST_CACHE"); dir != "" {
		return filepath.Abs(dir)
	}
	base, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(base, "bpf-vmtest")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("make the cache directory: %w", err)
	}
	return dir, nil
}

// version is the module's, where it was built as a dependency or by go install,
// or that of the checkout.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	v := info.Main.Version
	if v == "" || v == "(devel)" {
		v = "devel"
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				v += "-" + s.Value[:min(12, len(s.Value))]
			}
		}
	}
	return v
}

func (a *app) version(context.Context, []string) error {
	_, err := fmt.Fprintln(a.stdout, "vmtest", version())
	return err
}

// progress says what is being done.
func (a *app) progress(what string) {
	fmt.Fprintf(a.stderr, "vmtest: %s\n", what)
}

// isTerminal reports whether a stream is a terminal.
func isTerminal(v any) bool {
	f, ok := v.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// stringList is a flag that may be given several times.
type stringList []string

func (l *stringList) String() string { return strings.Join(*l, " ") }

func (l *stringList) Set(s string) error {
	*l = append(*l, s)
	return nil
}
