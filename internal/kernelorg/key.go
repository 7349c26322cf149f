package kernelorg

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/google/renameio/v2"
)

// wellKnownKey is where kernel.org publishes the key of autosigner@kernel.org,
// as the drafts of OpenPGP's Web Key Directory have it: z-base-32 of SHA-1 of
// the local part.
const wellKnownKey = "/.well-known/openpgpkey/hu/ew8uiogxwri7d3fuioqgt7u1d5sngorx?l=autosigner"

// key finds the autosigner's key: in the keyring, in the cache, or at
// kernel.org. Wherever it comes from, its fingerprint decides.
func (s *Site) key(ctx context.Context) (openpgp.EntityList, error) {
	if file := s.keyring(); file != "" {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("read keyring: %w", err)
		}
		return s.pick(file, data)
	}
	kept, err := s.path("kernelorg", s.fingerprint()+".pgp")
	if err != nil {
		return nil, err
	}
	if data, err := os.ReadFile(kept); err == nil {
		return s.pick(kept, data)
	}
	url := s.url(keyHost, wellKnownKey)
	data, err := s.read(ctx, url, 1<<20)
	if err != nil {
		return nil, err
	}
	key, err := s.pick(url, data)
	if err != nil {
		return nil, err
	}
	return key, renameio.WriteFile(kept, data, 0o644)
}

// pick reads keys, in either of OpenPGP's forms, and takes the one that is
// wanted.
func (s *Site) pick(source string, data []byte) (openpgp.EntityList, error) {
	fail := &KeyError{Source: source, Want: s.fingerprint()}
	read := openpgp.ReadKeyRing
	if bytes.HasPrefix(bytes.TrimSpace(data), []byte("-----BEGIN ")) {
		read = openpgp.ReadArmoredKeyRing
	}
	var keys openpgp.EntityList
	if keys, fail.Cause = read(bytes.NewReader(data)); fail.Cause != nil {
		return nil, fail
	}
	for _, k := range keys {
		fingerprint := strings.ToUpper(fmt.Sprintf("%x", k.PrimaryKey.Fingerprint))
		if fingerprint == fail.Want {
			return openpgp.EntityList{k}, nil
		}
		fail.Found = append(fail.Found, fingerprint)
	}
	return nil, fail
}
