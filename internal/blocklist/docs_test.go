package blocklist

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/bpf-vmtest/bpf-vmtest/internal/configfile/schematest"
)

// What the manual shows has to load, and to suit the schema.
func TestManual(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "blocklist.md"))
	if err != nil {
		t.Fatal(err)
	}
	schema := schematest.Compile(t, Schema)
	blocks := regexp.MustCompile("(?ms)^```yaml\n(.*?)^```$").FindAllSubmatch(text, -1)
	if len(blocks) != 3 {
		t.Fatalf("%d YAML examples", len(blocks))
	}
	for _, b := range blocks {
		if entries, errs := parseYAML("example", b[1]); errs != nil || len(entries) == 0 {
			t.Errorf("%v\n%s", errs, b[1])
		}
		if err := schema.Validate(t, string(b[1])); err != nil {
			t.Error(err)
		}
	}
}

// The examples' blocklist keeps one test away from 5.10, and no other.
func TestExamples(t *testing.T) {
	files, err := Find(filepath.Join("..", "..", "examples"))
	if err != nil {
		t.Fatal(err)
	}
	l, err := Load(files...)
	if err != nil {
		t.Fatal(err)
	}
	const module = "github.com/bpf-vmtest/bpf-vmtest/examples/"
	old, recent := l.For(debian("5.10.251", "amd64")), l.For(debian("6.12.43", "arm64"))
	for pkg, want := range map[string]string{"xdp": "^TestMark$", "tc": "", "maps": ""} {
		if got := old.Skip(module+pkg, ""); got != want {
			t.Errorf("on 5.10, package %s skips %q, want %q", pkg, got, want)
		}
		if got := recent.Skip(module+pkg, ""); got != "" {
			t.Errorf("on 6.12, package %s skips %q", pkg, got)
		}
	}
}
