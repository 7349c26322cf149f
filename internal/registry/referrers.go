package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Referrers lists the manifests that are attached to a manifest or an index,
// which may be none, and says where they are to be read. A mirror that has none may
// not know of them, which is no fault: then the next place is asked.
func (r *Repository) Referrers(ctx context.Context, digest v1.Hash) (found []v1.Descriptor, at *Repository, err error) {
	for i, s := range r.sources {
		if s.mirrors && (!s.serves(byDigest) || r.client.left(s.path)) {
			continue
		}
		if s.mirrors {
			found, err = s.referrers(Hasty(ctx), digest)
		} else {
			found, err = s.referrers(ctx, digest)
		}
		if !s.mirrors || len(found) > 0 || ctx.Err() != nil {
			return found, &Repository{Name: r.Name, client: r.client, sources: r.sources[i:]}, err
		}
	}
	return nil, nil, errors.New("it has no sources") // the last one is no mirror
}

// referrers asks the registry for its list and, where it keeps none, for the
// index under the tag that stands in for it. The largest one keeps none.
func (s *source) referrers(ctx context.Context, digest v1.Hash) ([]v1.Descriptor, error) {
	t, err := s.connect(ctx)
	if err != nil {
		return nil, err
	}
	list, err := remote.Referrers(s.name.Digest(digest.String()), remote.WithContext(ctx), remote.WithTransport(t))
	if err != nil {
		return nil, s.explain(err)
	}
	index, err := list.IndexManifest()
	if err != nil {
		return nil, fmt.Errorf("parse list of referrers: %w", err)
	}
	if len(index.Manifests) > 0 {
		return index.Manifests, nil
	}
	// There are registries that answer with an empty list whatever was
	// attached.
	index, err = s.standIn(ctx, digest)
	return index.Manifests, err
}

// standIn is the index under the tag, or an empty one.
func (s *source) standIn(ctx context.Context, digest v1.Hash) (*v1.IndexManifest, error) {
	index := &v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex}
	d, err := s.get(ctx, standInTag(s.name, digest))
	var answer *Error
	if errors.As(err, &answer) && answer.Missing() {
		return index, nil
	}
	if err != nil {
		return index, err
	}
	if err := json.Unmarshal(d.Manifest, index); err != nil {
		return index, fmt.Errorf("parse index %s: %w", d.Digest, err)
	}
	return index, nil
}

// standInTag is that of the distribution specification's referrers tag schema.
func standInTag(r name.Repository, digest v1.Hash) name.Tag {
	return r.Tag(digest.Algorithm + "-" + digest.Hex)
}

// Attach writes a manifest that has a subject, and makes sure that it is listed
// among the subject's referrers.
func (w *Writer) Attach(ctx context.Context, m v1.Manifest) error {
	content, err := json.Marshal(m)
	if err != nil {
		return err
	}
	d := v1.Descriptor{MediaType: m.MediaType, ArtifactType: m.ArtifactType, Size: int64(len(content)), Annotations: m.Annotations}
	if d.Digest, _, err = v1.SHA256(bytes.NewReader(content)); err != nil {
		return err
	}
	// The library writes the stand-in where the registry says that it keeps
	// no list.
	if err := w.Put(ctx, w.Name.Digest(d.Digest.String()), d.MediaType, content); err != nil {
		return err
	}
	listed, err := w.source.referrers(ctx, m.Subject.Digest)
	if err != nil || slices.ContainsFunc(listed, func(have v1.Descriptor) bool { return have.Digest == d.Digest }) {
		return err
	}
	index, err := w.source.standIn(ctx, m.Subject.Digest)
	if err != nil {
		return err
	}
	index.Manifests = append(index.Manifests, d)
	if content, err = json.Marshal(index); err != nil {
		return err
	}
	return w.Put(ctx, standInTag(w.Name, m.Subject.Digest), index.MediaType, content)
}
