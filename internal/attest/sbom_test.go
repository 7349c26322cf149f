package attest

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	cdx "github.com/CycloneDX/cyclonedx-go"
	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/bpf-vmtest/bpf-vmtest/internal/artifact"
)

var update = flag.Bool("update", false, "write the golden files")

// golden compares a value with a file. The digests of layers, which depend on
// the compressor, are not in it.
func golden(t *testing.T, name string, value any) {
	t.Helper()
	got, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, '\n')
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

func contents(t *testing.T) *Contents {
	t.Helper()
	k := publish(t, openRegistry(t, plainRegistry()))
	top, _, err := readIndex(t.Context(), k.Repository, k.amd64)
	if err != nil {
		t.Fatal(err)
	}
	m, err := readManifest(t.Context(), k.Repository, top)
	if err != nil {
		t.Fatal(err)
	}
	c, err := readContents(t.Context(), k.Repository, m)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestSBOM(t *testing.T) {
	c := contents(t)
	first, second := NewSBOM(c), NewSBOM(contents(t))
	if diff := cmp.Diff(first, second); diff != "" {
		t.Errorf("two of one artifact (-first +second):\n%s", diff)
	}
	validate(t, first)
	c.Descriptor.Digest.Hex = strings.Repeat("a", 64)
	for i := range c.Files {
		if c.Files[i].Part == artifact.Initramfs { // the archive is another package's
			c.Files[i].Size, c.Files[i].SHA256 = 1, strings.Repeat("b", 64)
		}
	}
	golden(t, "sbom.json", NewSBOM(c))
}

// validate compares with the schema that the library brings along.
func validate(t *testing.T, bom *cdx.BOM) {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/CycloneDX/cyclonedx-go").Output()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(strings.TrimSpace(string(out)), "schema")
	compiler := jsonschema.NewCompiler()
	for name, file := range map[string]string{"spdx.schema.json": "spdx.schema.json", "jsf-0.82.schema.json": "jsf-0.82.schemax.json"} {
		content, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			t.Fatal(err)
		}
		document, err := jsonschema.UnmarshalJSON(bytes.NewReader(content))
		if err != nil {
			t.Fatal(err)
		}
		if err := compiler.AddResource("http://cyclonedx.org/schema/"+name, document); err != nil {
			t.Fatal(err)
		}
	}
	schema, err := compiler.Compile(filepath.Join(dir, "bom-1.6.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := json.Marshal(bom)
	if err != nil {
		t.Fatal(err)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(encoded))
	if err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(value); err != nil {
		t.Error(err)
	}
}

// An artifact that says little has an SBOM that says little.
func TestSparseSBOM(t *testing.T) {
	bom := NewSBOM(&Contents{Manifest: &artifact.Manifest{Release: "7.3-rc2", Arch: "arm64", Annotations: map[string]string{
		"org.opencontainers.image.licenses": "GPL-2.0-only",
	}}})
	validate(t, bom)
	if k := (*bom.Components)[0]; k.CPE != "cpe:2.3:o:linux:linux_kernel:7.3:rc2:*:*:*:*:*:*" || k.Version != "7.3-rc2" {
		t.Errorf("kernel %+v", k)
	}
}

func TestSource(t *testing.T) {
	for text, want := range map[string]source{
		"linux-source-6.12 6.12.95-1~bpo12+1": {name: "linux-source-6.12", version: "6.12.95-1~bpo12+1", purl: "pkg:deb/debian/linux-source-6.12@6.12.95-1~bpo12%2B1?arch=all"},
		"linux-6.12.95.tar.xz":                {name: "linux-6.12.95.tar.xz", url: "https://cdn.kernel.org/pub/linux/kernel/v6.x/linux-6.12.95.tar.xz"},
		"linux-7.3-rc2.tar.gz":                {name: "linux-7.3-rc2.tar.gz", url: "https://git.kernel.org/torvalds/t/linux-7.3-rc2.tar.gz"},
		"https://example.org/linux.tar.gz":    {name: "https://example.org/linux.tar.gz", url: "https://example.org/linux.tar.gz"},
		"commit 0123456789ab":                 {name: "commit 0123456789ab"},
		"linux-custom.tar.xz":                 {name: "linux-custom.tar.xz"},
	} {
		want.digest = "git-tree:1"
		if diff := cmp.Diff(want, kernelSource(artifact.Build{Source: text, SourceDigest: "git-tree:1"}, ""), cmp.AllowUnexported(source{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
}
