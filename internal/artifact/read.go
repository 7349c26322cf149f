package artifact

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// A .config has 300 kB, a table of features 100.
const fileLimit = 16 << 20

// ReadFile reads one small file out of a layer, by its path in the image.
func ReadFile(layer io.Reader, path string) ([]byte, error) {
	uncompressed, err := decompress(layer)
	if err != nil {
		return nil, err
	}
	defer uncompressed.Close()
	for archive := tar.NewReader(uncompressed); ; {
		h, err := archive.Next()
		if err == io.EOF {
			return nil, fmt.Errorf("read archive: there is no /%s in it", path)
		}
		if err != nil {
			return nil, fmt.Errorf("read archive: %w", err)
		}
		if h.Typeflag != tar.TypeReg || h.Name != path {
			continue
		}
		if h.Size > fileLimit {
			return nil, fmt.Errorf("read archive: /%s has %d bytes, more than %d", path, h.Size, fileLimit)
		}
		return io.ReadAll(archive)
	}
}

// Check reads the kernel's layers and compares them with what its manifest and
// its configuration say of them.
func (l *Layout) Check(ctx context.Context, m *Manifest) error {
	for _, layer := range m.Layers {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := l.checkLayer(ctx, layer); err != nil {
			return fmt.Errorf("check layer %s of layout %q: %w", layer.Digest, l.dir, err)
		}
	}
	return nil
}

func (l *Layout) checkLayer(ctx context.Context, layer Layer) error {
	blob, err := l.Blob(ctx, layer.Descriptor)
	if err != nil {
		return err
	}
	defer blob.Close()
	compressed := &counted{hash: sha256.New()}
	from := io.TeeReader(blob, compressed)
	uncompressed, err := decompress(from)
	if err != nil {
		return err
	}
	defer uncompressed.Close()
	diffID, _, err := v1.SHA256(uncompressed)
	if err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, from); err != nil { // what may follow the archive
		return err
	}
	switch {
	case sum(compressed.hash) != layer.Digest || compressed.bytes != layer.Size:
		return fmt.Errorf("it has %d bytes and the digest %s, want %d", compressed.bytes, sum(compressed.hash), layer.Size)
	case diffID != layer.DiffID:
		return fmt.Errorf("uncompressed it has the digest %s, want %s", diffID, layer.DiffID)
	}
	return nil
}

// counted is the digest and the length of what is written to it.
type counted struct {
	hash  hash.Hash
	bytes int64
}

func (c *counted) Write(p []byte) (int, error) {
	c.bytes += int64(len(p))
	return c.hash.Write(p)
}
