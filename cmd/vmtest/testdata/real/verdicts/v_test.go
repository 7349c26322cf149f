package verdicts

import (
	"os"
	"testing"
)

func TestGood(t *testing.T) {
	if os.Getenv("VMTEST_RELEASE") == "" {
		t.Error("not in a guest")
	}
}
func TestBad(t *testing.T)     { t.Error("bad") }
func TestSkipped(t *testing.T) { t.Skip("skipped") }
