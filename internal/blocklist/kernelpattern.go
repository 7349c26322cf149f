package blocklist

import (
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/bpf-vmtest/bpf-vmtest/internal/configfile"
	"github.com/bpf-vmtest/bpf-vmtest/internal/kver"
)

const kernelRemedy = `write a kernel as "<5.15", "6.1..6.6", "6.12", "debian:5.10" or "debian:*"; several are a YAML list, of which any may match`

// A kernelPattern is one constraint on a kernel: a range of versions, or a
// pattern for its name, or both, as in debian:5.10.
type kernelPattern struct {
	text     string
	name     *regexp.Regexp // of the whole name
	versions *kver.Range
	prefix   *regexp.Regexp // of the name, where the pattern is prefix:versions
}

func parseKernelPattern(s string) (kernelPattern, error) {
	p := kernelPattern{text: s}
	switch {
	case s == "":
		return p, configfile.Problemf(kernelRemedy, "empty kernel")
	case !utf8.ValidString(s):
		return p, configfile.Problemf(kernelRemedy, "kernel %q is not valid UTF-8", s)
	case strings.TrimSpace(s) != s:
		return p, configfile.Problemf(kernelRemedy, "kernel %q begins or ends with a space", s)
	case strings.ContainsAny(s, ":/*?"), slices.Contains(channels, s):
		// No range holds any of these, so this is a name.
		p.name = nameRegexp(s, `\A`, `\z`)
		if i := strings.LastIndexByte(s, ':'); i >= 0 {
			if r, err := kver.ParseRange(s[i+1:]); err == nil {
				p.versions, p.prefix = &r, nameRegexp(s[:i+1], `\A`, "")
			}
		}
		return p, nil
	default:
		r, err := kver.ParseRange(s)
		if err != nil {
			return p, configfile.Problemf(kernelRemedy, "%v", err)
		}
		p.versions = &r
		return p, nil
	}
}

// Kernel references that are names without a version in them.
var channels = []string{"stable", "mainline", "longterm", "next"}

// nameRegexp reads * and ? in a kernel's name. Unlike in a file name they
// match slashes, since a name may be a registry's or a path.
func nameRegexp(glob, before, after string) *regexp.Regexp {
	quoted := regexp.QuoteMeta(glob)
	quoted = strings.ReplaceAll(quoted, `\*`, `.*`)
	quoted = strings.ReplaceAll(quoted, `\?`, `.`)
	return regexp.MustCompile(`(?s)` + before + quoted + after)
}

func (p kernelPattern) match(k Kernel) bool {
	if p.name != nil && p.name.MatchString(k.Name) {
		return true
	}
	if p.prefix != nil && !p.prefix.MatchString(k.Name) {
		return false
	}
	return p.versions != nil && k.Version != (kver.Version{}) && p.versions.Contains(k.Version)
}

// Architectures in Go's words, and what the kernel and uname call them.
var (
	archs   = []string{"386", "amd64", "arm", "arm64", "loong64", "mips64", "mips64le", "ppc64", "ppc64le", "riscv64", "s390x"}
	aliases = map[string]string{"x86_64": "amd64", "x86": "amd64", "aarch64": "arm64", "i386": "386", "loongarch64": "loong64", "riscv": "riscv64", "s390": "s390x"}
)

func parseArch(s string) (string, error) {
	if a, ok := aliases[s]; ok {
		s = a
	}
	if !slices.Contains(archs, s) {
		return "", configfile.Problemf("architectures are "+strings.Join(archs, ", "), "unknown architecture %q", s)
	}
	return s, nil
}
