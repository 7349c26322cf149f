package artifact

import (
	"cmp"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Index is what a tag names: the manifests of one kernel, one for each
// architecture, in the order of their names. The same manifests always give the
// same index. Its annotations are those of the image specification on which the
// manifests agree.
func Index(manifests []*Manifest) v1.IndexManifest {
	manifests = slices.SortedFunc(slices.Values(manifests), func(a, b *Manifest) int {
		return cmp.Or(cmp.Compare(a.Arch, b.Arch), cmp.Compare(a.Digest(), b.Digest()))
	})
	index := v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: []v1.Descriptor{}}
	var annotations []map[string]string
	for _, m := range manifests {
		d := m.Descriptor
		// The manifest says that itself. Copying the index with the skopeo
		// of Debian 12 would leave it out here, and change the digest.
		d.ArtifactType = ""
		index.Manifests = append(index.Manifests, d)
		annotations = append(annotations, m.Annotations)
	}
	if !slices.ContainsFunc(manifests, func(m *Manifest) bool { return !m.IsTyped() }) {
		index.ArtifactType = Type
	}
	index.Annotations = common(annotations)
	return index
}
