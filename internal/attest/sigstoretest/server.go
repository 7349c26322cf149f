// Package sigstoretest is a sigstore in a process: an authority that gives
// certificates (Fulcio), a log (Rekor), and GitHub's server of tokens, which
// vouches for one workflow.
package sigstoretest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"time"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"
	prototrustroot "github.com/sigstore/protobuf-specs/gen/pb-go/trustroot/v1"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/testing/ca"
	"github.com/sigstore/sigstore-go/pkg/tlog"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
)

const (
	// Workflow is the identity in the certificates.
	Workflow = "https://github.com/bpf-vmtest/bpf-vmtest/.github/workflows/kernels.yml@refs/heads/main"
	// Issuer vouches for it.
	Issuer = "https://token.actions.githubusercontent.com"
)

// A Server serves all three.
type Server struct {
	*httptest.Server
	log                *ca.VirtualSigstore
	root, intermediate *x509.Certificate
	key                *ecdsa.PrivateKey // the intermediate's
}

// Start starts one, with keys of its own.
func Start() (*Server, error) {
	log, err := ca.NewVirtualSigstore()
	if err != nil {
		return nil, err
	}
	s := &Server{log: log}
	var rootKey *ecdsa.PrivateKey
	if s.root, rootKey, err = ca.GenerateRootCa(); err != nil {
		return nil, err
	}
	if s.intermediate, s.key, err = ca.GenerateFulcioIntermediate(s.root, rootKey); err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /token", s.token)
	mux.HandleFunc("POST /api/v2/signingCert", s.certify)
	mux.HandleFunc("POST /api/v1/log/entries", s.enter)
	s.Server = httptest.NewServer(mux)
	return s, nil
}

// Environment is that of a step of the workflow.
func (s *Server) Environment() map[string]string {
	ref := strings.TrimPrefix(Workflow, "https://github.com/")
	return map[string]string{
		"ACTIONS_ID_TOKEN_REQUEST_URL": s.URL + "/token?api-version=2.0", "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "request",
		"GITHUB_ACTIONS": "true", "GITHUB_SERVER_URL": "https://github.com", "GITHUB_REPOSITORY": "bpf-vmtest/bpf-vmtest",
		"GITHUB_WORKFLOW_REF": ref, "GITHUB_REF": "refs/heads/main", "GITHUB_SHA": strings.Repeat("c", 40),
		"GITHUB_RUN_ID": "17", "GITHUB_RUN_ATTEMPT": "2",
	}
}

// TrustedRoot is a trusted root in JSON. Its authority is valid until then.
func (s *Server) TrustedRoot(until time.Time) ([]byte, error) {
	logs := map[string]*root.TransparencyLog{}
	for id, l := range s.log.RekorLogs() {
		var err error
		if l.ID, err = hex.DecodeString(id); err != nil { // the library's test has it encoded
			return nil, err
		}
		logs[id] = l
	}
	trusted, err := root.NewTrustedRoot(root.TrustedRootMediaType01, []root.CertificateAuthority{&root.FulcioCertificateAuthority{
		Root: s.root, Intermediates: []*x509.Certificate{s.intermediate}, URI: s.URL,
		ValidityPeriodStart: time.Now().Add(-time.Hour), ValidityPeriodEnd: until,
	}}, nil, nil, logs)
	if err != nil {
		return nil, err
	}
	return trusted.MarshalJSON()
}

// SigningConfig says in JSON where the services are.
func (s *Server) SigningConfig() ([]byte, error) {
	services := []root.Service{{URL: s.URL, MajorAPIVersion: 1, ValidityPeriodStart: time.Now().Add(-time.Hour), Operator: "test"}}
	anyOne := root.ServiceConfiguration{Selector: prototrustroot.ServiceSelector_ANY}
	config, err := root.NewSigningConfig(root.SigningConfigMediaType02, services, nil, services, anyOne, nil, anyOne)
	if err != nil {
		return nil, err
	}
	return config.MarshalJSON()
}

func (s *Server) jwt() string {
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(`{"alg":"none"}`)) + "." + encode([]byte(`{"iss":"`+Issuer+`","sub":"repo:bpf-vmtest"}`)) + ".x"
}

// token is GitHub's.
func (s *Server) token(w http.ResponseWriter, q *http.Request) {
	if q.Header.Get("Authorization") != "Bearer request" || q.FormValue("audience") != "sigstore" || q.FormValue("api-version") != "2.0" {
		http.Error(w, "who are you?", http.StatusUnauthorized)
		return
	}
	json.NewEncoder(w).Encode(map[string]string{"value": s.jwt()})
}

// certify is Fulcio's.
func (s *Server) certify(w http.ResponseWriter, q *http.Request) {
	var asked struct {
		PublicKeyRequest struct {
			PublicKey         struct{ Content string }
			ProofOfPossession []byte
		}
	}
	err := json.NewDecoder(q.Body).Decode(&asked)
	if err != nil || q.Header.Get("Authorization") != "Bearer "+s.jwt() {
		http.Error(w, fmt.Sprint(err), http.StatusUnauthorized)
		return
	}
	public, err := cryptoutils.UnmarshalPEMToPublicKey([]byte(asked.PublicKeyRequest.PublicKey.Content))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	subject := sha256.Sum256([]byte("repo:bpf-vmtest"))
	if !ecdsa.VerifyASN1(public.(*ecdsa.PublicKey), subject[:], asked.PublicKeyRequest.ProofOfPossession) {
		http.Error(w, "not your key", http.StatusBadRequest)
		return
	}
	cert, err := s.certificate(public)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	var chain []string
	for _, der := range [][]byte{cert, s.intermediate.Raw, s.root.Raw} {
		chain = append(chain, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	}
	json.NewEncoder(w).Encode(map[string]any{"signedCertificateEmbeddedSct": map[string]any{"chain": map[string]any{"certificates": chain}}})
}

// certificate has the fields of Fulcio's: the workflow is the subject's name,
// and who vouches for it is in an extension.
func (s *Server) certificate(public crypto.PublicKey) ([]byte, error) {
	identity, err := url.Parse(Workflow)
	if err != nil {
		return nil, err
	}
	issuer, err := asn1.Marshal(Issuer)
	if err != nil {
		return nil, err
	}
	return x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), URIs: []*url.URL{identity},
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(10 * time.Minute),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
		ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, 8}, Value: issuer}},
	}, s.intermediate, public, s.key)
}

// enter is Rekor's.
func (s *Server) enter(w http.ResponseWriter, q *http.Request) {
	entry, err := s.entry(q)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("ETag", "entry")
	w.Header().Set("Location", "/api/v1/log/entries/entry")
	w.WriteHeader(http.StatusCreated)
	json.NewEncoder(w).Encode(map[string]any{"entry": entry})
}

func (s *Server) entry(q *http.Request) (map[string]any, error) {
	var proposed struct {
		Kind string
		Spec struct {
			ProposedContent struct {
				Envelope  string
				Verifiers [][]byte
			}
		}
	}
	if err := json.NewDecoder(q.Body).Decode(&proposed); err != nil {
		return nil, err
	}
	certs, err := cryptoutils.UnmarshalCertificatesFromPEM(proposed.Spec.ProposedContent.Verifiers[0])
	if err != nil {
		return nil, err
	}
	envelope := &dsse.Envelope{}
	if err := json.Unmarshal([]byte(proposed.Spec.ProposedContent.Envelope), envelope); err != nil {
		return nil, err
	}
	signature, err := base64.StdEncoding.DecodeString(envelope.Signatures[0].Sig)
	if err != nil {
		return nil, err
	}
	logged, err := s.log.GenerateTlogEntry(certs[0], envelope, signature, time.Now().Unix(), true)
	if err != nil {
		return nil, err
	}
	e := logged.TransparencyLogEntry()
	proof, id := e.GetInclusionProof(), hex.EncodeToString(e.GetLogId().GetKeyId())
	promise, err := s.log.RekorSignPayload(tlog.RekorPayload{ // which the library's test keeps to itself
		Body: base64.StdEncoding.EncodeToString(e.GetCanonicalizedBody()), IntegratedTime: e.GetIntegratedTime(), LogIndex: e.GetLogIndex(), LogID: id,
	})
	if err != nil {
		return nil, err
	}
	return map[string]any{
		"body": e.GetCanonicalizedBody(), "integratedTime": e.GetIntegratedTime(),
		"logID": id, "logIndex": e.GetLogIndex(),
		"verification": map[string]any{
			"signedEntryTimestamp": promise,
			"inclusionProof": map[string]any{
				"checkpoint": proof.GetCheckpoint().GetEnvelope(), "hashes": []string{}, "logIndex": proof.GetLogIndex(),
				"rootHash": hex.EncodeToString(proof.GetRootHash()), "treeSize": proof.GetTreeSize(),
			},
		},
	}, nil
}
