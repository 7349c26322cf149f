package catalogue

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/bpf-vmtest/bpf-vmtest/builder"
	"github.com/bpf-vmtest/bpf-vmtest/internal/configfile/schematest"
	"github.com/bpf-vmtest/bpf-vmtest/kconfig"
)

// The schema and the parser have to agree on these.
func TestSchema(t *testing.T) {
	schema := schematest.Compile(t, Schema)
	for text, ok := range map[string]bool{
		"":                                  true,
		"[]":                                true,
		sample:                              true,
		"- {version: 5.10, source: debian}": true,
		"- {version: 7.3-rc, source: debian, suite: experimental, channels: [next, mainline]}":            true,
		"- {version: 6.12.94, source: kernel.org, sha256: " + digest + "}":                                true,
		"- {version: 7.3-rc7, source: kernel.org, pahole: 1.22, gcc: 8.1.., patches: patches/a.patch}":    true,
		"- {version: 6.12, source: kernel.org, arch: [arm64], flavours: [debug], fragments: [my.config]}": true,
		"- {version: 6.12}":                                             false,
		"- {source: debian}":                                            false,
		"- {version: 6.12.94, source: debian}":                          false,
		"- {version: 7.3-rc7, source: debian}":                          false,
		"- {version: 7.3-rc, source: kernel.org}":                       false,
		"- {version: six, source: debian}":                              false,
		"- {version: 6.12, source: ubuntu}":                             false,
		"- {version: 6.12, source: kernel.org, suite: sid}":             false,
		"- {version: 6.12, source: debian, suite: Sid}":                 false,
		"- {version: 6.12, source: kernel.org, sha256: abc}":            false,
		"- {version: 6.12, source: debian, channels: []}":               false,
		"- {version: 6.12, source: debian, channels: [stable, stable]}": false,
		"- {version: 6.12, source: debian, channels: lts}":              false,
		"- {version: 6.12, source: debian, arch: x86_64}":               false,
		"- {version: 6.12, source: debian, flavours: no-btf}":           false,
		"- {version: 6.12, source: debian, pahole: new}":                false,
		"- {version: 6.12, source: debian, patches: /a.patch}":          false,
		"- {version: 6.12, source: debian, patches: ../a.patch}":        false,
		"- {version: 6.12, source: debian, channel: stable}":            false,
		"version: 6.12": false,
		"- 6.12":        false,
	} {
		if _, err := Load(beside(text), "f"); (err == nil) != ok {
			t.Errorf("%s: parser says %v", text, err)
		}
		if err := schema.Validate(t, text); (err == nil) != ok {
			t.Errorf("%s: schema says %v", text, err)
		}
	}
	text, err := fs.ReadFile(builder.Kernels, "kernels.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(t, string(text)); err != nil {
		t.Error(err)
	}
}

// Every word the parser knows is in the schema.
func TestSchemaNamesEveryWord(t *testing.T) {
	words := append([]string{string(Debian), string(KernelOrg)}, kernelShape.Fields...)
	words = append(words, Channels...)
	words = append(words, kconfig.Flavours()...)
	for _, w := range append(words, kconfig.Archs()...) {
		if !strings.Contains(string(Schema), `"`+w+`"`) {
			t.Errorf("schema does not know %q", w)
		}
	}
}

// What the manual shows has to load, and to suit the schema.
func TestManual(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "catalogue.md"))
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?ms)^```yaml\n(.*?)^```$").FindAllSubmatch(text, -1)
	if len(blocks) == 0 {
		t.Fatal("no YAML examples")
	}
	schema := schematest.Compile(t, Schema)
	for _, b := range blocks {
		if _, err := Load(beside(string(b[1])), "f"); err != nil {
			t.Errorf("%v\n%s", err, b[1])
		}
		if err := schema.Validate(t, string(b[1])); err != nil {
			t.Error(err)
		}
	}
}
