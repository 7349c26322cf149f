package attest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/bpf-vmtest/bpf-vmtest/initramfs/toolbox"
	"github.com/bpf-vmtest/bpf-vmtest/internal/artifact"
	"github.com/bpf-vmtest/bpf-vmtest/internal/registry"
)

// Contents is everything that is in a kernel's artifact.
type Contents struct {
	*artifact.Manifest
	Files []File // in the order of the layers and of their names
	// Toolbox is what the initramfs was made of, or nil where it does not
	// say.
	Toolbox *toolbox.Bill
}

// A File is one in a layer.
type File struct {
	Part   artifact.Part
	Path   string // in the image, with a slash at the beginning
	Size   int64
	SHA256 string // hexadecimal
}

// readManifest reads the manifest of a kernel's artifact.
func readManifest(ctx context.Context, from *registry.Repository, d v1.Descriptor) (*artifact.Manifest, error) {
	content, err := from.Manifest(ctx, d.Digest)
	if err != nil {
		return nil, err
	}
	var raw v1.Manifest
	if err := json.Unmarshal(content, &raw); err != nil {
		return nil, fmt.Errorf("parse manifest %s: %w", d.Digest, err)
	}
	if raw.ArtifactType != artifact.Type {
		return nil, &notKernelError{d.Digest}
	}
	config, err := readBlob(ctx, from, raw.Config, 1<<20)
	if err != nil {
		return nil, err
	}
	return artifact.ParseManifest(d, content, config)
}

// A notKernelError is an image whose layers do not say what they hold.
type notKernelError struct{ digest v1.Hash }

func (e *notKernelError) Error() string {
	return fmt.Sprintf("read manifest %s: it is not a kernel's, for its artifactType is not %s", e.digest, artifact.Type)
}

// Hint names something for any image.
func (*notKernelError) Hint() string { return "cosign signs images of any kind" }

// ExitCode is that of a usage error.
func (*notKernelError) ExitCode() int { return 2 }

// readContents reads all layers and compares them with what the manifest says
// of them.
func readContents(ctx context.Context, from *registry.Repository, m *artifact.Manifest) (*Contents, error) {
	c := &Contents{Manifest: m}
	for _, l := range m.Layers {
		if err := c.readLayer(ctx, from, l); err != nil {
			return nil, fmt.Errorf("read layer %s (%s): %w", l.Digest, l.Part, err)
		}
	}
	return c, nil
}

func (c *Contents) readLayer(ctx context.Context, from *registry.Repository, l artifact.Layer) error {
	dir, err := os.MkdirTemp("", "vmtest-layer-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := extract(ctx, from, l, dir); err != nil {
		return err
	}
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		f := File{Part: l.Part}
		if f.Size, f.SHA256, err = hashFile(path); err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		f.Path = "/" + filepath.ToSlash(name)
		c.Files = append(c.Files, f)
		if err == nil && l.Part == artifact.Initramfs && name == l.Part.Path(c.Release) {
			c.Toolbox = readToolbox(path)
		}
		return err
	})
}

func extract(ctx context.Context, from *registry.Repository, l artifact.Layer, dir string) error {
	f, err := os.Create(dir + ".blob")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	if err := from.Download(ctx, l.Descriptor, f, func(int64) {}); err != nil {
		return err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	return artifact.Extraction{}.Extract(ctx, f, dir)
}

// readToolbox reads the bill in an initramfs that is one of ours.
func readToolbox(path string) *toolbox.Bill {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	bill, err := toolbox.ReadBill(f)
	if err != nil {
		return nil // compressed, or of another kind: it is still listed as a file
	}
	return bill
}

func hashFile(path string) (size int64, digest string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, "", err
	}
	defer f.Close()
	h := sha256.New()
	if size, err = io.Copy(h, f); err != nil {
		return 0, "", err
	}
	return size, hex.EncodeToString(h.Sum(nil)), nil
}
