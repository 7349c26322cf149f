package builder

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// imageTargets are make's name of the image and its path, by GOARCH.
var imageTargets = map[string]struct{ target, path string }{
	"amd64": {"bzImage", "arch/x86/boot/bzImage"},
	"arm64": {"Image", "arch/arm64/boot/Image"},
}

// compiled matches the lines make prints before each file it compiles for the
// kernel.
var compiled = regexp.MustCompile(`^  (?:CC|AS)(?: \[M\])? `)

// compile builds image and modules in the build directory.
func (b *build) compile(ctx context.Context) error {
	p := Progress{Phase: "compile", Total: b.estimate(), Unit: "objects"}
	b.Progress(p)
	targets := []string{imageTargets[b.Arch].target, "modules"}
	if b.has(gdbSymbol) {
		targets = append(targets, gdbTarget)
	}
	err := b.make(ctx, func(line string) {
		if compiled.MatchString(line) {
			p.Done++
			b.Progress(p)
		} else if strings.HasPrefix(line, "  LD      vmlinux") || strings.HasPrefix(line, "  BTF ") {
			b.phase("link")
		}
	}, targets...)
	if err != nil {
		return err
	}
	b.objects = p.Done
	if b.testModule, err = b.compileTestModule(ctx); err != nil {
		return err
	}
	release, err := os.ReadFile(filepath.Join(b.out, "include/config/kernel.release"))
	if err != nil {
		return fmt.Errorf("read release of the kernel built: %w", err)
	}
	b.release = strings.TrimSpace(string(release))
	return nil
}

// What the embedded fragments compile to, by GOARCH; measured with 6.12.
var usualObjects = map[string]int64{"amd64": 1950, "arm64": 1615}

// estimate is the number of files that the last build like this compiled.
func (b *build) estimate() int64 {
	var best int64
	for _, r := range b.results() {
		if r.Arch != b.Arch || r.BuildInfo.Objects == 0 {
			continue
		}
		best = r.BuildInfo.Objects
		if r.Version.Series() == b.version.Series() {
			return best
		}
	}
	if best == 0 {
		best = usualObjects[b.Arch]
	}
	return best
}
