// Package action is the GitHub Action of action.yml: what its inputs mean, as a
// command line of vmtest, and what it puts out.
//
// The Action is nothing but that command line, with files for the reports. Who
// repeats it elsewhere gets the same run.
package action

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bpf-vmtest/bpf-vmtest/internal/kernel"
	"github.com/bpf-vmtest/bpf-vmtest/internal/kernelref"
)

// Inputs are the Action's, checked.
type Inputs struct {
	// Args are those of vmtest test, without the files it writes.
	Args []string
	// Dir is where it runs.
	Dir string
	// Artifacts is the directory for the reports, or empty for a new one.
	Artifacts string
	// Coverage is whether a profile is wanted.
	Coverage bool
	// Cache is whether kernels are kept from one job to the next.
	Cache bool
}

// An inputError is an input that is wrong.
type inputError struct {
	name, value string
	cause       error
}

func (e *inputError) Error() string { return fmt.Sprintf("input %s %q: %v", e.name, e.value, e.cause) }
func (e *inputError) Unwrap() error { return e.cause }

// Errors are all inputs that are wrong.
type Errors []error

func (e Errors) Error() string   { return errors.Join(e...).Error() }
func (e Errors) Unwrap() []error { return e }

// ExitCode is that of a usage error.
func (e Errors) ExitCode() int { return 2 }

// Hint says where the inputs are described.
func (e Errors) Hint() string {
	return "docs/action.md tells about the inputs"
}

// Read checks the inputs, which get returns by name with the white space around
// them removed, and "" for what the workflow does not give. Kernels without a
// repository are in the default one. The error is Errors.
func Read(get func(name string) string, defaultRepository string) (*Inputs, error) {
	r := reader{get: get}
	r.flags(repository(defaultRepository))
	in := &Inputs{
		Dir:       cmp.Or(get("working-directory"), "."),
		Artifacts: get("artifacts"),
		Coverage:  r.boolean("coverage", false),
		Cache:     r.boolean("cache", true),
	}
	flags, forTests := r.words()
	packages := r.packages()
	in.Args = slices.Concat(r.args, flags, packages, forTests)
	if len(r.errs) > 0 {
		return nil, r.errs
	}
	return in, nil
}

type reader struct {
	get  func(string) string
	args []string
	errs Errors
}

func (r *reader) fail(name string, cause error) {
	r.errs = append(r.errs, &inputError{name, r.get(name), cause})
}

// A setting is an input that is a flag of vmtest test as it is. Its check returns
// what is wrong with the value.
type setting struct {
	name  string
	check func(string) error
}

var settings = []setting{
	{"arch", oneOf(kernel.Architectures...)},
	{"accel", oneOf("auto", "kvm", "tcg")},
	{"require-kvm", oneOf("true", "false")},
	{"cpus", number("virtual CPUs")},
	{"memory", number("MiB")},
	{"timeout", duration},
}

// flags collects the flags of vmtest test.
func (r *reader) flags(kernels func(string) error) {
	if list := lines(r.get("kernels")); len(list) > 0 {
		joined := strings.Join(list, ",")
		if err := kernels(joined); err != nil {
			r.fail("kernels", err)
		}
		r.args = append(r.args, "-kernel="+joined)
	}
	for _, s := range settings {
		value := r.get(s.name)
		if value == "" {
			continue
		}
		if err := s.check(value); err != nil {
			r.fail(s.name, err)
		}
		r.args = append(r.args, "-"+s.name+"="+value)
	}
	for _, file := range lines(r.get("blocklist")) {
		r.args = append(r.args, "-blocklist="+file)
	}
}

// lines are those of a list that are neither empty nor a comment, which begins
// with #.
func lines(list string) []string {
	var all []string
	for line := range strings.Lines(list) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			all = append(all, line)
		}
	}
	return all
}

func repository(defaultRepository string) func(string) error {
	return func(list string) error {
		_, err := kernelref.ParseList(list, defaultRepository)
		return err
	}
}

func oneOf(values ...string) func(string) error {
	return func(s string) error {
		if !slices.Contains(values, s) {
			return fmt.Errorf("want %s", strings.Join(values, " or "))
		}
		return nil
	}
}

func number(of string) func(string) error {
	return func(s string) error {
		if n, err := strconv.Atoi(s); err != nil || n < 1 {
			return fmt.Errorf("want a number of %s", of)
		}
		return nil
	}
}

func duration(s string) error {
	if d, err := time.ParseDuration(s); err != nil || d < 0 {
		return errors.New("want a time, as 90s or 10m")
	}
	return nil
}

func (r *reader) boolean(name string, otherwise bool) bool {
	switch r.get(name) {
	case "":
		return otherwise
	case "true":
		return true
	case "false":
		return false
	}
	r.fail(name, errors.New("want true or false"))
	return otherwise
}

// packages are patterns of them.
func (r *reader) packages() []string {
	list := strings.Fields(r.get("packages"))
	if slices.ContainsFunc(list, func(s string) bool { return strings.HasPrefix(s, "-") }) {
		r.fail("packages", errors.New("want packages; flags go into the input args"))
	}
	if len(list) == 0 {
		return []string{"./..."}
	}
	return list
}

// taken are flags that have inputs of their own, or that the Action gives.
var taken = map[string]string{
	"kernel": "is the input kernels", "arch": "is the input arch", "accel": "is the input accel",
	"require-kvm": "is the input require-kvm", "cpus": "is the input cpus", "memory": "is the input memory",
	"timeout": "is the input timeout", "blocklist": "is the input blocklist",
	"coverprofile": "is the input coverage", "setup": "is given anyway",
	"jsonl": "is given anyway; its file is the output results", "junit": "is given anyway; its file is an output",
	"html": "is given anyway; its file is an output", "h": "", "help": "",
}

// words are the flags in the input args, and those behind -args, which are for
// the tests.
func (r *reader) words() (flags, forTests []string) {
	words, err := split(r.get("args"))
	if err != nil {
		r.fail("args", err)
		return nil, nil
	}
	if i := slices.IndexFunc(words, func(s string) bool { return s == "-args" || s == "--args" }); i >= 0 {
		words, forTests = words[:i], words[i:]
	}
	for _, word := range words {
		name, _, _ := strings.Cut(strings.TrimLeft(word, "-"), "=")
		if why, ok := taken[name]; ok && strings.HasPrefix(word, "-") {
			r.fail("args", fmt.Errorf("-%s %s", name, why))
		}
	}
	return words, forTests
}
