package builder

import (
	"errors"
	"strings"
	"testing"

	"github.com/bpf-vmtest/bpf-vmtest/internal/kver"
)

func TestNeeds(t *testing.T) {
	tools := toolchain{prefix: "aarch64-linux-gnu-", compiler: "aarch64-linux-gnu-gcc (Debian 12.2.0-14) 12.2.0", pahole: "v1.24"}
	parse := func(s string) (r kver.Range) {
		if s != "" {
			var err error
			if r, err = kver.ParseRange(s); err != nil {
				t.Fatal(err)
			}
		}
		return r
	}
	for _, c := range []struct{ pahole, gcc, want string }{
		{"", "", ""},
		{"1.16..", "8.1..", ""},
		{"1.16..1.24", "5.1..12.2", ""},
		{"1.25..", "", "pahole is of version 1.24"},
		{"1.16..1.23", "", "pahole is of version 1.24"},
		{"", "13.1..", "aarch64-linux-gnu-gcc is of version 12.2"},
	} {
		err := tools.meets(Needs{Pahole: parse(c.pahole), GCC: parse(c.gcc)}, kver.Version{Major: 7, Minor: 2})
		var wrong *ToolVersionError
		switch {
		case c.want == "" && err != nil, c.want != "" && !errors.As(err, &wrong):
			t.Errorf("%+v: %v", c, err)
		case wrong != nil && (wrong.Tool+" is of version "+wrong.Have != c.want || wrong.Hint() == ""):
			t.Errorf("%+v: %v, hint %q", c, err, wrong.Hint())
		}
	}
	for _, line := range []string{"", "pahole", "gcc version unknown"} {
		if v, err := toolVersion(line); err == nil {
			t.Errorf("version of %q is %v", line, v)
		}
	}
	// The real ones can be read.
	if real, err := findTools(t.Context(), hostArch); err == nil {
		if err := real.meets(Needs{Pahole: parse(">=0.1"), GCC: parse(">=0.1")}, kver.Version{}); err != nil {
			t.Error(err)
		}
	}
}

// A pahole that will not do, on a machine without apt.
func TestNoPahole(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	b := &build{Options: Options{Dir: t.TempDir()}, tools: toolchain{pahole: "v1.24", compiler: "gcc 12.2.0"}}
	b.Progress = func(Progress) {}
	var err error
	if b.Needs.Pahole, err = kver.ParseRange("1.26.."); err != nil {
		t.Fatal(err)
	}
	err = b.findPahole(t.Context())
	var wrong *ToolVersionError
	if !errors.As(err, &wrong) || wrong.Instead == nil || !strings.Contains(err.Error(), "pahole is of version 1.24, linux 0.0 needs 1.26.., and another cannot be had: ") {
		t.Errorf("error = %v", err)
	}
}
