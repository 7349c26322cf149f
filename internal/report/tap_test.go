package report

import (
	"os/exec"
	"strings"
	"testing"
)

func tap(t *testing.T, m *Matrix) string {
	t.Helper()
	var b strings.Builder
	if err := m.WriteTAP(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestTAP(t *testing.T) {
	eachChosen(t, func(t *testing.T, name string, m *Matrix) {
		checkGolden(t, name+".tap", tap(t, m))
	})
}

// TestTAPRead has Perl's prove read it: it fails where the run did.
func TestTAPRead(t *testing.T) {
	prove, err := exec.LookPath("prove")
	if err != nil {
		t.Skipf("prove, of perl, reads TAP: %v", err)
	}
	eachStream(t, func(t *testing.T, name string, m *Matrix) {
		text := strings.Replace(tap(t, m), "version 14", "version 13", 1) // the last one it knows
		file := t.TempDir() + "/x.tap"
		writeFile(t, file, text)
		out, err := exec.Command(prove, "--exec", "cat", file).CombinedOutput()
		if strings.Contains(string(out), "Parse errors") || (err != nil) != strings.Contains(text, "\nnot ok ") {
			t.Errorf("prove: %v\n%s", err, out)
		}
	})
}
