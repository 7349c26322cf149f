package runner

import (
	"fmt"
	"strings"
)

// about says which kernel it is, and on what it is about to run.
func (k *kernelRun) about(res *resolution) string {
	var b strings.Builder
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%-8s %s\n", name, value)
		}
	}
	line("kernel", k.name)
	line("digest", res.kernel.Digest)
	line("release", res.kernel.Release)
	line("arch", res.kernel.Arch)
	line("image", res.kernel.Image)
	line("modules", res.kernel.Modules)
	return b.String()
}
