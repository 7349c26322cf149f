package builder

import (
	"context"
	"fmt"

	"github.com/bpf-vmtest/bpf-vmtest/internal/kernelorg"
	"github.com/bpf-vmtest/bpf-vmtest/internal/kver"
)

// KernelOrg is a release from kernel.org: its tarball, whose checksum
// kernel.org has signed or the caller has pinned.
type KernelOrg struct {
	Version kver.Version // exact: 6.12 is the first release of its series
	// SHA256 is that of the tarball, in hexadecimal. It may be empty but for
	// a release candidate, which nobody signs.
	SHA256 string
	// BaseURL, Keyring and Fingerprint are those of [kernelorg.Site].
	BaseURL, Keyring, Fingerprint string
}

func (k KernelOrg) open(ctx context.Context, o Options) (*tree, error) {
	site := &kernelorg.Site{
		Dir: o.Dir, BaseURL: k.BaseURL, Keyring: k.Keyring, Fingerprint: k.Fingerprint,
		Progress: func(p kernelorg.Progress) {
			o.Progress(Progress{Phase: "fetch " + p.What, Done: p.Done, Total: p.Total, Unit: "bytes"})
		},
	}
	tarball, err := site.Tarball(ctx, k.Version, k.SHA256)
	if err != nil {
		return nil, fmt.Errorf("fetch source of linux %s: %w", k.Version, err)
	}
	return unpack(ctx, o, archive{
		name:    tarball.Name,
		digest:  "sha256:" + tarball.SHA256,
		extract: func(ctx context.Context, dir string) error { return extractTar(ctx, tarball.Path, dir) },
	})
}
