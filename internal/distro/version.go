package distro

import (
	"cmp"
	"strings"
)

// compareVersions orders two package versions by the rules of Debian policy
// 5.6.12: [epoch:]upstream[-revision], each part compared by alternating runs
// of other characters and of digits, where ~ sorts before the end of the part.
func compareVersions(a, b string) int {
	epochA, upstreamA, revisionA := splitVersion(a)
	epochB, upstreamB, revisionB := splitVersion(b)
	return cmp.Or(
		compareRuns(epochA, epochB),
		compareRuns(upstreamA, upstreamB),
		compareRuns(revisionA, revisionB),
	)
}

func splitVersion(s string) (epoch, upstream, revision string) {
	upstream = s
	if before, after, ok := strings.Cut(s, ":"); ok {
		epoch, upstream = before, after
	}
	if i := strings.LastIndexByte(upstream, '-'); i >= 0 {
		upstream, revision = upstream[:i], upstream[i+1:]
	}
	return epoch, upstream, revision
}

func compareRuns(a, b string) int {
	for a != "" || b != "" {
		var otherA, otherB, numberA, numberB string
		otherA, a = cutRun(a, func(c byte) bool { return !isDigit(c) })
		otherB, b = cutRun(b, func(c byte) bool { return !isDigit(c) })
		if c := compareOthers(otherA, otherB); c != 0 {
			return c
		}
		numberA, a = cutRun(a, isDigit)
		numberB, b = cutRun(b, isDigit)
		numberA, numberB = strings.TrimLeft(numberA, "0"), strings.TrimLeft(numberB, "0")
		if c := cmp.Or(cmp.Compare(len(numberA), len(numberB)), cmp.Compare(numberA, numberB)); c != 0 {
			return c
		}
	}
	return 0
}

// cutRun splits s after its longest start of bytes that all satisfy in.
func cutRun(s string, in func(byte) bool) (run, rest string) {
	n := 0
	for n < len(s) && in(s[n]) {
		n++
	}
	return s[:n], s[n:]
}

// compareOthers compares runs without digits: ~ before the end, the end before
// letters, letters before the rest.
func compareOthers(a, b string) int {
	weight := func(s string, i int) int {
		switch {
		case i >= len(s):
			return 0
		case s[i] == '~':
			return -1
		case 'a' <= s[i]|0x20 && s[i]|0x20 <= 'z':
			return int(s[i])
		}
		return int(s[i]) + 256
	}
	for i := range max(len(a), len(b)) {
		if c := cmp.Compare(weight(a, i), weight(b, i)); c != 0 {
			return c
		}
	}
	return 0
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
