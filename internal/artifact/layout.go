package artifact

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/renameio/v2"
	"github.com/rogpeppe/go-internal/lockedfile"
)

// Layout is an OCI image layout on disk: a directory with index.json, which
// names manifests and their tags, and blobs by their digests.
type Layout struct{ dir string }

// OpenLayout opens a layout that exists.
func OpenLayout(dir string) (*Layout, error) {
	l := &Layout{dir}
	var marker struct {
		Version string `json:"imageLayoutVersion"`
	}
	if err := readJSON(filepath.Join(dir, "oci-layout"), &marker); err != nil {
		return nil, fmt.Errorf("open layout %q: %w", dir, err)
	}
	if marker.Version != layoutVersion {
		return nil, fmt.Errorf("open layout %q: its version is %q, want %s", dir, marker.Version, layoutVersion)
	}
	return l, nil
}

// The only version of the image layout there is.
const layoutVersion = "1.0.0"

// createLayout opens a layout for writing, making it where there is none. What
// a killed run left in it is removed.
func createLayout(dir string) (l *Layout, unlock func(), err error) {
	if err := os.MkdirAll(filepath.Join(dir, "blobs", "sha256"), 0o755); err != nil {
		return nil, nil, err
	}
	unlock, err = lockedfile.MutexAt(filepath.Join(dir, ".lock")).Lock()
	if err != nil {
		return nil, nil, err
	}
	l = &Layout{dir}
	if err := l.initialise(); err != nil {
		unlock()
		return nil, nil, err
	}
	return l, unlock, nil
}

func (l *Layout) initialise() error {
	if err := os.RemoveAll(l.unfinished()); err != nil {
		return err
	}
	if _, err := l.index(); os.IsNotExist(err) {
		if err := l.writeIndex(v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: []v1.Descriptor{}}); err != nil {
			return err
		}
	} else if err != nil {
		return err
	}
	// The marker last: without it the directory is not yet a layout.
	return renameio.WriteFile(filepath.Join(l.dir, "oci-layout"), []byte(`{"imageLayoutVersion":"`+layoutVersion+`"}`), 0o644)
}

// Find lists the manifests and indexes with the tag, and with the digest
// "sha256:…"; an empty one is any. A digest is looked for in indexes, too.
func (l *Layout) Find(tag, digest string) ([]v1.Descriptor, error) {
	found, err := l.find(tag, digest)
	if err != nil {
		return nil, fmt.Errorf("read layout %q: %w", l.dir, err)
	}
	return found, nil
}

func (l *Layout) find(tag, digest string) ([]v1.Descriptor, error) {
	index, err := l.index()
	if err != nil {
		return nil, err
	}
	var found []v1.Descriptor
	for _, d := range index.Manifests {
		if tag != "" && d.Annotations[tagAnnotation] != tag {
			continue
		}
		candidates := []v1.Descriptor{d}
		if digest != "" && d.Digest.String() != digest {
			if candidates, err = l.members(d); err != nil {
				return nil, err
			}
		}
		for _, c := range candidates {
			if digest == "" || c.Digest.String() == digest {
				found = append(found, c)
			}
		}
	}
	return found, nil
}

// members are the manifests that a descriptor stands for: its own, or those of
// its index.
func (l *Layout) members(d v1.Descriptor) ([]v1.Descriptor, error) {
	if !d.MediaType.IsIndex() {
		return []v1.Descriptor{d}, nil
	}
	content, err := l.Document(d)
	if err != nil {
		return nil, err
	}
	var index v1.IndexManifest
	if err := json.Unmarshal(content, &index); err != nil {
		return nil, fmt.Errorf("parse index %s: %w", d.Digest, err)
	}
	return index.Manifests, nil
}

// Kernels lists the kernels that have the tag, and the digest "sha256:…"; an
// empty one is any. The digest may be an index's. A kernel is listed once,
// however many tags it has.
func (l *Layout) Kernels(tag, digest string) ([]*Manifest, error) {
	found, err := l.Find(tag, digest)
	if err != nil {
		return nil, err
	}
	var kernels []*Manifest
	for _, d := range found {
		members, err := l.members(d)
		if err != nil {
			return nil, fmt.Errorf("read layout %q: %w", l.dir, err)
		}
		for _, d := range members {
			if slices.ContainsFunc(kernels, func(m *Manifest) bool { return m.Descriptor.Digest == d.Digest }) {
				continue
			}
			m, err := l.manifest(d)
			if err != nil {
				return nil, fmt.Errorf("read layout %q: %w", l.dir, err)
			}
			kernels = append(kernels, m)
		}
	}
	return kernels, nil
}

// manifest reads a manifest and its configuration.
func (l *Layout) manifest(d v1.Descriptor) (*Manifest, error) {
	manifest, err := l.Document(d)
	if err != nil {
		return nil, err
	}
	var raw v1.Manifest
	if err := json.Unmarshal(manifest, &raw); err != nil {
		return nil, fmt.Errorf("parse manifest %s: %w", d.Digest, err)
	}
	config, err := l.Document(raw.Config)
	if err != nil {
		return nil, err
	}
	return ParseManifest(d, manifest, config)
}

// Document reads a manifest, an index or a configuration and checks it.
func (l *Layout) Document(d v1.Descriptor) ([]byte, error) {
	r, err := l.Blob(context.Background(), d)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	content, err := io.ReadAll(io.LimitReader(r, documentLimit))
	if err != nil {
		return nil, err
	}
	if got, _, err := v1.SHA256(bytes.NewReader(content)); err != nil || got != d.Digest {
		return nil, fmt.Errorf("read blob %s: its content has the digest %s", d.Digest, got)
	}
	return content, nil
}

// Manifests, indexes and configurations are small; registries allow 4 MiB.
const documentLimit = 4 << 20

// Tags lists the layout's tags in the order in which they were written.
func (l *Layout) Tags() ([]string, error) {
	all, err := l.Find("", "")
	if err != nil {
		return nil, err
	}
	var tags []string
	for _, d := range all {
		if t := d.Annotations[tagAnnotation]; t != "" && !slices.Contains(tags, t) {
			tags = append(tags, t)
		}
	}
	return tags, nil
}

// Blob opens a blob, whose content is not checked here.
func (l *Layout) Blob(_ context.Context, d v1.Descriptor) (io.ReadCloser, error) {
	if d.Digest.Algorithm != "sha256" || len(d.Digest.Hex) != 64 {
		return nil, fmt.Errorf("open blob %q: want a SHA-256", d.Digest)
	}
	return os.Open(l.blob(d.Digest))
}

func (l *Layout) blob(h v1.Hash) string { return filepath.Join(l.dir, "blobs", h.Algorithm, h.Hex) }

// unfinished is where a blob is written before its digest is known. Blobs are
// only written under the layout's lock.
func (l *Layout) unfinished() string { return filepath.Join(l.dir, "blobs", ".unfinished") }

// write writes a blob and returns its descriptor.
func (l *Layout) write(mediaType types.MediaType, content func(io.Writer) error) (v1.Descriptor, error) {
	f, err := os.Create(l.unfinished())
	if err != nil {
		return v1.Descriptor{}, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	h := sha256.New()
	if err := content(io.MultiWriter(f, h)); err != nil {
		return v1.Descriptor{}, err
	}
	if err := f.Sync(); err != nil {
		return v1.Descriptor{}, err
	}
	info, err := f.Stat()
	if err != nil {
		return v1.Descriptor{}, err
	}
	d := v1.Descriptor{MediaType: mediaType, Size: info.Size(), Digest: sum(h)}
	return d, os.Rename(f.Name(), l.blob(d.Digest))
}

// add enters the manifest into the layout's index under the tags, or without
// one, and removes what nothing refers to any more.
func (l *Layout) add(manifest v1.Descriptor, tags []string) error {
	index, err := l.index()
	if err != nil {
		return err
	}
	if len(tags) == 0 { // listed by its digest alone
		index.Manifests = slices.DeleteFunc(index.Manifests, func(d v1.Descriptor) bool {
			return d.Annotations[tagAnnotation] == "" && d.Digest == manifest.Digest
		})
		index.Manifests = append(index.Manifests, manifest)
	}
	for _, tag := range tags {
		tagged, err := l.tag(index, manifest, tag)
		if err != nil {
			return err
		}
		index.Manifests = append(withoutTag(index.Manifests, tag), tagged)
	}
	if err := l.writeIndex(index); err != nil {
		return err
	}
	return l.removeUnused()
}

// tag writes the index that the tag is to name: the manifest beside what is for
// other platforms of what the tag names now.
func (l *Layout) tag(index v1.IndexManifest, manifest v1.Descriptor, tag string) (v1.Descriptor, error) {
	added, err := l.manifest(manifest)
	if err != nil {
		return v1.Descriptor{}, err
	}
	kernels := []*Manifest{added}
	for _, d := range index.Manifests {
		if d.Annotations[tagAnnotation] != tag {
			continue
		}
		members, err := l.members(d)
		if err != nil {
			return v1.Descriptor{}, err
		}
		for _, d := range members {
			// Another tool's may be for no platform, or an unknown one.
			if p := d.Platform; p == nil || p.OS != "linux" || p.Equals(*manifest.Platform) {
				continue
			}
			other, err := l.manifest(d)
			if err != nil {
				return v1.Descriptor{}, err
			}
			kernels = append(kernels, other)
		}
	}
	tagged := Index(kernels)
	d, err := l.writeJSON(tagged.MediaType, tagged)
	d.ArtifactType, d.Annotations = tagged.ArtifactType, map[string]string{tagAnnotation: tag}
	return d, err
}

func withoutTag(all []v1.Descriptor, tag string) []v1.Descriptor {
	return slices.DeleteFunc(all, func(d v1.Descriptor) bool { return d.Annotations[tagAnnotation] == tag })
}

func (l *Layout) removeUnused() error {
	unused, err := layout.Path(l.dir).GarbageCollect()
	if err != nil {
		// Another tool put something there that is not an image. Then
		// what is in use cannot be told, and everything stays.
		return nil
	}
	for _, h := range unused {
		if err := os.Remove(l.blob(h)); err != nil {
			return err
		}
	}
	return nil
}

func (l *Layout) index() (v1.IndexManifest, error) {
	var index v1.IndexManifest
	err := readJSON(filepath.Join(l.dir, "index.json"), &index)
	return index, err
}

func (l *Layout) writeIndex(index v1.IndexManifest) error {
	content, err := json.MarshalIndent(index, "", "  ")
	if err != nil {
		return err
	}
	return renameio.WriteFile(filepath.Join(l.dir, "index.json"), append(content, '\n'), 0o644)
}

func readJSON(path string, value any) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(content, value); err != nil {
		return fmt.Errorf("parse %q: %w", path, err)
	}
	return nil
}

// hashFile is the file's SHA-256 in hexadecimal.
func hashFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h, _, err := v1.SHA256(f)
	return h.Hex, err
}
