package kernelinfo

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/dustin/go-humanize"
)

// Write shows the image to people.
func (i *Image) Write(w io.Writer) error {
	var b bytes.Buffer
	fmt.Fprintln(&b, i.Ref)
	if len(i.Kernels) > 0 && i.Digest != i.Kernels[0].Digest {
		fmt.Fprintf(&b, "index %s\n", cmp.Or(i.Digest, "none"))
	}
	writeAnnotations(&b, i.Annotations)
	for _, k := range i.Kernels {
		k.write(&b, i.Annotations)
	}
	_, err := w.Write(b.Bytes())
	return err
}

// write shows the kernel, without the annotations that have been shown.
func (k *Kernel) write(b *bytes.Buffer, shown map[string]string) {
	fmt.Fprintf(b, "\n%s %s\nmanifest %s\n", k.Arch, cmp.Or(k.Release, "of an unknown release"), k.Digest)
	rest := maps.Clone(k.Annotations)
	maps.DeleteFunc(rest, func(name, value string) bool { return shown[name] == value })
	writeAnnotations(b, rest)
	fmt.Fprintln(b)
	k.writeParts(b)
	if k.Features == nil {
		fmt.Fprint(b, "\nThere is no table of features.\n")
		return
	}
	fmt.Fprintln(b)
	k.Features.Write(b) // a buffer does not fail
}

func writeAnnotations(b *bytes.Buffer, annotations map[string]string) {
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	for _, name := range slices.Sorted(maps.Keys(annotations)) {
		fmt.Fprintf(t, "  %s\t%s\n", name, strings.ReplaceAll(annotations[name], "\n", " "))
	}
	t.Flush()
}

func (k *Kernel) writeParts(b *bytes.Buffer) {
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(t, "unpacked\tcompressed\t\n")
	var all, pulled Sizes
	row := func(s Sizes, what string) {
		fmt.Fprintf(t, "%s\t%s\t  %s\n", size(s.Unpacked), size(s.Compressed), what)
	}
	for _, p := range k.Parts {
		name := cmp.Or(p.Name, "a layer")
		all.add(p.Sizes)
		if p.Pulled {
			name += " *"
			pulled.add(p.Sizes)
		}
		row(p.Sizes, name)
	}
	row(all, "all")
	row(pulled, "* what a run pulls")
	t.Flush()
}

// size is a number of bytes for people.
func size(n int64) string {
	if n == 0 {
		return "-"
	}
	return humanize.IBytes(uint64(n))
}
