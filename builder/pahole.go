package builder

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/bpf-vmtest/bpf-vmtest/internal/kver"
)

// pahole is the program that makes BTF out of debug information.
const pahole = "pahole"

// paholeWrapper is the name, in the build directory, of what make runs as
// pahole.
const paholeWrapper = pahole

// Kernels from 6.0 on know BTF_KIND_ENUM64, which pahole writes from 1.24 on.
// Older ones refuse such BTF, their stable releases since 2022 tell pahole
// not to; this does it for those that do not.
var enum64 = kver.Version{Major: 6}

// writePaholeWrapper writes a script around the real pahole. Its order of
// types differs from run to run when it uses threads (-j), unless told
// otherwise by those kernels that know of it.
func (b *build) writePaholeWrapper() error {
	extra := ""
	if b.version.Compare(enum64) < 0 && !b.knowsEnum64() && b.paholeHas("--skip_encoding_btf_enum64") {
		extra = "--skip_encoding_btf_enum64 "
	}
	script := fmt.Sprintf(`#!/bin/sh
case "$*" in
*reproducible_build*) ;;
*)
	for arg; do
		shift
		case "$arg" in
		-j|-j[0-9]*) ;;
		*) set -- "$@" "$arg" ;;
		esac
	done
esac
case "$*" in
*--version*) exec '%[1]s' "$@" ;;
*) exec '%[1]s' %[2]s"$@" ;;
esac
`, b.tools.paholePath, extra)
	return os.WriteFile(filepath.Join(b.out, paholeWrapper), []byte(script), 0o755)
}

func (b *build) knowsEnum64() bool {
	for _, name := range []string{"scripts/pahole-flags.sh", "scripts/link-vmlinux.sh", "scripts/Makefile.btf"} {
		data, err := os.ReadFile(filepath.Join(b.tree.dir, name))
		if err == nil && strings.Contains(string(data), "enum64") {
			return true
		}
	}
	return false
}

func (b *build) paholeHas(option string) bool {
	out, err := exec.Command(b.tools.paholePath, "--help").CombinedOutput()
	return err == nil && strings.Contains(string(out), option)
}
