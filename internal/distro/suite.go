package distro

import (
	"slices"
	"strings"

	"github.com/bpf-vmtest/bpf-vmtest/internal/kver"
)

// release is a release of a distribution and the kernel it was made with.
type release struct {
	codename string
	kernel   kver.Version // series
}

// Releases whose packages are on the ordinary mirrors, newest first. A release
// that is not listed is still found by its suite's name.
var releases = map[string][]release{
	"debian": {
		{"trixie", kver.Version{Major: 6, Minor: 12}},
		{"bookworm", kver.Version{Major: 6, Minor: 1}},
		{"bullseye", kver.Version{Major: 5, Minor: 10}},
	},
	"ubuntu": {
		{"resolute", kver.Version{Major: 7, Minor: 0}},
		{"questing", kver.Version{Major: 6, Minor: 17}},
		{"noble", kver.Version{Major: 6, Minor: 8}},
		{"jammy", kver.Version{Major: 5, Minor: 15}},
		{"focal", kver.Version{Major: 5, Minor: 4}},
	},
}

// Suites that carry many series, in the order of the size of their indexes:
// Debian's backports and experimental are about 0.3 MB each, sid is 11 MB.
// Ubuntu's long-term releases get the later kernels in their -updates.
var moving = map[string][]string{
	"debian": {"trixie-backports", "experimental", "bookworm-backports", "sid"},
	"ubuntu": {"resolute-updates", "noble-updates", "jammy-updates", "focal-updates"},
}

// pockets are the suites of a release that hold its kernel, the one to ask
// first at the front. Debian publishes new kernels of a release in its
// -security suite, whose index is a thirtieth of the release's own, and
// Ubuntu in -updates.
func pockets(distribution, codename string) []string {
	if distribution == "ubuntu" {
		return []string{codename + "-updates", codename + "-security", codename}
	}
	return []string{codename + "-security", codename}
}

// Suites is the order in which suites are searched for a kernel or its source:
// where its series is at home, then the suites that carry many, so that few
// and small indexes are downloaded. An empty suite means any; the name of a
// release stands for all its pockets.
func Suites(distribution string, version kver.Version, suite string) []string {
	all := releases[distribution]
	if suite != "" {
		if slices.ContainsFunc(all, func(r release) bool { return r.codename == suite }) {
			return pockets(distribution, suite)
		}
		return []string{suite}
	}
	var order []string
	for _, r := range all {
		if version == (kver.Version{}) || r.kernel == version.Series() {
			order = append(order, pockets(distribution, r.codename)...)
		}
	}
	for _, s := range moving[distribution] {
		if !slices.Contains(order, s) {
			order = append(order, s)
		}
	}
	return order
}

// security reports whether Debian serves the suite from its security archive.
func security(distribution, suite string) bool {
	return distribution == "debian" && strings.HasSuffix(suite, "-security")
}
