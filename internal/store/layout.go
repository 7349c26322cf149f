package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/bpf-vmtest/bpf-vmtest/internal/artifact"
	"github.com/bpf-vmtest/bpf-vmtest/internal/kernel"
	"github.com/bpf-vmtest/bpf-vmtest/internal/kernelref"
)

// onDisk is an OCI layout as an origin.
type onDisk struct{ *artifact.Layout }

func (l onDisk) Manifest(ctx context.Context, digest v1.Hash) ([]byte, error) {
	r, err := l.Blob(ctx, v1.Descriptor{Digest: digest})
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(io.LimitReader(r, documentLimit+1))
}

func (l onDisk) Download(ctx context.Context, d v1.Descriptor, f *os.File, progress func(int64)) error {
	r, err := l.Blob(ctx, d)
	if err != nil {
		return err
	}
	defer r.Close()
	if err := f.Truncate(0); err != nil { // reading it again is as fast as going on
		return err
	}
	// One byte more than announced is enough to know.
	got, n, err := v1.SHA256(io.TeeReader(contextReader{ctx, io.LimitReader(r, d.Size+1)}, f))
	switch {
	case err != nil:
	case n > d.Size:
		err = fmt.Errorf("it goes on after the %d bytes it should have", d.Size)
	case n < d.Size:
		err = fmt.Errorf("it ends after %d of %d bytes", n, d.Size)
	case got != d.Digest:
		err = fmt.Errorf("its content has the digest %s", got)
	}
	if err != nil {
		return errors.Join(err, f.Truncate(0))
	}
	progress(n)
	return nil
}

func (s *Store) fromLayout(ctx context.Context, ref kernelref.Layout) (*kernel.Kernel, error) {
	l, found, err := findInLayout(ref)
	if err != nil {
		return nil, err
	}
	img, err := s.choose(ctx, l, found)
	if err != nil {
		return nil, err
	}
	return s.unpack(ctx, img)
}

func findInLayout(ref kernelref.Layout) (origin, []v1.Descriptor, error) {
	l, err := artifact.OpenLayout(ref.Dir)
	if err != nil {
		return nil, nil, err
	}
	found, err := l.Find(ref.Tag, ref.Digest)
	if err != nil {
		return nil, nil, err
	}
	tags, err := l.Tags()
	if err != nil {
		return nil, nil, err
	}
	switch {
	case len(found) == 0 && ref.Digest != "":
		return nil, nil, errors.New("the layout has no such digest" + under(ref.Tag))
	case len(found) == 0:
		return nil, nil, &hinted{errors.New("the layout has no such tag"), "its tags are: " + strings.Join(tags, ", ")}
	case ref.Tag == "" && ref.Digest == "" && different(found) > 1:
		return nil, nil, &hinted{
			fmt.Errorf("the layout has %d kernels and the reference names none", different(found)),
			"add one of its tags after a colon: " + strings.Join(tags, ", "),
		}
	}
	return onDisk{l}, found, nil
}

func under(tag string) string {
	if tag == "" {
		return ""
	}
	return fmt.Sprintf(" under the tag %q", tag)
}

// different counts the digests among the descriptors, of one platform; one
// kernel may have several tags and be there for several architectures.
func different(all []v1.Descriptor) int {
	count := map[string]map[v1.Hash]bool{}
	most := 0
	for _, d := range all {
		p := platform(d)
		if count[p] == nil {
			count[p] = map[v1.Hash]bool{}
		}
		count[p][d.Digest] = true
		most = max(most, len(count[p]))
	}
	return most
}
