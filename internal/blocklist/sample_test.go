package blocklist

import "testing"

// These tests have no purpose but their names: TestSkipInRealBinary runs this
// very test binary with patterns for them.

var sampleSubtests = []string{
	"a", "a", "ab", "a.b", "axb", "sub name", "x|y", "(group)", "[]int", "a*", "dollar$", "caret^",
	"back\\slash", "tab\there", "nul\x00", "é", "/sys/fs/bpf", "deep/er", "deep", "#hash", "", "x+y", "{2}",
}

func TestSample(t *testing.T) {
	for _, name := range sampleSubtests {
		t.Run(name, func(t *testing.T) { t.Run("leaf", func(*testing.T) {}) })
	}
}

func TestSampleTwo(*testing.T) {}
func TestSample2(*testing.T)   {}
func TestSamplé(*testing.T)    {}
