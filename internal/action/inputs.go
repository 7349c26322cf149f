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
	"github.com/bpf-vmtest/bpf-vmtest/internal/shard"
)

// A Mode is what the Action is used for.
type Mode string

const (
	Test   Mode = "test"   // run tests
	Matrix Mode = "matrix" // make the jobs that run them
	Report Mode = "report" // make one report of what those left
)

// Inputs are the Action's, checked.
type Inputs struct {
	Mode Mode
	// Args are those of vmtest test, matrix or report, without the files that it
	// writes.
	Args []string
	// Dir is where it runs.
	Dir string
	// Artifacts is the directory for the reports, or empty for a new one.
	Artifacts string
	// Lock is the text of a lock file that is to be used instead of the module's,
	// or empty.
	Lock string
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
func (e Errors) Hint() string { return "docs/action.md tells about the inputs" }

// Read checks the inputs, which get returns by name with the white space around
// them removed, and "" for what the workflow does not give. Kernels without a
// repository are in the default one. The error is Errors.
func Read(get func(name string) string, defaultRepository string) (*Inputs, error) {
	r := reader{get: get}
	in := &Inputs{
		Mode:      Mode(cmp.Or(get("mode"), string(Test))),
		Dir:       cmp.Or(get("working-directory"), "."),
		Artifacts: get("artifacts"),
		Lock:      get("lock"),
		Coverage:  r.boolean("coverage", false),
		Cache:     r.boolean("cache", true),
	}
	kernels := r.kernels(defaultRepository)
	settings := r.settings()
	flags, forTests := r.words()
	packages := r.packages()
	results := lines(get("results"))
	switch in.Mode {
	case Test:
		r.without(Report, "results")
		r.without(Matrix, "shards")
		in.Args = slices.Concat(prefixed("-kernel=", kernels), settings, prefixed("-blocklist=", lines(get("blocklist"))), flags, packages, forTests)
	case Matrix:
		r.without(Report, "results")
		r.without(Test, "shard")
		in.Args = slices.Concat(prefixed("-kernel=", kernels), r.given(arch), r.given(shards))
	case Report:
		r.without(Matrix, "shards")
		r.without(Test, "shard")
		if len(results) == 0 {
			r.fail("results", errors.New("want directories with result streams"))
		}
		in.Args = slices.Concat([]string{"-merge", "-exit-code", "-github"}, prefixed("-expect=", kernels), results)
	default:
		r.fail("mode", errors.New("want test, matrix or report"))
	}
	if len(r.errs) > 0 {
		return nil, r.errs
	}
	return in, nil
}

type reader struct {
	get  func(string) string
	errs Errors
}

func (r *reader) fail(name string, cause error) {
	r.errs = append(r.errs, &inputError{name, r.get(name), cause})
}

// without refuses an input that means something in another mode only.
func (r *reader) without(mode Mode, name string) {
	if r.get(name) != "" {
		r.fail(name, fmt.Errorf("it is for the mode %s", mode))
	}
}

// A setting is an input that is a flag, as it is. Its check returns what is
// wrong with the value.
type setting struct {
	input, flag string
	check       func(string) error
}

var settings = []setting{
	arch,
	{"isolate", "isolate", oneOf("run", "package", "test")},
	{"accel", "accel", oneOf("auto", "kvm", "tcg")},
	{"require-kvm", "require-kvm", oneOf("true", "false")},
	{"cpus", "cpus", number("virtual CPUs", 1)},
	{"memory", "memory", number("MiB", 1)},
	{"timeout", "timeout", duration},
	{"retry", "retry", number("attempts", 0)},
	{"shard", "shard", func(s string) error { _, err := shard.Parse(s); return err }},
	{"durations", "shard-durations", anything},
	{"setup", "setup-cmd", anything},
	{"teardown", "teardown-cmd", anything},
	{"command", "cmd", anything},
}

// The flags of vmtest matrix.
var (
	arch   = setting{"arch", "arch", oneOf(kernel.Architectures...)}
	shards = setting{"shards", "shard-count", number("jobs", 1)}
)

// settings are the flags of vmtest test.
func (r *reader) settings() []string {
	var flags []string
	for _, s := range settings {
		flags = append(flags, r.given(s)...)
	}
	return flags
}

// given is an input as a flag, if there is one.
func (r *reader) given(s setting) []string {
	value := r.get(s.input)
	if value == "" {
		return nil
	}
	if err := s.check(value); err != nil {
		r.fail(s.input, err)
	}
	return []string{"-" + s.flag + "=" + value}
}

// kernels are a list as -kernel takes it, or nothing.
func (r *reader) kernels(defaultRepository string) []string {
	list := strings.Join(lines(r.get("kernels")), ",")
	if list == "" {
		return nil
	}
	if _, err := kernelref.ParseList(list, defaultRepository); err != nil {
		r.fail("kernels", err)
	}
	return []string{list}
}

func prefixed(prefix string, values []string) []string {
	var all []string
	for _, v := range values {
		all = append(all, prefix+v)
	}
	return all
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

func anything(string) error { return nil }

func oneOf(values ...string) func(string) error {
	return func(s string) error {
		if !slices.Contains(values, s) {
			return fmt.Errorf("want %s", strings.Join(values, " or "))
		}
		return nil
	}
}

func number(of string, least int) func(string) error {
	return func(s string) error {
		if n, err := strconv.Atoi(s); err != nil || n < least {
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

// packages are patterns of them, and none where a command runs instead of tests.
func (r *reader) packages() []string {
	if r.get("command") != "" {
		if r.get("packages") != "" {
			r.fail("packages", errors.New("there is the input command, which runs instead of tests"))
		}
		return nil
	}
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
	"isolate":     "is the input isolate",
	"require-kvm": "is the input require-kvm", "cpus": "is the input cpus", "memory": "is the input memory",
	"timeout": "is the input timeout", "retry": "is the input retry", "shard": "is the input shard",
	"shard-durations": "is the input durations", "blocklist": "is the input blocklist",
	"coverprofile": "is the input coverage", "setup": "is done anyway",
	"setup-cmd": "is the input setup", "teardown-cmd": "is the input teardown", "cmd": "is the input command",
	"artifacts": "is given anyway, with a directory in the one of the input artifacts",
	"jsonl":     "is given anyway; its file is the output results",
	"junit":     "is given anyway; its file is an output",
	"html":      "is given anyway; its file is an output",
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
