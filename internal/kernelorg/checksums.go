package kernelorg

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"

	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	pgperrors "github.com/ProtonMail/go-crypto/openpgp/errors"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"github.com/google/renameio/v2"

	"github.com/bpf-vmtest/bpf-vmtest/internal/kver"
)

// checksums are what the autosigner has signed, by the name of the file.
type checksums map[string]string

// Checksum is the SHA-256 of a release's tarball, in hexadecimal, as kernel.org
// has signed it. The list of checksums is kept, and asked for again only when
// the release is not in it.
//
// Errors that a user can do something about: [*MissingError],
// [*SignatureError], [*KeyError], [*StatusError].
func (s *Site) Checksum(ctx context.Context, v kver.Version) (string, error) {
	name := tarballName(v)
	if v.RC > 0 {
		return "", &UnsignedError{Name: name}
	}
	kept, err := s.path("kernelorg", directory(v), "sha256sums.asc")
	if err != nil {
		return "", err
	}
	if data, err := os.ReadFile(kept); err == nil {
		sums, err := s.verified(ctx, kept, data)
		if err != nil {
			return "", err
		}
		if sum := sums[name]; sum != "" {
			return sum, nil
		}
	}
	url := s.url(tarballHost, "/pub/linux/kernel/"+directory(v)+"/sha256sums.asc")
	data, err := s.read(ctx, url, 32<<20)
	if err != nil {
		return "", err
	}
	sums, err := s.verified(ctx, url, data)
	if err != nil {
		return "", err
	}
	if err := renameio.WriteFile(kept, data, 0o644); err != nil {
		return "", fmt.Errorf("keep checksums: %w", err)
	}
	if sum := sums[name]; sum != "" {
		return sum, nil
	}
	return "", &MissingError{Name: name, URL: url}
}

// verified reads a list of checksums if the autosigner has signed it.
func (s *Site) verified(ctx context.Context, source string, data []byte) (checksums, error) {
	key, err := s.key(ctx)
	if err != nil {
		return nil, err
	}
	block, rest := clearsign.Decode(data)
	if block == nil {
		return nil, &SignatureError{URL: source, Cause: errors.New("it is not a clear-signed message")}
	}
	if len(bytes.TrimSpace(rest)) > 0 {
		return nil, &SignatureError{URL: source, Cause: errors.New("there is text after the signature")}
	}
	_, err = block.VerifySignature(key, nil)
	if errors.Is(err, pgperrors.ErrUnknownIssuer) {
		err = &ForeignKeyError{KeyID: signer(data), Want: s.fingerprint()}
	}
	if err != nil {
		return nil, &SignatureError{URL: source, Cause: err}
	}
	return parseChecksums(source, string(block.Plaintext))
}

// signer is the key ID that a signature names, for an error.
func signer(data []byte) string {
	block, _ := clearsign.Decode(data) // verifying has read the other one
	p, err := packet.Read(block.ArmoredSignature.Body)
	if sig, ok := p.(*packet.Signature); err == nil && ok && sig.IssuerKeyId != nil {
		return fmt.Sprintf("%016X", *sig.IssuerKeyId)
	}
	return ""
}

// As sha256sum prints it.
var checksumLine = regexp.MustCompile(`^([0-9a-f]{64})[ ][ *](\S+)$`)

func parseChecksums(source, text string) (checksums, error) {
	sums := make(checksums)
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimRight(line, "\r")
		if line == "" {
			continue
		}
		m := checksumLine.FindStringSubmatch(line)
		if m == nil {
			return nil, fmt.Errorf("read %s: line %d is not a checksum and a name", source, i+1)
		}
		if other, ok := sums[m[2]]; ok && other != m[1] {
			return nil, fmt.Errorf("read %s: line %d: a second checksum of %s", source, i+1, m[2])
		}
		sums[m[2]] = m[1]
	}
	return sums, nil
}
