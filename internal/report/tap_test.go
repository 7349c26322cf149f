package report

import (
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
