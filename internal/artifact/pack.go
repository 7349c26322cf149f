package artifact

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"strconv"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Pack writes the kernel into the OCI layout in a directory, which is made if
// it is not there, and gives it the tags. The layout may hold other kernels;
// one of the same architecture loses the tags that it has in common, those of
// other architectures stay beside it. The same parts always give the same
// digest, "sha256:…", of the manifest.
//
// Several processes may pack into one layout at once.
func Pack(ctx context.Context, parts Parts, layoutDir string, tags ...string) (digest string, err error) {
	if err := parts.check(); err != nil {
		return "", fmt.Errorf("pack kernel %q: %w", parts.Release, err)
	}
	l, unlock, err := createLayout(layoutDir)
	if err != nil {
		return "", fmt.Errorf("open layout %q: %w", layoutDir, err)
	}
	defer unlock()
	manifest, err := pack(ctx, parts, l)
	if err == nil {
		err = l.add(manifest, tags)
	}
	if err != nil {
		return "", fmt.Errorf("pack kernel %q into %q: %w", parts.Release, layoutDir, err)
	}
	return manifest.Digest.String(), nil
}

// pack writes the blobs and returns the manifest's descriptor.
func pack(ctx context.Context, parts Parts, l *Layout) (v1.Descriptor, error) {
	manifest := v1.Manifest{
		SchemaVersion: 2,
		MediaType:     types.OCIManifestSchema1,
		ArtifactType:  Type,
		Annotations:   parts.annotations(),
	}
	config := v1.ConfigFile{
		Architecture: parts.Arch,
		OS:           "linux",
		Created:      v1.Time{Time: parts.Created.UTC()},
		RootFS:       v1.RootFS{Type: "layers"},
	}
	for _, f := range parts.files() {
		desc, diffID, err := packPart(ctx, f, parts.Release, l)
		if err != nil {
			return v1.Descriptor{}, fmt.Errorf("pack %s: %w", f.part, err)
		}
		if f.part == Config {
			if manifest.Annotations[ConfigAnnotation], err = hashFile(f.path); err != nil {
				return v1.Descriptor{}, err
			}
		}
		manifest.Layers = append(manifest.Layers, desc)
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, diffID)
		config.History = append(config.History, v1.History{CreatedBy: string(f.part), Created: config.Created})
	}
	var err error
	if manifest.Config, err = l.writeJSON(types.OCIConfigJSON, config); err != nil {
		return v1.Descriptor{}, err
	}
	desc, err := l.writeJSON(types.OCIManifestSchema1, manifest)
	desc.ArtifactType = Type
	desc.Platform = &v1.Platform{OS: "linux", Architecture: parts.Arch}
	return desc, err
}

// packPart writes one part as a layer; diffID is the hash of the layer
// uncompressed.
func packPart(ctx context.Context, f file, release string, l *Layout) (desc v1.Descriptor, diffID v1.Hash, err error) {
	uncompressed := sha256.New()
	var files int64
	desc, err = l.write(LayerType, func(w io.Writer) error {
		z, err := compress(w)
		if err != nil {
			return err
		}
		if files, err = writeLayer(ctx, io.MultiWriter(z, uncompressed), f, release); err != nil {
			return errors.Join(err, z.Close())
		}
		return z.Close()
	})
	desc.Annotations = map[string]string{PartAnnotation: string(f.part), SizeAnnotation: strconv.FormatInt(files, 10)}
	return desc, sum(uncompressed), err
}

func sum(h hash.Hash) v1.Hash {
	return v1.Hash{Algorithm: "sha256", Hex: fmt.Sprintf("%x", h.Sum(nil))}
}

// writeJSON writes a value as a blob.
func (l *Layout) writeJSON(mediaType types.MediaType, value any) (v1.Descriptor, error) {
	return l.write(mediaType, func(w io.Writer) error { return json.NewEncoder(w).Encode(value) })
}
