package blocklist

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"github.com/bpf-vmtest/bpf-vmtest/internal/configfile"
)

const suffixRemedy = "a list's suffix is an architecture or a kernel, as in DENYLIST.arm64 and DENYLIST-5.10"

// A condition is what the name of a kernel-style list says about its lines.
type condition struct {
	kernels []kernelPattern
	archs   []string
}

func parseSuffix(suffix string) (condition, error) {
	if suffix == "" {
		return condition{}, nil
	}
	if a, err := parseArch(suffix[1:]); err == nil {
		return condition{archs: []string{a}}, nil
	}
	if k, err := parseKernelPattern(suffix[1:]); err == nil {
		return condition{kernels: []kernelPattern{k}}, nil
	}
	return condition{}, configfile.Problemf(suffixRemedy, "suffix %q is neither an architecture nor a kernel", suffix)
}

// parseLines reads a kernel-style list: a test's name on each line, and the
// reason after a #. A # that no space precedes belongs to the name, as in
// TestX/a#01.
func parseLines(file string, data []byte, on condition) ([]Entry, Errors) {
	var (
		entries []Entry
		errs    Errors
	)
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	for i, line := range strings.Split(string(data), "\n") {
		name, reason, column := splitLine(line)
		if name == "" {
			continue
		}
		p := Pos{File: file, Line: i + 1, Column: column}
		test, err := parseLineTest(name)
		if err != nil {
			errs = append(errs, &Error{Pos: p, Msg: err.Error(), Remedy: err.Remedy})
			continue
		}
		if reason == "" {
			reason = "listed without a reason"
		}
		entries = append(entries, Entry{Pos: p, Reason: reason, Expect: Skip, test: test, kernels: on.kernels, archs: on.archs})
	}
	return entries, errs
}

func parseLineTest(name string) (testPattern, *configfile.Problem) {
	if strings.ContainsAny(name, " \t") {
		return testPattern{}, configfile.Problemf("write one test on a line, with _ for a space as go test prints it, and the reason after a #", "test %q holds white space", name)
	}
	test, err := parseTestPattern(name)
	if err != nil {
		return test, err.(*configfile.Problem)
	}
	return test, nil
}

// splitLine returns the two halves of a line and the name's column.
func splitLine(line string) (name, reason string, column int) {
	name = line
	for i := range len(line) {
		if line[i] == '#' && (i == 0 || strings.ContainsRune(" \t", rune(line[i-1]))) {
			name, reason = line[:i], strings.TrimSpace(line[i+1:])
			break
		}
	}
	indent := len(name) - len(strings.TrimLeft(name, " \t\r"))
	return strings.TrimSpace(name), strings.ToValidUTF8(reason, "\ufffd"), utf8.RuneCountInString(name[:indent]) + 1
}
