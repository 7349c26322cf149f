package report

import (
	"fmt"
	"strings"
)

// took is a duration in seconds, short.
func took(s float64) string {
	switch {
	case s < 0.9995:
		return fmt.Sprintf("%.0fms", 1000*s)
	case s < 59.95:
		return fmt.Sprintf("%.1fs", s)
	}
	return fmt.Sprintf("%dm%02ds", int(s+0.5)/60, int(s+0.5)%60)
}

// tookIf is took, or nothing where that is unknown or next to nothing.
func tookIf(s float64) string {
	if s < 0.0005 {
		return ""
	}
	return " " + took(s)
}

// prefix is the directories that all packages' paths have in common, with a
// slash at the end, or nothing.
func (m *Matrix) prefix() string {
	if m.run.Command != "" { // in whose place of a path it is
		return ""
	}
	var common []string
	for i, p := range m.pkgs() {
		elems := strings.Split(p.path, "/")
		elems = elems[:len(elems)-1] // something has to be left
		if i == 0 {
			common = elems
		}
		n := 0
		for n < min(len(common), len(elems)) && common[n] == elems[n] {
			n++
		}
		common = common[:n]
	}
	if len(common) == 0 {
		return ""
	}
	return strings.Join(common, "/") + "/"
}

// packageNames leaves the prefix out of the packages' paths.
func (m *Matrix) packageNames() map[string]string {
	prefix, names := m.prefix(), map[string]string{}
	for path := range m.packages {
		names[path] = strings.TrimPrefix(path, prefix)
	}
	return names
}
