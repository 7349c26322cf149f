package builder

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/bpf-vmtest/bpf-vmtest/internal/kver"
)

// Needs are the versions of tools that a kernel can be built with. The zero
// Needs is satisfied by any.
type Needs struct {
	Pahole, GCC kver.Range
}

// A ToolVersionError is a tool that this kernel cannot be built with.
type ToolVersionError struct {
	Tool, Have, Want string
	Kernel           kver.Version
	Instead          error // why another one could not be had, or nil
}

func (e *ToolVersionError) Error() string {
	s := fmt.Sprintf("find build tools: %s is of version %s, linux %s needs %s", e.Tool, e.Have, e.Kernel, e.Want)
	if e.Instead != nil {
		s += fmt.Sprintf(", and another cannot be had: %v", e.Instead)
	}
	return s
}

// Hint says where to get another.
func (e *ToolVersionError) Hint() string {
	if e.Tool == pahole {
		return "install another pahole and put it first in PATH; where apt can reach Debian's mirrors, vmtest finds one itself"
	}
	return "install another " + e.Tool + " and put it first in PATH"
}

// meets checks the tools that were found.
func (t toolchain) meets(n Needs, kernel kver.Version) error {
	for _, c := range []struct {
		tool, said string
		want       kver.Range
	}{
		{pahole, t.pahole, n.Pahole},
		{t.prefix + "gcc", t.compiler, n.GCC},
	} {
		if c.want == (kver.Range{}) {
			continue
		}
		have, err := toolVersion(c.said)
		if err != nil {
			return fmt.Errorf("find version of %s: %w", c.tool, err)
		}
		if !c.want.Contains(have) {
			return &ToolVersionError{Tool: c.tool, Have: have.String(), Want: c.want.String(), Kernel: kernel}
		}
	}
	return nil
}

// What tools print has the version at the end: v1.24, or
// gcc (Debian 12.2.0-14+deb12u1) 12.2.0.
var toolVersionPattern = regexp.MustCompile(`^(?:.* )?v?(\d+\.\d+(?:\.\d+)?)$`)

func toolVersion(line string) (kver.Version, error) {
	m := toolVersionPattern.FindStringSubmatch(strings.TrimSpace(line))
	if m == nil {
		return kver.Version{}, fmt.Errorf("it says %q", line)
	}
	return kver.Parse(m[1])
}
