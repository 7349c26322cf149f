package attest

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Of the in-toto attestation framework, version 1.
const (
	statementType = "https://in-toto.io/Statement/v1"
	payloadType   = "application/vnd.in-toto+json"
)

// A PredicateType is the kind of thing that a statement says.
type PredicateType string

const (
	// Signature says nothing but that the signer stands for the image.
	Signature PredicateType = "https://sigstore.dev/cosign/sign/v1"
	// Provenance says how the image was built.
	Provenance PredicateType = "https://slsa.dev/provenance/v1"
	// SBOM says what is in the image.
	SBOM PredicateType = "https://cyclonedx.org/bom"
)

// vouches reports whether who says this stands for the image. An SBOM alone is
// something that anyone may write about anything.
func (t PredicateType) vouches() bool { return t == Signature || t == Provenance }

// A Statement says something about images.
type Statement struct {
	Type          string          `json:"_type"`
	Subject       []Subject       `json:"subject"`
	PredicateType PredicateType   `json:"predicateType"`
	Predicate     json.RawMessage `json:"predicate"`
}

// A Subject is an image by its digest. The name is for people.
type Subject struct {
	Name   string            `json:"name,omitempty"`
	Digest map[string]string `json:"digest"`
}

func newStatement(name string, digest v1.Hash, t PredicateType, predicate any) ([]byte, error) {
	encoded, err := json.Marshal(predicate)
	if err != nil {
		return nil, err
	}
	return json.Marshal(Statement{
		Type:          statementType,
		Subject:       []Subject{{name, map[string]string{digest.Algorithm: digest.Hex}}},
		PredicateType: t,
		Predicate:     encoded,
	})
}

func parseStatement(payload []byte) (*Statement, error) {
	s := &Statement{}
	if err := json.Unmarshal(payload, s); err != nil {
		return nil, fmt.Errorf("parse statement: %w", err)
	}
	if s.Type != statementType && s.Type != "https://in-toto.io/Statement/v0.1" { // which differs in the name alone
		return nil, fmt.Errorf("parse statement: its type is %q", s.Type)
	}
	return s, nil
}

// about reports whether the image is one of the subjects.
func (s *Statement) about(digest v1.Hash) bool {
	for _, subject := range s.Subject {
		if subject.Digest[digest.Algorithm] == digest.Hex {
			return true
		}
	}
	return false
}

// subjects names the images that the statement is about.
func (s *Statement) subjects() string {
	var all []string
	for _, subject := range s.Subject {
		for _, algorithm := range slices.Sorted(maps.Keys(subject.Digest)) {
			all = append(all, algorithm+":"+subject.Digest[algorithm])
		}
	}
	if len(all) == 0 {
		return "nothing"
	}
	return strings.Join(all, ", ")
}
