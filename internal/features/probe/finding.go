package main

import (
	"errors"
	"regexp"
	"strings"

	"github.com/cilium/ebpf"

	"github.com/bpf-vmtest/bpf-vmtest/internal/features"
)

// finding is what an error of cilium/ebpf says about a feature: none that it is
// there, ErrNotSupported that it is not, any other nothing.
func finding(name string, err error) features.Feature {
	f := features.Feature{Name: name, State: features.Supported}
	if err != nil {
		f.State, f.Detail = features.Inconclusive, reason(err)
	}
	if errors.Is(err, ebpf.ErrNotSupported) {
		f.State = features.Unsupported
	}
	return f
}

var (
	// address is what differs from boot to boot.
	address = regexp.MustCompile(`\b(0x)?[0-9a-f]{12,16}\b`)
	// known is what the state says already. The library names the feature,
	// and the version that brought it, which this one may well have.
	known = regexp.MustCompile(`([^:]+ not supported( \(requires >= v[0-9.]+\))?|: not supported)$`)
)

// reason is an error in a line that is the same for every boot.
func reason(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	line = strings.TrimSuffix(known.ReplaceAllString(line, ""), ":")
	if line == "attach" || line == "load" { // without a cause it says nothing
		return ""
	}
	line = address.ReplaceAllString(line, "ADDRESS")
	const limit = 160
	if len(line) > limit {
		line = strings.ToValidUTF8(line[:limit], "") + "…"
	}
	return line
}
