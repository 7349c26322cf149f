package kernelinfo

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"text/tabwriter"
)

// Write shows the difference to people: - for what only the first kernel has, +
// for what only the second has, ~ for what is another, = for what is the same.
func (d *Diff) Write(w io.Writer) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "- %s\n+ %s\n", d.From.title(), d.To.title())
	d.writeConfig(&b)
	d.writeFeatures(&b)
	d.writeSizes(&b)
	fmt.Fprintf(&b, "\nbuild: %s\n", differences(len(d.Build)))
	for _, c := range d.Build {
		writeChange(&b, short(c.Name)+": ", c)
	}
	_, err := w.Write(b.Bytes())
	return err
}

func (s *Side) title() string {
	return fmt.Sprintf("%s: Linux %s %s %s", s.Ref, cmp.Or(s.Release, "of an unknown release"), s.Arch, s.Digest)
}

func differences(n int) string {
	switch n {
	case 0:
		return "the same"
	case 1:
		return "1 difference"
	}
	return fmt.Sprintf("%d differences", n)
}

// writeChange writes a change, the value of both sides, or of the one that has
// it, behind a prefix.
func writeChange(b *bytes.Buffer, prefix string, c Change) {
	switch {
	case c.From == "":
		fmt.Fprintf(b, "+ %s%s\n", prefix, c.To)
	case c.To == "":
		fmt.Fprintf(b, "- %s%s\n", prefix, c.From)
	default:
		fmt.Fprintf(b, "~ %s%s → %s\n", prefix, c.From, c.To)
	}
}

func (d *Diff) writeConfig(b *bytes.Buffer) {
	if d.Config == nil {
		fmt.Fprintf(b, "\nconfig: %s has none\n", without(d, d.From.Config == nil))
		return
	}
	fmt.Fprintf(b, "\nconfig: %s\n", differences(len(d.Config)))
	for _, c := range d.Config {
		writeChange(b, "CONFIG_"+c.Name+"=", c)
	}
}

func without(d *Diff, from bool) string {
	if from {
		return d.From.Ref
	}
	return d.To.Ref
}

func (d *Diff) writeFeatures(b *bytes.Buffer) {
	if d.Features == nil {
		fmt.Fprintf(b, "\nfeatures: %s has no table of them\n", without(d, d.From.Features == nil))
		return
	}
	f := d.Features
	fmt.Fprintf(b, "\nfeatures: %d gained, %d lost, %d unclear\n", len(f.Gained), len(f.Lost), len(f.Unclear))
	f.changes.Write(b) // a buffer does not fail
}

func (d *Diff) writeSizes(b *bytes.Buffer) {
	fmt.Fprintln(b)
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	fmt.Fprint(t, "sizes\tunpacked\tcompressed\n")
	for _, p := range d.Parts {
		var from, to Sizes
		if p.From != nil {
			from = *p.From
		}
		if p.To != nil {
			to = *p.To
		}
		fmt.Fprintf(t, "%s %s\t%s\t%s\n", p.mark(), cmp.Or(p.Name, "layers"), delta(from.Unpacked, to.Unpacked), delta(from.Compressed, to.Compressed))
	}
	t.Flush()
}

func (p PartChange) mark() string {
	switch {
	case p.Same:
		return "="
	case p.From == nil:
		return "+"
	case p.To == nil:
		return "-"
	}
	return "~"
}

// delta is two numbers of bytes, and what they differ by.
func delta(from, to int64) string {
	switch {
	case from == to:
		return size(from)
	case from == 0:
		return size(to)
	case to == 0:
		return size(from)
	}
	return fmt.Sprintf("%s → %s (%+.1f %%)", size(from), size(to), 100*float64(to-from)/float64(from))
}
