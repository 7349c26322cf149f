package store

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/bpf-vmtest/bpf-vmtest/internal/artifact"
	"github.com/bpf-vmtest/bpf-vmtest/internal/kernelref"
	"github.com/bpf-vmtest/bpf-vmtest/internal/registry"
)

// Whoever decides about images is asked before anything is fetched, in every
// way to one in a registry, and not about others.
func TestVerify(t *testing.T) {
	dir, server := t.TempDir(), newServer(t)
	amd := pack(t, dir, "6.12", "6.12.95", "amd64")
	index := server.push(t, dir, "6.12")
	s := newStore(t)
	var asked [][]string
	refused := errors.New("unsigned")
	answer := refused
	s.Verify = func(_ context.Context, r *registry.Repository, digests ...v1.Hash) error {
		about := []string{r.Name.Name()}
		for _, d := range digests {
			about = append(about, d.String())
		}
		asked = append(asked, about)
		return answer
	}
	fetched := 0
	s.Progress = func(Progress) { fetched++ }

	if k, err := resolve(t, s, "oci:%s:6.12", dir); err != nil || asked != nil {
		t.Errorf("a layout: %+v, %v, asked about %q", k, err, asked)
	}
	fetched = 0
	for name, reach := range map[string]func() error{
		"a tag":     func() error { _, err := resolve(t, s, "%s:6.12", server.repository); return err },
		"the lock":  func() error { _, err := s.LookUp(t.Context(), ref(t, server.repository+":6.12")); return err },
		"a part":    func() error { return look(t, s, server.repository+":6.12", "") },
		"all of it": func() error { return look(t, s, server.repository+":6.12", t.TempDir()) },
		"the index": func() error { _, err := resolve(t, s, "%s@%s", server.repository, index); return err },
	} {
		asked = nil
		if err := reach(); !errors.Is(err, refused) || fetched > 0 {
			t.Errorf("%s: %v, and %d downloads", name, err, fetched)
		}
		if diff := cmp.Diff([][]string{{server.repository, amd, index}}, asked); diff != "" {
			t.Errorf("%s: asked about (-want +got):\n%s", name, diff)
		}
	}
	asked = nil
	if _, err := resolve(t, s, "%s@%s", server.repository, amd); !errors.Is(err, refused) {
		t.Errorf("the manifest: %v", err)
	}
	if diff := cmp.Diff([][]string{{server.repository, amd}}, asked); diff != "" {
		t.Errorf("the manifest: asked about (-want +got):\n%s", diff)
	}
	answer = nil
	if k, err := resolve(t, s, "%s:6.12", server.repository); err != nil || k.Digest != amd {
		t.Errorf("accepted: %+v, %v", k, err)
	}
	// What is in the cache is asked about, too: the policy may have changed.
	answer = refused
	if k, err := resolve(t, s, "%s:6.12", server.repository); !errors.Is(err, refused) {
		t.Errorf("from the cache: %+v, %v", k, err)
	}
}

func ref(t *testing.T, text string) kernelref.Ref {
	t.Helper()
	r, err := kernelref.Parse(text, "")
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// look reads a part of an image or, into a directory, all of it.
func look(t *testing.T, s *Store, text, dir string) error {
	t.Helper()
	image, err := s.Inspect(t.Context(), ref(t, text))
	if err != nil {
		return err
	}
	if dir != "" {
		return image.Extract(t.Context(), image.Kernels[0], dir)
	}
	_, err = image.ReadFile(t.Context(), image.Kernels[0], artifact.Config)
	return err
}
