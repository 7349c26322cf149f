package attest

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/google/renameio/v2"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
)

// A PublicKey checks what the holder of its private key has signed.
type PublicKey struct {
	key crypto.PublicKey
	// hint is how a bundle names the key that signed it: the base64 of the
	// SHA-256 of its DER, as cosign has it.
	hint string
}

func newPublicKey(key crypto.PublicKey) (PublicKey, error) {
	der, err := cryptoutils.MarshalPublicKeyToDER(key)
	if err != nil {
		return PublicKey{}, err
	}
	sum := sha256.Sum256(der)
	return PublicKey{key, base64.StdEncoding.EncodeToString(sum[:])}, nil
}

// ParsePublicKey reads a public key in PEM.
func ParsePublicKey(data []byte) (PublicKey, error) {
	if block, _ := pem.Decode(data); block != nil && strings.Contains(block.Type, "PRIVATE KEY") {
		return PublicKey{}, errors.New("it is a private key")
	}
	key, err := cryptoutils.UnmarshalPEMToPublicKey(data)
	if err != nil {
		return PublicKey{}, fmt.Errorf("it is no public key: %w", err)
	}
	return newPublicKey(key)
}

// ReadPublicKey reads a public key's file.
func ReadPublicKey(file string) (PublicKey, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return PublicKey{}, err
	}
	key, err := ParsePublicKey(data)
	if err != nil {
		return PublicKey{}, &KeyError{file, err, "want the .pub file that `vmtest kernel keygen` or cosign wrote"}
	}
	return key, nil
}

// String is the key's fingerprint, written as ssh does.
func (k PublicKey) String() string { return fingerprint(k.hint) }

// fingerprint shows the name of a key in a bundle, which may be anything.
func fingerprint(hint string) string {
	if len(hint) > 64 {
		hint = hint[:64]
	}
	return "SHA256:" + strings.TrimRight(printable(hint), "=")
}

// A PrivateKey signs statements: ECDSA on P-256.
type PrivateKey struct {
	key    *ecdsa.PrivateKey
	public PublicKey
}

// GenerateKey makes a pair of keys, in PEM. With a passphrase the private one is
// encrypted, as cosign does it.
func GenerateKey(passphrase []byte) (private, public []byte, err error) {
	if len(passphrase) == 0 {
		passphrase = nil
	}
	return cryptoutils.GeneratePEMEncodedECDSAKeyPair(elliptic.P256(), cryptoutils.StaticPasswordFunc(passphrase))
}

// ReadPrivateKey reads a private key's file: one of [GenerateKey] or of cosign, or
// PKCS #8. The passphrase is asked for if the key is encrypted.
func ReadPrivateKey(file string, passphrase func() ([]byte, error)) (*PrivateKey, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	asked := false
	var asking error
	key, err := cryptoutils.UnmarshalPEMToPrivateKey(data, func(bool) (p []byte, err error) {
		asked = true
		p, asking = passphrase()
		return p, asking
	})
	switch {
	case asking != nil:
		return nil, asking
	case err != nil && asked:
		return nil, &KeyError{file, errors.New("the passphrase is wrong"), ""}
	case err != nil:
		return nil, &KeyError{file, fmt.Errorf("it is no private key: %w", err), "want the .key file that `vmtest kernel keygen` or cosign wrote"}
	}
	ec, ok := key.(*ecdsa.PrivateKey)
	if !ok || ec.Curve != elliptic.P256() {
		return nil, &KeyError{file, errors.New("it is not for ECDSA on the curve P-256"), "`vmtest kernel keygen` makes one that is"}
	}
	public, err := newPublicKey(ec.Public())
	return &PrivateKey{ec, public}, err
}

// A KeyError is a file that holds no usable key, or must not be written.
type KeyError struct {
	File  string
	Cause error
	hint  string
}

func (e *KeyError) Error() string {
	verb := "read"
	if errors.Is(e.Cause, fs.ErrExist) {
		verb = "write"
	}
	return fmt.Sprintf("%s key %q: %v", verb, e.File, e.Cause)
}

func (e *KeyError) Unwrap() error { return e.Cause }

// Hint says what to use instead.
func (e *KeyError) Hint() string { return e.hint }

// ExitCode is that of a usage error.
func (e *KeyError) ExitCode() int { return 2 }

// Public is the key that checks what this one signs.
func (k *PrivateKey) Public() PublicKey { return k.public }

// keypair is a private key as the library wants it.
type keypair struct{ *PrivateKey }

func (keypair) GetHashAlgorithm() protocommon.HashAlgorithm {
	return protocommon.HashAlgorithm_SHA2_256
}

func (keypair) GetSigningAlgorithm() protocommon.PublicKeyDetails {
	return protocommon.PublicKeyDetails_PKIX_ECDSA_P256_SHA_256
}

func (k keypair) GetHint() []byte                { return []byte(k.public.hint) }
func (keypair) GetKeyAlgorithm() string          { return "ECDSA" }
func (k keypair) GetPublicKey() crypto.PublicKey { return k.public.key }

func (k keypair) GetPublicKeyPem() (string, error) {
	public, err := cryptoutils.MarshalPublicKeyToPEM(k.public.key)
	return string(public), err
}

func (k keypair) SignData(_ context.Context, data []byte) (signature, digest []byte, err error) {
	sum := sha256.Sum256(data)
	signature, err = k.key.Sign(rand.Reader, sum[:], crypto.SHA256)
	return signature, sum[:], err
}

// WriteKeys makes a pair of keys and writes them to NAME.key, which only its
// owner may read, and NAME.pub. Files that exist are left as they are.
func WriteKeys(name string, passphrase []byte) (PublicKey, error) {
	private, public, err := GenerateKey(passphrase)
	if err != nil {
		return PublicKey{}, err
	}
	for _, file := range []string{name + ".key", name + ".pub"} {
		if _, err := os.Lstat(file); err == nil {
			return PublicKey{}, &KeyError{file, fs.ErrExist, "choose another name: -o NAME"}
		}
	}
	if err := renameio.WriteFile(name+".pub", public, 0o644); err != nil {
		return PublicKey{}, err
	}
	if err := renameio.WriteFile(name+".key", private, 0o600); err != nil {
		return PublicKey{}, errors.Join(err, os.Remove(name+".pub"))
	}
	return ParsePublicKey(public)
}
