// Package host says what this machine has and lacks for running VMs and
// building kernels, and installs what it lacks.
package host

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
)

// A Group is a purpose that a set of requirements serves.
type Group string

const (
	Run   Group = "run"   // run tests in VMs of the host's architecture
	Build Group = "build" // build kernels
	BPF   Group = "bpf"   // compile BPF programs from C
	Dev   Group = "dev"   // run all of vmtest's own tests
	ARM64 Group = "arm64" // run tests in, and build for, arm64 on another architecture
	AMD64 Group = "amd64" // the same for amd64
)

// Groups lists those that mean something on this host.
func Groups() []Group {
	return slices.DeleteFunc([]Group{Run, Build, BPF, Dev, AMD64, ARM64}, func(g Group) bool { return string(g) == runtime.GOARCH })
}

// ParseGroup reads a group's name. The name of the host's own architecture is
// accepted and means [Run]. The error is a usage error.
func ParseGroup(s string) (Group, error) {
	if s == runtime.GOARCH {
		return Run, nil
	}
	if slices.Contains(Groups(), Group(s)) {
		return Group(s), nil
	}
	return "", &GroupError{Input: s}
}

// A GroupError is a word that names no group.
type GroupError struct{ Input string }

func (e *GroupError) Error() string {
	var names []string
	for _, g := range Groups() {
		names = append(names, string(g))
	}
	return fmt.Sprintf("parse group %q: want one of %s", e.Input, strings.Join(names, ", "))
}

// ExitCode is that of a usage error.
func (e *GroupError) ExitCode() int { return 2 }
