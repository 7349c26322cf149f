package blocklist

import (
	"regexp"
	"strings"

	"github.com/bpf-vmtest/bpf-vmtest/internal/configfile"
)

const splatRemedy = "copy the fingerprint that vmtest prints, and write * for what may differ"

// A splatPattern matches fingerprints of faults. The zero splatPattern matches
// none.
type splatPattern struct {
	text string
	re   *regexp.Regexp
}

// parseSplatPattern reads a fingerprint in which * is any string.
func parseSplatPattern(s string) (splatPattern, error) {
	switch {
	case strings.TrimSpace(s) == "":
		return splatPattern{}, configfile.Problemf(splatRemedy, "empty splat")
	case strings.Trim(s, "* ") == "":
		return splatPattern{}, configfile.Problemf(splatRemedy+"; -fail-on-splat=false allows every one", "splat %q allows every fault", s)
	}
	expr := strings.ReplaceAll(regexp.QuoteMeta(s), `\*`, ".*")
	return splatPattern{text: s, re: regexp.MustCompile(`\A` + expr + `\z`)}, nil
}

func (p splatPattern) match(fingerprint string) bool {
	return p.re != nil && p.re.MatchString(fingerprint)
}
