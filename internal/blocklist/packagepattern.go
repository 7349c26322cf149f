package blocklist

import (
	"regexp"
	"strings"

	"github.com/bpf-vmtest/bpf-vmtest/internal/configfile"
)

const packageRemedy = `write a package as its import path; "..." stands for any string, and * ? [ ] for characters of one path element`

// A packagePattern matches import paths. The zero packagePattern matches all.
type packagePattern struct {
	text string
	re   *regexp.Regexp
}

// parsePackagePattern reads an import path in which ... matches any string,
// as for the go command (net/... holds net), and * ? [ ] are a glob within
// one path element.
func parsePackagePattern(s string) (packagePattern, error) {
	switch {
	case s == "":
		return packagePattern{}, configfile.Problemf("leave the field out to mean every package", "empty package")
	case strings.ContainsAny(s, " \t\r\n"):
		return packagePattern{}, configfile.Problemf(packageRemedy, "package %q holds white space", s)
	case s == ".", s == "..", strings.HasPrefix(s, "./"), strings.HasPrefix(s, "../"), strings.HasPrefix(s, "/"):
		return packagePattern{}, configfile.Problemf(packageRemedy, "package %q is a path in the file system, not an import path", s)
	}
	stem, below := strings.CutSuffix(s, "/...")
	parts := strings.Split(stem, "...")
	for i, part := range parts {
		re, err := globRegexp(part, regexp.QuoteMeta)
		if err != nil {
			return packagePattern{}, configfile.Problemf(packageRemedy, "package %q: %v", s, err)
		}
		parts[i] = re
	}
	expr := strings.Join(parts, ".*")
	if below {
		expr += "(/.*)?"
	}
	re, err := regexp.Compile(`\A` + expr + `\z`)
	if err != nil {
		return packagePattern{}, configfile.Problemf(packageRemedy, "package %q: %v", s, err)
	}
	return packagePattern{text: s, re: re}, nil
}

func (p packagePattern) match(pkg string) bool { return p.re == nil || p.re.MatchString(pkg) }
