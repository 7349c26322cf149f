package main

import (
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/google/renameio/v2"

	"github.com/bpf-vmtest/bpf-vmtest/builder/catalogue"
	"github.com/bpf-vmtest/bpf-vmtest/internal/kernelorg"
)

// openCatalogue reads the catalogue in a file, or our own.
func openCatalogue(file string) (*catalogue.Catalogue, error) {
	if file == "" {
		return catalogue.Embedded(), nil
	}
	return catalogue.Open(file)
}

func registerCatalogue(fs *flag.FlagSet, file *string) {
	fs.StringVar(file, "catalogue", "", "the catalogue of kernels, a `file` (default: vmtest's own)")
}

// catalogueFlags are those of vmtest kernel list about the catalogue.
type catalogueFlags struct {
	file, only   string
	json, schema bool
}

func (c *catalogueFlags) register(fs *flag.FlagSet) {
	registerCatalogue(fs, &c.file)
	fs.StringVar(&c.only, "only", "", "show this `version` or channel of the catalogue (default: all)")
	fs.BoolVar(&c.json, "json", false, "print the catalogue as JSON: what is to be built, and what is published together")
	fs.BoolVar(&c.schema, "schema", false, "print the catalogue's JSON schema for editors")
}

// showCatalogue prints the catalogue, or all that it asks to be built.
func (a *app) showCatalogue(f catalogueFlags) error {
	if f.schema {
		_, err := a.stdout.Write(catalogue.Schema)
		return err
	}
	c, err := openCatalogue(f.file)
	if err != nil {
		return err
	}
	if f.only != "" {
		k, err := c.Find(f.only)
		if err != nil {
			return err
		}
		if k == nil {
			return usagef("`vmtest kernel list` shows it all", "kernel list: %s is not in the catalogue", f.only)
		}
		c.Kernels = []catalogue.Kernel{*k}
	}
	if f.json {
		return writePlan(a.stdout, c)
	}
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "VERSION\tCHANNELS\tSOURCE\tARCH\tFLAVOURS")
	for _, k := range c.Kernels {
		source := string(k.Origin)
		if k.Suite != "" {
			source += " " + k.Suite
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", k.Version, orDash(k.Channels), source,
			orDash(k.Archs), strings.Join(append([]string{"default"}, k.Flavours...), " "))
	}
	return w.Flush()
}

func orDash(words []string) string { return cmp.Or(strings.Join(words, " "), "-") }

// plan is the catalogue in the form that the matrices of a workflow have: what
// is built on a machine of its own, and what is published together.
type plan struct {
	Builds   []plannedBuild   `json:"builds"`
	Releases []plannedRelease `json:"releases"`
}

type plannedBuild struct {
	Version string `json:"version"`
	Flavour string `json:"flavour"` // "default", not empty
	Arch    string `json:"arch"`
}

type plannedRelease struct {
	Version  string   `json:"version"`
	Flavour  string   `json:"flavour"`
	Archs    []string `json:"archs"`
	Channels []string `json:"channels"`
}

func writePlan(w io.Writer, c *catalogue.Catalogue) error {
	p := plan{[]plannedBuild{}, []plannedRelease{}} // not null
	for _, b := range c.Builds() {
		p.Builds = append(p.Builds, plannedBuild{b.Version.String(), cmp.Or(b.Flavour, defaultFlavour), b.Arch})
		if b.Arch == b.Archs[0] { // it has the others, too
			p.Releases = append(p.Releases, plannedRelease{b.Version.String(), cmp.Or(b.Flavour, defaultFlavour), b.Archs, append([]string{}, b.Channels...)})
		}
	}
	return json.NewEncoder(w).Encode(p)
}

// autosigner is who signs kernel.org's checksums. Tests have a key of their own.
var autosigner = kernelorg.Autosigner

// ownCatalogue is where our catalogue is in a checkout.
const ownCatalogue = "builder/kernels.yaml"

// updateCatalogue makes a catalogue follow kernel.org's releases.
func (a *app) updateCatalogue(ctx context.Context, args []string) error {
	fs := a.flagSet("kernel update")
	var file, keyring string
	fs.StringVar(&file, "catalogue", "", "the catalogue to change, a `file` (default: "+ownCatalogue+")")
	fs.StringVar(&keyring, "keyring", "", "OpenPGP `file` with the key that signs kernel.org's checksums")
	dry := fs.Bool("n", false, "print what would change and change nothing")
	if err := parseFlags(fs, args); err != nil {
		return err
	}
	if fs.NArg() > 0 {
		return usagef("vmtest kernel update -catalogue FILE", "kernel update: unexpected argument %q", fs.Arg(0))
	}
	if file == "" {
		if file = ownCatalogue; !isFile(file) {
			return usagef("run it in a checkout of bpf-vmtest, or name a catalogue: -catalogue FILE", "kernel update: there is no %s here", file)
		}
	}
	cache, err := cacheDir()
	if err != nil {
		return err
	}
	site := &kernelorg.Site{Dir: cache, Keyring: keyring, Fingerprint: autosigner}
	c, err := catalogue.Open(file)
	if err != nil {
		return err
	}
	u, err := catalogue.Follow(ctx, site, c)
	if err != nil {
		return err
	}
	for _, n := range u.Notices {
		a.progress("note: " + n)
	}
	if _, err := a.stdout.Write(u.Diff()); err != nil {
		return err
	}
	if *dry || !u.Changed() {
		return nil
	}
	return renameio.WriteFile(file, u.New, 0o644, renameio.WithExistingPermissions())
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}
