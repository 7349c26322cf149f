package initramfs

import (
	"context"
	"embed"
)

//go:embed init/*.go wire/coder.go wire/wire.go
var source embed.FS

// BuildInit compiles the guest's init for a GOARCH and returns its path below
// cacheDir, see [Program.Build]. It never needs the network.
func BuildInit(ctx context.Context, cacheDir, goarch string) (string, error) {
	return Program{
		Name:      "init",
		Source:    source,
		Directory: "initramfs",
		Package:   "./initramfs/init",
		GoMod:     "module github.com/bpf-vmtest/bpf-vmtest\n\ngo 1.24\n",
	}.Build(ctx, cacheDir, goarch)
}
