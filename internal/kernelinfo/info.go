// Package kernelinfo is what can be said of a kernel without booting it, and
// how two kernels differ.
package kernelinfo

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/bpf-vmtest/bpf-vmtest/internal/artifact"
	"github.com/bpf-vmtest/bpf-vmtest/internal/features"
	"github.com/bpf-vmtest/bpf-vmtest/internal/store"
)

// An Image is what a reference names, for every architecture that it has.
type Image struct {
	Ref         string            `json:"ref"`
	Digest      string            `json:"digest,omitempty"` // of the index, where there is one
	Annotations map[string]string `json:"annotations,omitempty"`
	Kernels     []Kernel          `json:"kernels"`
}

// A Kernel is one for one architecture.
type Kernel struct {
	Digest      string            `json:"digest"` // of the manifest
	Arch        string            `json:"arch"`   // GOARCH
	Release     string            `json:"release,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
	Parts       []Part            `json:"parts"`
	Features    *Features         `json:"features,omitempty"`
}

// A Part is one of a kernel's layers.
type Part struct {
	Name   string `json:"name,omitempty"` // empty in an image of others
	Digest string `json:"digest,omitempty"`
	Sizes
	Pulled bool `json:"pulled"` // a run fetches it
}

// Sizes are a part's, in bytes, 0 where they are not known.
type Sizes struct {
	Unpacked   int64 `json:"unpacked"`
	Compressed int64 `json:"compressed"`
}

func (s *Sizes) add(t Sizes) {
	s.Unpacked += t.Unpacked
	s.Compressed += t.Compressed
}

// Features is a table that is written as JSON as an artifact has it.
type Features struct{ *features.Table }

// MarshalJSON writes the table's one form.
func (f *Features) MarshalJSON() ([]byte, error) { return f.Encode() }

// Read looks into an image: of a kernel's content only the table of features is
// fetched.
func Read(ctx context.Context, ref string, image *store.Image) (*Image, error) {
	info := &Image{Ref: ref, Digest: image.Digest, Annotations: image.Annotations}
	for _, m := range image.Kernels {
		k, err := readKernel(ctx, image, m)
		if err != nil {
			return nil, fmt.Errorf("inspect kernel %q: %w", ref, err)
		}
		info.Kernels = append(info.Kernels, *k)
	}
	return info, nil
}

func readKernel(ctx context.Context, image *store.Image, m *artifact.Manifest) (*Kernel, error) {
	k := &Kernel{Digest: m.Digest(), Arch: m.Arch, Release: m.Release, Annotations: m.Annotations}
	for _, l := range m.Layers {
		k.Parts = append(k.Parts, Part{
			Name: string(l.Part), Digest: l.Digest.String(), Sizes: Sizes{l.Files, l.Size}, Pulled: m.IsPulled(l),
		})
	}
	if _, ok := m.Layer(artifact.Features); !ok || !m.IsTyped() {
		return k, nil
	}
	content, err := image.ReadFile(ctx, m, artifact.Features)
	if err != nil {
		return nil, err
	}
	table, err := features.Parse(content)
	if err != nil {
		return nil, err
	}
	k.Features = &Features{table}
	return k, nil
}

// indented is the value as JSON for people and programs.
func indented(value any) ([]byte, error) {
	b, err := json.MarshalIndent(value, "", "  ")
	return append(b, '\n'), err
}

// JSON is the image's description, indented, with a newline at the end.
func (i *Image) JSON() ([]byte, error) { return indented(i) }
