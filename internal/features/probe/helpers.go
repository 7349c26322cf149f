package main

import (
	"errors"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	libfeatures "github.com/cilium/ebpf/features"
	"golang.org/x/sys/unix"

	"github.com/bpf-vmtest/bpf-vmtest/internal/features"
)

// probeHelpers asks for each helper and each program type that is there.
func probeHelpers(t *features.Table) {
	t.Helpers = map[string][]string{}
	for _, p := range programTypes {
		if t.Find(features.Program, p.name).State != features.Supported {
			continue
		}
		if p.ProgramType == ebpf.StructOps || p.ProgramType == ebpf.Extension {
			t.HelpersUnclear = append(t.HelpersUnclear, features.Feature{Name: p.name, Detail: "they depend on what the program is attached to"})
			continue
		}
		for _, h := range helpers() {
			switch f := finding(p.name+"/"+helperName(h), haveHelper(p.ProgramType, h)); f.State {
			case features.Supported:
				t.Helpers[p.name] = append(t.Helpers[p.name], helperName(h))
			case features.Inconclusive:
				t.HelpersUnclear = append(t.HelpersUnclear, f)
			}
		}
	}
}

// helpers are all that the library knows.
func helpers() []asm.BuiltinFunc {
	var all []asm.BuiltinFunc
	for h := asm.FnMapLookupElem; !strings.HasPrefix(h.String(), "BuiltinFunc("); h++ {
		all = append(all, h)
	}
	return all
}

// helperName turns FnMapLookupElem into map_lookup_elem, the kernel's name for
// it.
func helperName(h asm.BuiltinFunc) string {
	var b strings.Builder
	for i, c := range strings.TrimPrefix(h.String(), "Fn") {
		if 'A' <= c && c <= 'Z' {
			if i > 0 {
				b.WriteByte('_')
			}
			c += 'a' - 'A'
		}
		b.WriteRune(c)
	}
	return b.String()
}

// haveHelper asks the library, which knows most program types, and where that
// gives no answer reads the verifier's log.
func haveHelper(t ebpf.ProgramType, h asm.BuiltinFunc) error {
	spec := &ebpf.ProgramSpec{
		Type: t, License: "GPL",
		Instructions: asm.Instructions{h.Call(), asm.Mov.Imm(asm.R0, 0), asm.Return()},
	}
	switch t {
	case ebpf.Tracing:
		spec.AttachType, spec.AttachTo = ebpf.AttachTraceFEntry, syscallFunction
	case ebpf.LSM:
		spec.AttachType, spec.AttachTo = ebpf.AttachLSMMac, lsmHook
	default:
		err := libfeatures.HaveProgramHelper(t, h)
		if err == nil || errors.Is(err, ebpf.ErrNotSupported) {
			return err
		}
	}
	return accepts(spec)
}

// refusals are what the verifier says about a helper that a program type does
// not have. That one "is not allowed in probe" depends on the function, where a
// program is for one.
var refusals = []string{
	"unknown func", "invalid func", "program of this type cannot use helper",
	"not supported for program type", "programs can be sleepable",
}

const (
	dependsOnFunction = "helper call is not allowed in probe"
	mustSleep         = "might sleep"
)

// accepts reports whether the verifier knows the helper that the program
// calls, by what it complains about: that the arguments are missing.
func accepts(spec *ebpf.ProgramSpec) error {
	err := load(spec)
	var verifier *ebpf.VerifierError
	if !errors.As(err, &verifier) {
		return err
	}
	log := strings.Join(verifier.Log, "\n")
	for _, refusal := range refusals {
		if strings.Contains(log, refusal) {
			return ebpf.ErrNotSupported
		}
	}
	switch {
	case strings.Contains(log, dependsOnFunction) && spec.AttachTo == "":
		return ebpf.ErrNotSupported
	case strings.Contains(log, mustSleep) && spec.Flags&unix.BPF_F_SLEEPABLE == 0:
		spec.Flags |= unix.BPF_F_SLEEPABLE
		return accepts(spec)
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EINVAL):
		return nil
	}
	return err
}

// kernelTypes are decoded once for all programs.
var kernelTypes = btf.NewCache()

// load loads a program, with the verifier's log, and unloads it.
func load(spec *ebpf.ProgramSpec) error {
	const name = "probe"
	c, err := ebpf.NewCollectionWithOptions(
		&ebpf.CollectionSpec{Programs: map[string]*ebpf.ProgramSpec{name: spec}},
		ebpf.CollectionOptions{Programs: ebpf.ProgramOptions{LogLevel: ebpf.LogLevelBranch}, Cache: kernelTypes},
	)
	if err == nil {
		c.Close()
	}
	return err
}
