package toolbox

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/u-root/gobusybox/src/pkg/bb"
	"github.com/u-root/gobusybox/src/pkg/bb/findpkg"
	"github.com/u-root/gobusybox/src/pkg/golang"
	"github.com/u-root/uio/ulog"
)

// A workshop is a directory in which one toolbox is made.
type workshop struct {
	dir string
	recipe
	toolchain
	progress func(string)
}

// newWorkshop makes the directory below the cache's, whose lock the caller
// holds: any other workshop there was left by a process that was killed.
func newWorkshop(cache string, r recipe, t toolchain, progress func(string)) (*workshop, error) {
	const pattern = "workshop-*"
	stale, err := filepath.Glob(filepath.Join(cache, pattern))
	if err != nil {
		return nil, err
	}
	for _, dir := range stale {
		if err := os.RemoveAll(dir); err != nil {
			return nil, err
		}
	}
	dir, err := os.MkdirTemp(cache, pattern)
	if err != nil {
		return nil, err
	}
	if progress == nil {
		progress = func(string) {}
	}
	return &workshop{dir: dir, recipe: r, toolchain: t, progress: progress}, nil
}

func (w *workshop) close() { os.RemoveAll(w.dir) }

// make leaves the program at path with its bill beside it, or no program.
func (w *workshop) make(ctx context.Context, path string) (*Bill, error) {
	w.progress("fetching u-root " + uRootVersion)
	module, err := w.fetch(ctx)
	if err != nil {
		return nil, err
	}
	w.progress(fmt.Sprintf("generating a program of %d u-root commands", len(w.Commands)))
	if err := w.generate(ctx, module); err != nil {
		return nil, err
	}
	bill, err := w.bill(ctx, module)
	if err != nil {
		return nil, err
	}
	w.progress("compiling it for " + w.Arch + " (minutes, the first time)")
	binary, err := w.compile(ctx)
	if err != nil {
		return nil, err
	}
	if err := writeBill(path, bill); err != nil {
		return nil, err
	}
	return bill, os.Rename(binary, path)
}

// fetch returns the directory of u-root in the module cache.
func (w *workshop) fetch(ctx context.Context) (string, error) {
	// A module of our own, lest the go command finds one further up.
	if err := os.WriteFile(filepath.Join(w.dir, "go.mod"), []byte("module toolbox\n"), 0o644); err != nil {
		return "", err
	}
	out, err := w.run(ctx, w.dir, nil, "mod", "download", "-json", uRoot+"@"+uRootVersion)
	var module struct{ Dir, Sum, Error string }
	if jsonErr := json.Unmarshal(out, &module); jsonErr == nil && module.Error != "" {
		return "", &fetchError{cause: module.Error}
	}
	if err != nil {
		return "", err
	}
	if module.Sum != uRootSum {
		return "", fmt.Errorf("fetch %s@%s: its hash is %q, not %q", uRoot, uRootVersion, module.Sum, uRootSum)
	}
	return module.Dir, nil
}

type fetchError struct{ cause string }

func (e *fetchError) Error() string { return fmt.Sprintf("fetch %s: %s", uRoot, e.cause) }
func (e *fetchError) Hint() string {
	return "the first build needs Go's module proxy (GOPROXY), later ones none"
}

func (w *workshop) source() string { return filepath.Join(w.dir, "gopath") }

// program is the directory of the program's main package.
func (w *workshop) program() string { return filepath.Join(w.source(), "src", "bb.u-root.com", "bb") }

// environment serializes changes of the process's.
var environment sync.Mutex

// generate writes the program's source as a GOPATH. gobusybox's own compile
// step is not used, because it never uses the build cache.
func (w *workshop) generate(ctx context.Context, module string) error {
	var paths []string
	for _, c := range w.Commands {
		paths = append(paths, importPath(c))
	}
	env := golang.Default(
		golang.WithGOOS("linux"), golang.WithGOARCH(w.Arch), golang.DisableCGO(),
		golang.WithGOROOT(w.root), golang.WithGOPATH(w.path),
		golang.WithGO111MODULE("on"), golang.WithMod(golang.ModReadonly),
		golang.WithBuildTag(tags), golang.WithWorkingDir(module),
	)
	// gobusybox hands the whole environment to the go command.
	environment.Lock()
	restore := neutralize()
	err := bb.BuildBusybox(ulog.Null, &bb.Opts{
		Env: env, LookupEnv: &findpkg.Env{}, CommandPaths: paths, GenSrcDir: w.source(), GenerateOnly: true,
	})
	restore()
	environment.Unlock()
	if err != nil {
		return fmt.Errorf("generate source: %w", err)
	}
	// A command that does not exist for the architecture is left out with no
	// more than a log line.
	for _, p := range paths {
		if _, err := os.Stat(filepath.Join(w.source(), "src", p)); err != nil {
			return fmt.Errorf("generate source: %w", err)
		}
	}
	if err := os.WriteFile(filepath.Join(w.program(), "shell.go"), []byte(w.Source), 0o644); err != nil {
		return fmt.Errorf("generate source: %w", err)
	}
	return ctx.Err()
}

// neutralize changes this process's environment until restore is called.
func neutralize() (restore func()) {
	old := map[string]string{}
	for name, value := range neutral {
		if was, ok := os.LookupEnv(name); ok {
			old[name] = was
		}
		os.Setenv(name, value)
	}
	return func() {
		for name := range neutral {
			if was, ok := old[name]; ok {
				os.Setenv(name, was)
			} else {
				os.Unsetenv(name)
			}
		}
	}
}

// compile returns the path of the program, still in the workshop.
func (w *workshop) compile(ctx context.Context) (string, error) {
	binary := filepath.Join(w.dir, "bb")
	args := append(append([]string{"build"}, w.Flags...), "-o", binary, ".")
	_, err := w.run(ctx, w.program(), []string{
		"GO111MODULE=off", "GOPATH=" + w.source(), "GOOS=linux", "GOARCH=" + w.Arch, "CGO_ENABLED=0",
	}, args...)
	return binary, err
}
