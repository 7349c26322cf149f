// Package publish puts kernels from OCI layouts on disk into a registry: by
// their digests first, and under their tags when everything is there and has
// been checked. It deletes nothing.
package publish

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/bpf-vmtest/bpf-vmtest/internal/artifact"
	"github.com/bpf-vmtest/bpf-vmtest/internal/kver"
)

// A Kernel is one for one architecture, in a layout.
type Kernel struct {
	*artifact.Manifest
	Layout *artifact.Layout
}

// A Release is what is published together: one version of the kernel, of one
// flavour, for one or more architectures.
type Release struct {
	Version kver.Version
	Flavour string // "" is the default flavour
	Index   v1.Descriptor

	kernels []Kernel
	index   []byte
}

// NewRelease puts the kernels together and checks them: each was booted, as its
// table of features shows, and is whole. The annotations are added to the
// index's. The error is an *[Error] where the kernels are at fault.
func NewRelease(ctx context.Context, kernels []Kernel, annotations map[string]string) (*Release, error) {
	kernels, err := unique(kernels)
	if err != nil {
		return nil, err
	}
	r := &Release{kernels: kernels}
	for i, k := range kernels {
		version, err := check(ctx, k)
		if err != nil {
			return nil, &Error{Kernel: describe(k), Cause: err}
		}
		if i == 0 {
			r.Version, r.Flavour = version, k.Build.Flavour
		} else if version != r.Version || k.Build.Flavour != r.Flavour {
			return nil, &Error{Kernel: describe(k), Cause: fmt.Errorf("it is not of the version and flavour of %s", describe(kernels[0]))}
		}
	}
	var manifests []*artifact.Manifest
	for _, k := range kernels {
		manifests = append(manifests, k.Manifest)
	}
	index := artifact.Index(manifests)
	maps.Copy(index.Annotations, annotations)
	if r.index, err = json.Marshal(index); err != nil {
		return nil, err
	}
	r.index = append(r.index, '\n') // as layouts have it, so that the digest is the same
	r.Index = v1.Descriptor{MediaType: index.MediaType, ArtifactType: index.ArtifactType, Size: int64(len(r.index))}
	r.Index.Digest, _, err = v1.SHA256(bytes.NewReader(r.index))
	return r, err
}

// unique leaves out what is named twice, and refuses two for one architecture.
func unique(kernels []Kernel) ([]Kernel, error) {
	var list []Kernel
	for _, k := range kernels {
		i := slices.IndexFunc(list, func(other Kernel) bool { return other.Arch == k.Arch })
		switch {
		case i < 0:
			list = append(list, k)
		case list[i].Digest() != k.Digest():
			return nil, &Error{Kernel: describe(k), Cause: fmt.Errorf("%s is another one for %s", describe(list[i]), k.Arch), hint: "name one of them by its tag or digest: oci:DIR:TAG"}
		}
	}
	if len(list) == 0 {
		return nil, &Error{Cause: errors.New("there is none")}
	}
	slices.SortFunc(list, func(a, b Kernel) int { return cmp.Compare(a.Arch, b.Arch) })
	return list, nil
}

func describe(k Kernel) string {
	return fmt.Sprintf("%s %s %s", cmp.Or(k.Release, "of another project"), k.Arch, k.Digest())
}
