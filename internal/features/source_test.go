package features

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The probe is built with the versions that this module is.
func TestProbeRequirements(t *testing.T) {
	for file, content := range map[string]string{"go.mod": ProbeModule, "go.sum": ProbeSums} {
		b, err := os.ReadFile(filepath.Join("..", "..", file))
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(content) {
			if strings.Contains(line, " v") && !strings.Contains(string(b), strings.TrimSpace(line)) {
				t.Errorf("%s does not have %s", file, strings.TrimSpace(line))
			}
		}
	}
}
