package report

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// needReal skips a test that has other people's programs read what is written,
// unless everything is to be tested.
func needReal(t *testing.T) {
	t.Helper()
	if os.Getenv("VMTEST_TESTS") != "all" {
		t.Skip("needs xmllint, prove and gotestsum: set VMTEST_TESTS=all")
	}
}

func TestRealJUnit(t *testing.T) {
	needReal(t)
	eachStream(t, func(t *testing.T, name string, m *Matrix) {
		cmd := exec.Command("xmllint", "--noout", "--nonet", "-")
		cmd.Stdin = strings.NewReader(junitXML(t, m))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("xmllint: %v\n%s", err, out)
		}
	})
}

// TestRealTAP has prove read TAP: it fails where the run did.
func TestRealTAP(t *testing.T) {
	needReal(t)
	eachStream(t, func(t *testing.T, name string, m *Matrix) {
		text := strings.Replace(tap(t, m), "version 14", "version 13", 1) // the last one it knows
		file := filepath.Join(t.TempDir(), "x.tap")
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command("prove", "--exec", "cat", file).CombinedOutput()
		if strings.Contains(string(out), "Parse errors") || (err != nil) != strings.Contains(text, "\nnot ok ") {
			t.Errorf("prove: %v\n%s", err, out)
		}
	})
}
