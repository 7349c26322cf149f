package builder

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// A MakeError is a make that failed.
type MakeError struct {
	Target string
	Cause  error
	Errors []string // lines that say why, at most ten; else the last ten
	Log    string   // the file with everything printed
}

func (e *MakeError) Error() string {
	return fmt.Sprintf("make %s: %v:\n\t%s", e.Target, e.Cause, strings.Join(e.Errors, "\n\t"))
}

func (e *MakeError) Unwrap() error { return e.Cause }

// Hint names the log.
func (e *MakeError) Hint() string { return "everything make printed is in " + e.Log }

// make runs the kernel's makefile for the targets, which follow settings.
// line is called with each line of output.
func (b *build) make(ctx context.Context, line func(string), targets ...string) error {
	args := append([]string{
		"-C", b.tree.dir,
		"O=" + b.out,
		fmt.Sprintf("-j%d", b.Jobs),
		"ARCH=" + b.makeArch,
		"CROSS_COMPILE=" + b.tools.prefix,
		"CC=ccache " + b.tools.prefix + "gcc",
		"HOSTCC=ccache gcc",
		"PAHOLE=" + filepath.Join(b.out, paholeWrapper),
		"KCFLAGS=" + b.prefixMaps(),
		"KAFLAGS=" + b.prefixMaps(),
		// No kernel here has Rust in it, but the configuration would record
		// which compiler this machine has.
		"RUSTC=" + noRust,
		// Even empty, this keeps setlocalversion from asking git for a suffix.
		"LOCALVERSION=",
	}, targets...)
	cmd := exec.CommandContext(ctx, "make", args...)
	cmd.Env = b.environ()
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	cmd.Stdout, cmd.Stderr = w, w
	var tail errorLines
	done := make(chan struct{})
	go func() {
		defer close(done)
		readLines(io.TeeReader(r, io.MultiWriter(b.log, b.Log)), func(s string) {
			tail.add(s)
			if line != nil {
				line(s)
			}
		})
	}()
	err = runGroup(cmd)
	w.Close()
	<-done
	if ctx.Err() != nil {
		return fmt.Errorf("make %s: %w", targets[len(targets)-1], context.Cause(ctx))
	}
	if err != nil {
		return &MakeError{Target: targets[len(targets)-1], Cause: err, Errors: tail.lines(), Log: b.logPath()}
	}
	return nil
}

// noRust names no program, so that any machine looks like one without Rust.
const noRust = "vmtest-no-rustc"

// debugPrefix is the name of the build directory in debug information.
const debugPrefix = "/vmtest"

// prefixMaps are flags that keep directories of this machine out of the debug
// information, over which the build ID is computed.
//
// Where the build directory is in the tree all other names are relative to it,
// and more flags would be a loss: ccache counts them.
func (b *build) prefixMaps() string {
	out := prefixMap(b.out, debugPrefix)
	if b.tree.builds == b.tree.dir {
		return out
	}
	return b.sourcePrefixMap() + " " + out // the last that fits is taken
}

// sourcePrefixMap gives absolute names of the source the form of relative ones.
func (b *build) sourcePrefixMap() string { return prefixMap(b.tree.dir, debugPrefix+"/..") }

func prefixMap(from, to string) string { return "-fdebug-prefix-map=" + from + "=" + to }

// environ is all that make gets to see: a kernel must not depend on the
// variables of whoever builds it.
func (b *build) environ() []string {
	return []string{
		"PATH=" + os.Getenv("PATH"),
		"HOME=" + os.Getenv("HOME"),
		"TMPDIR=" + os.TempDir(),
		"LC_ALL=C",
		// See the kernel's Documentation/kbuild/reproducible-builds.rst.
		"KBUILD_BUILD_TIMESTAMP=Thu Jan  1 00:00:00 UTC 1970",
		"KBUILD_BUILD_USER=vmtest",
		"KBUILD_BUILD_HOST=vmtest",
		"KBUILD_BUILD_VERSION=1",
		"CCACHE_DIR=" + filepath.Join(b.Dir, "ccache"),
		"CCACHE_MAXSIZE=10G", // a kernel takes 0.3 GB
		// Debug information would name the directory of the build that
		// filled the cache; the prefix map above takes that out.
		"CCACHE_NOHASHDIR=1",
		"CCACHE_COMPRESS=1",
	}
}

// readLines calls f with each line, cut at 4 KiB: warnings may quote macros of
// any length.
func readLines(r io.Reader, f func(string)) {
	br := bufio.NewReaderSize(r, 4096)
	for {
		line, prefix, err := br.ReadLine()
		if err != nil {
			return
		}
		f(string(line))
		for prefix && err == nil {
			_, prefix, err = br.ReadLine()
		}
	}
}

// errorLines keeps what explains a failure.
type errorLines struct{ errors, last []string }

var errorLine = regexp.MustCompile(`(?i)\berror\b|undefined reference|No space left|Killed|\*\*\*`)

const mostErrorLines = 10

func (l *errorLines) add(s string) {
	if len(l.errors) < mostErrorLines && errorLine.MatchString(s) && !strings.HasPrefix(s, "  ") {
		l.errors = append(l.errors, s)
	}
	if l.last = append(l.last, s); len(l.last) > mostErrorLines {
		l.last = l.last[1:]
	}
}

func (l *errorLines) lines() []string {
	if len(l.errors) > 0 {
		return l.errors
	}
	return l.last
}
