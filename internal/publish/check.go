package publish

import (
	"context"
	"errors"
	"fmt"

	"github.com/bpf-vmtest/bpf-vmtest/internal/artifact"
	"github.com/bpf-vmtest/bpf-vmtest/internal/features"
	"github.com/bpf-vmtest/bpf-vmtest/internal/kver"
)

// check finds out whether a kernel may be published, and its version.
func check(ctx context.Context, k Kernel) (kver.Version, error) {
	if !k.IsTyped() {
		return kver.Version{}, errors.New("its layers do not say what they hold")
	}
	version, err := kver.FromRelease(k.Release)
	if err != nil {
		return version, err
	}
	if err := k.Layout.Check(ctx, k.Manifest); err != nil {
		return version, err
	}
	return version, checkFeatures(ctx, k)
}

// checkFeatures makes sure that this very kernel was booted and probed.
func checkFeatures(ctx context.Context, k Kernel) error {
	layer, ok := k.Layer(artifact.Features)
	if !ok {
		return errUntested
	}
	blob, err := k.Layout.Blob(ctx, layer.Descriptor)
	if err != nil {
		return err
	}
	defer blob.Close()
	content, err := artifact.ReadFile(blob, artifact.Features.Path(k.Release))
	if err != nil {
		return err
	}
	table, err := features.Parse(content)
	if err != nil {
		return err
	}
	if table.Release != k.Release || table.Arch != k.Arch {
		return fmt.Errorf("its table of features is about %s %s", table.Release, table.Arch)
	}
	if f := table.Find(features.Kernel, "power_off"); f.State != features.Supported {
		return fmt.Errorf("it does not power off by itself: %s", f.Detail)
	}
	return table.Match(k.BootParts())
}

var errUntested = errors.New("it has no table of features: nothing says that it was booted")
