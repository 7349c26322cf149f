package kconfig

import (
	"strings"
	"testing"
)

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"# what it is\nCONFIG_BPF=y\n", "CONFIG_NET_9P=y # since 5.10\n", "CONFIG_X=\"a b\"\n# CONFIG_Y is not set\n",
		"CONFIG_A=m # arm64 ..6.1 or 5.10\r\n", "\ufeffCONFIG_A=n\n", "CONFIG_=y", "CONFIG_A=0x10\n", "a\x00b",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		fragment, err := Parse("f", data)
		if (fragment == nil) == (err == nil) {
			t.Fatalf("%v, %v", fragment, err)
		}
		if err != nil && (!strings.HasPrefix(err.Error(), "parse fragment f:") || strings.Contains(err.Error(), "%!") && !strings.Contains(string(data), "%")) {
			t.Errorf("error %q", err)
		}
	})
}

// A configuration that can be read has nothing in it that could not be written.
func FuzzConfig(f *testing.F) {
	for _, s := range []string{
		"#\n# Automatically generated\n#\nCONFIG_A=y\n# CONFIG_B is not set\nCONFIG_C=\"x \\\"y\\\"\"\n", "CONFIG_A=m\r\n", "CONFIG_A", "# CONFIG_A is not set", "CONFIG_A==\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := ParseConfig(data)
		if err != nil {
			return
		}
		for symbol := range c {
			if symbol == "" || strings.ContainsAny(symbol, "\n= ") {
				t.Errorf("symbol %q", symbol)
			}
			_ = c.Get(symbol)
		}
	})
}
