package attest

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

func TestKeys(t *testing.T) {
	private, public, err := GenerateKey([]byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(private, []byte("-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\n")) { // as cosign wants it
		t.Errorf("the private key is\n%.60s", private)
	}
	passphrase := func(p string) func() ([]byte, error) {
		return func() ([]byte, error) { return []byte(p), nil }
	}
	file := writeFile(t, "test.key", private)
	key, err := ReadPrivateKey(file, passphrase("secret"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := ReadPublicKey(writeFile(t, "test.pub", public))
	if err != nil || got.String() != key.Public().String() || !strings.HasPrefix(got.String(), "SHA256:") {
		t.Errorf("the public key is %s, %v, want %s", got, err, key.Public())
	}
	_, err = ReadPrivateKey(file, func() ([]byte, error) { return nil, errors.New("there is no terminal") })
	if err == nil || err.Error() != "there is no terminal" {
		t.Errorf("without a passphrase: %v", err)
	}

	const rsa = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIIMy3Yp+HW7ZVOOAI0N2WqSbyIbdFdVGzKhzQ4tZqvvH\n-----END PRIVATE KEY-----\n" // Ed25519
	for name, c := range map[string]struct {
		file, passphrase, want string
	}{
		"wrong passphrase": {file, "other", "the passphrase is wrong"},
		"public key":       {writeFile(t, "x", public), "", "no private key"},
		"text":             {writeFile(t, "x", []byte("key")), "", "no private key"},
		"another curve":    {writeFile(t, "x", []byte(rsa)), "", "not for ECDSA"},
		"no file":          {file + ".missing", "", "no such file"},
	} {
		if key, err := ReadPrivateKey(c.file, passphrase(c.passphrase)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, %v, want an error with %q", name, key, err, c.want)
		}
	}
	for name, c := range map[string]struct{ file, want string }{
		"private key": {file, "it is a private key"},
		"text":        {writeFile(t, "x", []byte("key")), "no public key"},
		"no file":     {file + ".missing", "no such file"},
	} {
		if key, err := ReadPublicKey(c.file); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, %v, want an error with %q", name, key, err, c.want)
		}
	}
}
