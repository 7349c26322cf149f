package bootcheck

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/bpf-vmtest/bpf-vmtest/internal/features"
)

var update = flag.Bool("update", false, "write the tables into the manual")

// requirementTable is a kind's part of the manual.
func requirementTable(kind features.Kind) string {
	var b strings.Builder
	b.WriteString("| feature | since | on arm64 | symbols | needs BTF |\n|---|---|---|---|---|\n")
	for _, r := range Requirements {
		if r.Kind != kind {
			continue
		}
		arm64, symbols, btf := "", "", ""
		if r.SinceARM64 != "" {
			arm64 = r.SinceARM64
		}
		if len(r.Symbols) > 0 {
			symbols = "`" + strings.Join(r.Symbols, "`, `") + "`"
		}
		if r.BTF {
			btf = "yes"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", r.Name, r.Since, arm64, symbols, btf)
	}
	return b.String()
}

// The manual shows the requirements as they are.
func TestManual(t *testing.T) {
	path := filepath.Join("..", "..", "docs", "features.md")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	for _, kind := range features.Kinds {
		place := regexp.MustCompile(`(?m)^<!-- ` + string(kind) + ` -->\n\n(?:\|.*\n)*\n?`)
		want := "<!-- " + string(kind) + " -->\n\n" + requirementTable(kind) + "\n"
		found := place.FindString(text)
		if found != want {
			t.Logf("the table of kind %s is not the requirements': -update writes it", kind)
			if !*update {
				t.Fail()
			}
			text = strings.Replace(text, found, want, 1)
		}
	}
	if *update {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
