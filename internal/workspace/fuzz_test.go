package workspace

import (
	"bytes"
	"testing"
)

// What is shown of a configuration hides nothing more when it is looked at again.
func FuzzWithoutCredentials(f *testing.F) {
	for _, s := range []string{
		"[core]\n\tbare = false\n[http \"x\"]\n\textraheader = y\n", "[core] sshCommand = a\\\n b\n[remote \"o\"] url = https://a:b@c/d\n",
		"[ CORE ]\r\n[url \"https://t@x\"]\\\n[core]\n", "\xff[core", "[remote \"https://a@b\"]\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, config []byte) {
		once := withoutCredentials(config)
		if twice := withoutCredentials(once); !bytes.Equal(once, twice) {
			t.Errorf("once %q, twice %q", once, twice)
		}
		if bytes.Contains(bytes.ToLower(once), []byte("extraheader =")) && !bytes.Contains(once, []byte("\\")) {
			t.Errorf("a header is shown: %q", once)
		}
	})
}
