package host

import (
	"cmp"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// A Version is a program's: as many numbers as it prints, most of them two or
// three.
type Version []int

func (v Version) String() string {
	parts := make([]string, len(v))
	for i, n := range v {
		parts[i] = strconv.Itoa(n)
	}
	return strings.Join(parts, ".")
}

// Compare orders versions by their numbers; a number that is not there is 0.
func (v Version) Compare(w Version) int {
	for i := range max(len(v), len(w)) {
		if c := cmp.Compare(v.at(i), w.at(i)); c != 0 {
			return c
		}
	}
	return 0
}

func (v Version) at(i int) int {
	if i < len(v) {
		return v[i]
	}
	return 0
}

// qemuLine is the first line of QEMU's --version. What a packager adds is in
// parentheses.
var qemuLine = regexp.MustCompile(`^QEMU emulator version (\d+\.\d+\.\d+)(?: \(.*\))?$`)

// ParseQEMUVersion reads the output of qemu-system-* --version.
func ParseQEMUVersion(output string) (Version, error) {
	first, _, _ := strings.Cut(output, "\n")
	m := qemuLine.FindStringSubmatch(strings.TrimSuffix(first, "\r"))
	if m == nil {
		return nil, fmt.Errorf("parse QEMU version %q: not QEMU's", first)
	}
	return numbers(m[1])
}

// dotted and lone find the version in whatever else a program prints with it.
var (
	dotted = regexp.MustCompile(`\d+(?:\.\d+)+`)
	lone   = regexp.MustCompile(`\bversion (\d+)\b`)
)

// findVersion reads the output of any other program's --version.
func findVersion(output string) (Version, error) {
	if found := dotted.FindString(output); found != "" {
		return numbers(found)
	}
	if found := lone.FindStringSubmatch(output); found != nil {
		return numbers(found[1])
	}
	return nil, fmt.Errorf("find version in %q: none there", oneLine(output))
}

func numbers(s string) (Version, error) {
	var v Version
	for part := range strings.SplitSeq(s, ".") {
		n, err := strconv.Atoi(part)
		if err != nil {
			return nil, fmt.Errorf("parse version %q: %w", s, err)
		}
		v = append(v, n)
	}
	return v, nil
}
