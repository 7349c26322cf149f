package toolbox

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/google/renameio/v2"
	"github.com/u-root/u-root/pkg/cpio"
)

// billPath is where an archive that boots says what its program was made of. The program
// itself cannot, as one that the go command builds of modules could.
const billPath = "etc/toolbox.json"

// A Bill is what a toolbox was made of.
type Bill struct {
	Go      string   `json:"go"`      // the compiler's version, which is the standard library's: go1.26.8
	Modules []Module `json:"modules"` // u-root and those it needs, by their paths
}

// A Module is a Go module with its hash, as in go.sum.
type Module struct {
	Path    string `json:"path"`
	Version string `json:"version"`
	Sum     string `json:"sum"`
}

// ReadBill finds the bill in an archive that [Toolbox.WriteArchive] wrote, or
// gives nil if there is none.
func ReadBill(archive io.ReaderAt) (*Bill, error) {
	r := cpio.Newc.Reader(archive)
	for {
		record, err := r.ReadRecord()
		if err == io.EOF || err == nil && record.Name == cpio.Trailer {
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read archive: %w", err)
		}
		if record.Name != billPath {
			continue
		}
		b := &Bill{}
		dec := json.NewDecoder(io.NewSectionReader(record, 0, int64(record.FileSize)))
		if err := dec.Decode(b); err != nil {
			return nil, fmt.Errorf("read archive: parse %q: %w", billPath, err)
		}
		return b, nil
	}
}

func (b *Bill) encode() ([]byte, error) {
	content, err := json.MarshalIndent(b, "", "  ")
	return append(content, '\n'), err
}

// bill lists the modules of the commands in u-root's directory.
func (w *workshop) bill(ctx context.Context, module string) (*Bill, error) {
	const format = "{{with .Module}}{{.Path}} {{.Version}} {{.Sum}}{{end}}"
	args := []string{"list", "-deps", "-mod=readonly", "-tags=" + tags, "-f", format}
	for _, c := range w.Commands {
		args = append(args, importPath(c))
	}
	out, err := w.run(ctx, module, []string{"GO111MODULE=on", "GOOS=linux", "GOARCH=" + w.Arch, "CGO_ENABLED=0"}, args...)
	if err != nil {
		return nil, fmt.Errorf("list modules: %w", err)
	}
	b := &Bill{Go: w.Go}
	for line := range strings.Lines(string(out)) {
		var m Module
		switch fields := strings.Fields(line); {
		case len(fields) == 3:
			m = Module{fields[0], fields[1], fields[2]}
		case len(fields) == 1 && fields[0] == uRoot: // the main module here
			m = Module{uRoot, uRootVersion, uRootSum}
		default: // of the standard library, or replaced by a directory, which a published module is not
			continue
		}
		if !slices.Contains(b.Modules, m) {
			b.Modules = append(b.Modules, m)
		}
	}
	slices.SortFunc(b.Modules, func(x, y Module) int { return cmp.Compare(x.Path, y.Path) })
	return b, nil
}

// billFile is where the cache keeps a program's bill.
func billFile(binary string) string { return binary + ".json" }

func writeBill(binary string, b *Bill) error {
	content, err := b.encode()
	if err != nil {
		return err
	}
	return renameio.WriteFile(billFile(binary), content, 0o644)
}

// found gives the toolbox if it is in the cache, with its bill.
func (t *Toolbox) found() bool {
	content, err := os.ReadFile(billFile(t.Binary))
	if err != nil || json.Unmarshal(content, &t.Bill) != nil {
		return false
	}
	_, err = os.Stat(t.Binary)
	return err == nil
}
