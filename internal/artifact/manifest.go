package artifact

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// A Manifest is what an image's manifest and configuration say of the kernel
// in it, for one architecture.
type Manifest struct {
	// Descriptor is the manifest's, with the platform and no annotations.
	Descriptor v1.Descriptor
	Config     v1.Descriptor
	Arch       string // GOARCH
	// Release is what uname -r prints, or empty in an image of others.
	Release     string
	Build       Build
	Annotations map[string]string // all there are
	Layers      []Layer
}

// A Layer is one of a manifest's layers.
type Layer struct {
	v1.Descriptor
	Part   Part    // empty in an image of others
	DiffID v1.Hash // of the layer uncompressed
	Files  int64   // bytes of the files in it, 0 where that is not known
}

// Digest is the manifest's, as "sha256:…".
func (m *Manifest) Digest() string { return m.Descriptor.Digest.String() }

// IsTyped reports whether the layers say what they hold.
func (m *Manifest) IsTyped() bool { return m.Descriptor.ArtifactType == Type }

// Layer is the one that holds the part.
func (m *Manifest) Layer(p Part) (Layer, bool) {
	for _, l := range m.Layers {
		if l.Part == p {
			return l, true
		}
	}
	return Layer{}, false
}

// bootParts are those that decide what a booted kernel can do.
var bootParts = []Part{Kernel, VMLinux, Config, Modules, Initramfs}

// BootParts are the digests of the layers, uncompressed, that a boot uses, by
// part: what a table of the kernel's features is about.
func (m *Manifest) BootParts() map[string]string {
	digests := map[string]string{}
	for _, p := range bootParts {
		if l, ok := m.Layer(p); ok {
			digests[string(p)] = l.DiffID.String()
		}
	}
	return digests
}

// IsPulled reports whether a run fetches the layer: of an image of others all
// layers, of ours what is booted.
func (m *Manifest) IsPulled(l Layer) bool {
	if !m.IsTyped() {
		return true
	}
	switch l.Part {
	case VMLinux, Config, Modules:
		return true
	case Kernel:
		_, better := m.Layer(VMLinux)
		return !better
	}
	return false
}

// ParseManifest reads a manifest and its configuration. That they are what the
// digests say is for the caller to know.
func ParseManifest(d v1.Descriptor, manifest, config []byte) (*Manifest, error) {
	m, err := parseManifest(d, manifest, config)
	if err != nil {
		return nil, fmt.Errorf("parse manifest %s: %w", d.Digest, err)
	}
	return m, nil
}

func parseManifest(d v1.Descriptor, manifest, config []byte) (*Manifest, error) {
	var raw v1.Manifest
	if err := json.Unmarshal(manifest, &raw); err != nil {
		return nil, err
	}
	var c v1.ConfigFile
	if err := json.Unmarshal(config, &c); err != nil {
		return nil, fmt.Errorf("configuration %s: %w", raw.Config.Digest, err)
	}
	if c.Architecture == "" {
		return nil, fmt.Errorf("configuration %s: it names no architecture", raw.Config.Digest)
	}
	if len(c.RootFS.DiffIDs) != len(raw.Layers) {
		return nil, fmt.Errorf("configuration %s: it is about %d layers of %d", raw.Config.Digest, len(c.RootFS.DiffIDs), len(raw.Layers))
	}
	m := &Manifest{
		Descriptor: v1.Descriptor{
			MediaType: raw.MediaType, Size: int64(len(manifest)), Digest: d.Digest,
			Platform: cmp.Or(d.Platform, &v1.Platform{OS: c.OS, Architecture: c.Architecture}), ArtifactType: raw.ArtifactType,
		},
		Config: raw.Config, Arch: c.Architecture, Release: raw.Annotations[ReleaseAnnotation],
		Build: parseBuild(raw.Annotations), Annotations: raw.Annotations,
	}
	if m.Descriptor.MediaType == "" {
		m.Descriptor.MediaType = types.OCIManifestSchema1
	}
	if m.IsTyped() && (!isRelease(m.Release) || !isFlavour(m.Build.Flavour)) { // they become parts of paths and tags
		return nil, errors.New("its release or its flavour is none: " + strconv.Quote(m.Release) + ", " + strconv.Quote(m.Build.Flavour))
	}
	for i, l := range raw.Layers {
		files, _ := strconv.ParseInt(l.Annotations[SizeAnnotation], 10, 64)
		m.Layers = append(m.Layers, Layer{l, Part(l.Annotations[PartAnnotation]), c.RootFS.DiffIDs[i], files})
	}
	return m, nil
}
