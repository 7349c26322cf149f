package attest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/bpf-vmtest/bpf-vmtest/internal/registry"
)

// A Report is what is attached to one image, and what of it holds.
type Report struct {
	Image    v1.Hash
	Arch     string // GOARCH, or empty for an index
	Findings []Finding
}

// vouched reports whether somebody who is trusted stands for the image.
func (r Report) vouched() bool {
	for _, f := range r.Findings {
		if f.Err == nil && f.Predicate.vouches() {
			return true
		}
	}
	return false
}

// Predicate finds a statement that holds, and gives what it says.
func (r Report) Predicate(kind PredicateType) (json.RawMessage, bool) {
	for _, f := range r.Findings {
		if f.Err == nil && f.Predicate == kind {
			return f.Statement.Predicate, true
		}
	}
	return nil, false
}

// Report checks everything that is attached to an image and, if it is an index,
// to its members. It is a *[RefusedError] if [Verifier.Verify] would refuse any of them;
// the reports are there all the same.
func (v *Verifier) Report(ctx context.Context, from *registry.Repository, image v1.Hash) ([]Report, error) {
	rule, err := v.rule(from.Name.Name(), image)
	if err != nil {
		return nil, err
	}
	reports, err := v.reports(ctx, from, image, rule.trust)
	if err != nil {
		return nil, fmt.Errorf("verify %q: %w", imageName(from.Name.Name(), image), err)
	}
	if reports[0].vouched() {
		return reports, nil
	}
	for _, r := range reports[1:] {
		if !r.vouched() {
			return reports, rule.refuse(from.Name.Name(), r.Image, append(r.faults(), reports[0].faults()...))
		}
	}
	if len(reports) == 1 {
		return reports, rule.refuse(from.Name.Name(), image, reports[0].faults())
	}
	return reports, nil
}

func (v *Verifier) reports(ctx context.Context, from *registry.Repository, image v1.Hash, t Trust) ([]Report, error) {
	top, members, err := readIndex(ctx, from, image)
	if err != nil {
		return nil, err
	}
	reports := []Report{{Image: top.Digest}}
	for _, d := range members {
		if d.Platform != nil && d.Platform.OS == "linux" { // the others are other tools' attestations
			reports = append(reports, Report{Image: d.Digest, Arch: d.Platform.Architecture})
		}
	}
	for i := range reports {
		if reports[i].Findings, err = Inspect(ctx, from, reports[i].Image, t, v.Roots); err != nil {
			return nil, err
		}
	}
	return reports, nil
}

// faults are those of bundles that would vouch for the image.
func (r Report) faults() []*Fault {
	var faults []*Fault
	for _, f := range r.Findings {
		var fault *Fault
		if errors.As(f.Err, &fault) && (f.Predicate.vouches() || f.Predicate == "") {
			faults = append(faults, fault)
		}
	}
	return faults
}
