package attest

import (
	"bytes"
	"context"
	"encoding/json"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	"github.com/sigstore/sigstore-go/pkg/sign"
	"google.golang.org/protobuf/encoding/protojson"
)

// A Signer signs statements: a [PrivateKey] or a [Workflow].
type Signer interface {
	// sign makes a bundle of a statement.
	sign(ctx context.Context, statement []byte) ([]byte, error)
	// trust accepts what it signs.
	trust() Trust
}

func (k *PrivateKey) sign(ctx context.Context, statement []byte) ([]byte, error) {
	return makeBundle(statement, keypair{k}, sign.BundleOptions{Context: ctx})
}

func (k *PrivateKey) trust() Trust { return Keys{k.public} }

func makeBundle(statement []byte, k sign.Keypair, o sign.BundleOptions) ([]byte, error) {
	b, err := sign.Bundle(&sign.DSSEData{Data: statement, PayloadType: payloadType}, k, o)
	if err != nil {
		return nil, err
	}
	return encodeBundle(b)
}

// encodeBundle undoes the spaces that protojson adds at random.
func encodeBundle(b *protobundle.Bundle) ([]byte, error) {
	encoded, err := protojson.Marshal(b)
	if err != nil {
		return nil, err
	}
	var compact bytes.Buffer
	err = json.Compact(&compact, encoded)
	return compact.Bytes(), err
}
