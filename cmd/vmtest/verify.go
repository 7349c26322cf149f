package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"slices"
	"text/tabwriter"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/bpf-vmtest/bpf-vmtest/internal/attest"
	"github.com/bpf-vmtest/bpf-vmtest/internal/kernelref"
	"github.com/bpf-vmtest/bpf-vmtest/internal/registry"
)

// verifyMode is the flag of the commands that use images.
type verifyMode struct{ attest.Mode }

func (m *verifyMode) register(fs *flag.FlagSet) {
	fs.TextVar(&m.Mode, "verify", attest.Auto, "`which` images from registries must be signed: auto (those of which the policy says so), require (all) or off")
}

// verifier decides about images as the user's policy says.
func (a *app) verifier(mode attest.Mode, cache string) (*attest.Verifier, error) {
	v := &attest.Verifier{Mode: mode, Dir: cache}
	if mode == attest.Off {
		return v, nil
	}
	var err error
	if v.Roots, err = a.roots(); err != nil {
		return nil, err
	}
	v.Policy, err = userPolicy()
	return v, err
}

func userPolicy() (*attest.Policy, error) {
	dir, err := os.UserConfigDir()
	if err != nil {
		return attest.DefaultPolicy(), nil // where there is no home, there is no policy in it
	}
	return attest.ReadUserPolicy(attest.PolicyFile(dir))
}

// verifyFlags are those of vmtest kernel verify.
type verifyFlags struct {
	arch             archFlag
	keys             stringList
	policy           string
	issuer, identity string
	trustedRoot      string
	show             string
}

func (f *verifyFlags) register(fs *flag.FlagSet) {
	f.arch.register(fs)
	fs.Var(&f.keys, "key", "who holds this public key, a `file`, must have signed it; may be repeated: one of them")
	fs.StringVar(&f.identity, "identity", "", "this `workflow or address` must have signed it, with a certificate of sigstore's; * stands for any characters")
	fs.StringVar(&f.issuer, "issuer", "", "who vouches for the identity, a `URL` (default: "+attest.GitHubActions+")")
	fs.StringVar(&f.policy, "policy", "", "policy that says who must have signed it, a `file` (default: the user's, then vmtest's own)")
	fs.StringVar(&f.trustedRoot, "trusted-root", "", "trusted root in place of sigstore's own, a `file`")
	fs.StringVar(&f.show, "show", "", "print `what` is said of the kernel, if it holds: sbom or provenance")
}

// verifyKernel says who has signed an image, and whether that is who should.
func (a *app) verifyKernel(ctx context.Context, args []string) error {
	var f verifyFlags
	fs := a.flagSet("kernel verify")
	f.register(fs)
	if err := parseFlags(fs, args); err != nil {
		return err
	}
	kinds := map[string]attest.PredicateType{"": "", "sbom": attest.SBOM, "provenance": attest.Provenance}
	if _, ok := kinds[f.show]; !ok {
		return usagef("", "kernel verify: -show %s: want sbom or provenance", f.show)
	}
	if fs.NArg() != 1 {
		return usagef("vmtest kernel verify ghcr.io/org/kernels:6.12", "kernel verify: want one image")
	}
	v := attest.Verifier{Mode: attest.Require}
	var err error
	if v.Policy, err = f.trust(); err != nil {
		return err
	}
	if v.Roots, err = a.roots(); err != nil {
		return err
	}
	v.Roots.File = f.trustedRoot
	repository, digest, err := a.lookUpImage(ctx, fs.Arg(0))
	if err != nil {
		return err
	}
	reports, err := v.Report(ctx, repository, digest)
	if f.show != "" && err == nil {
		return a.showPredicate(reports, kinds[f.show], f)
	}
	if showErr := a.showReports(reports); err == nil {
		err = showErr
	}
	return err
}

// trust is the policy that the flags make.
func (f *verifyFlags) trust() (*attest.Policy, error) {
	given := 0
	for _, is := range []bool{len(f.keys) > 0, f.identity != "", f.policy != ""} {
		if is {
			given++
		}
	}
	switch {
	case given > 1:
		return nil, usagef("", "kernel verify: want one of -key, -identity and -policy")
	case f.issuer != "" && f.identity == "":
		return nil, usagef("", "kernel verify: -issuer wants an -identity")
	case f.policy != "":
		return attest.ReadPolicy(f.policy)
	case f.identity != "":
		return attest.TrustPolicy(attest.Keyless{Issuer: cmp.Or(f.issuer, attest.GitHubActions), Identity: f.identity}), nil
	case len(f.keys) == 0:
		return userPolicy()
	}
	var keys attest.Keys
	for _, file := range f.keys {
		key, err := attest.ReadPublicKey(file)
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return attest.TrustPolicy(keys), nil
}

// lookUpImage finds what a reference names in its registry.
func (a *app) lookUpImage(ctx context.Context, text string) (*registry.Repository, v1.Hash, error) {
	refs, err := parseKernels(text)
	if err != nil {
		return nil, v1.Hash{}, err
	}
	source, ok := refs[0].Source().(kernelref.Registry)
	if !ok || len(refs) > 1 {
		return nil, v1.Hash{}, usagef("distributions' kernels are verified by apt, and layouts and files are yours", "kernel verify: %s is not an image in a registry", text)
	}
	client := &registry.Client{Warn: func(message string) { a.progress("warning: " + message) }}
	repository, err := client.Repository(source.Repository)
	if err != nil {
		return nil, v1.Hash{}, err
	}
	if source.Digest != "" {
		digest, err := v1.NewHash(source.Digest)
		return repository, digest, err
	}
	d, err := repository.Tag(ctx, source.Tag)
	if err != nil {
		return nil, v1.Hash{}, fmt.Errorf("look up %q: %w", text, err)
	}
	return repository, d.Digest, nil
}

// showReports prints a line for each bundle.
func (a *app) showReports(reports []attest.Report) error {
	names := map[attest.PredicateType]string{attest.Signature: "signature", attest.Provenance: "provenance", attest.SBOM: "sbom", "": "bundle"}
	w := tabwriter.NewWriter(a.stdout, 0, 8, 2, ' ', 0)
	for _, r := range reports {
		fmt.Fprintf(w, "%s\t%s\n", cmp.Or(r.Arch, "image"), r.Image)
		for _, f := range r.Findings {
			result := "holds: " + f.Signer
			if f.Err != nil {
				result = "does not hold: " + f.Err.Error()
			}
			fmt.Fprintf(w, "  %s\t%s\n", cmp.Or(names[f.Predicate], string(f.Predicate)), result)
		}
	}
	return w.Flush()
}

// showPredicate prints a statement's content, of the image for the architecture.
func (a *app) showPredicate(reports []attest.Report, kind attest.PredicateType, f verifyFlags) error {
	// The architecture's own first; what the whole image has is about all.
	slices.SortStableFunc(reports, func(x, y attest.Report) int { return preference(x, f.arch) - preference(y, f.arch) })
	for _, r := range reports {
		content, ok := r.Predicate(kind)
		if !ok || preference(r, f.arch) > 1 {
			continue
		}
		var pretty bytes.Buffer
		if err := json.Indent(&pretty, content, "", "  "); err != nil {
			return err
		}
		_, err := fmt.Fprintln(a.stdout, pretty.String())
		return err
	}
	return usagef("", "kernel verify: the image has no %s for %s that holds", f.show, f.arch)
}

func preference(r attest.Report, arch archFlag) int {
	switch r.Arch {
	case string(arch):
		return 0
	case "":
		return 1
	}
	return 2
}
