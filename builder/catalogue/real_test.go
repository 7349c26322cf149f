package catalogue

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bpf-vmtest/bpf-vmtest/builder"
)

// What the catalogue asks for can be configured: for each version,
// architecture and flavour the source can be had, the tools are right, and
// every symbol is granted. VMTEST_TEST_CONFIGURE names the series to try.
func TestConfigureReal(t *testing.T) {
	if os.Getenv("VMTEST_TESTS") != "all" {
		t.Skip("needs a Debian mirror and compilers: set VMTEST_TESTS=all")
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	c := Embedded()
	series := strings.Fields(cmp.Or(os.Getenv("VMTEST_TEST_CONFIGURE"), "5.10 6.12"))
	for _, b := range c.Builds() {
		if !slices.Contains(series, b.Version.Series().String()) {
			continue
		}
		t.Run(strings.Join([]string{b.Version.String(), b.Arch, b.Flavour}, " "), func(t *testing.T) {
			o, err := c.Configure(t.Context(), b.Kernel, builder.Options{Dir: filepath.Join(cache, "bpf-vmtest"), Arch: b.Arch, Flavour: b.Flavour})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := builder.Configure(t.Context(), o); err != nil {
				t.Error(err)
			}
		})
	}
}
