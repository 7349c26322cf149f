package attest

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
	"testing"
	"time"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"
	prototrustroot "github.com/sigstore/protobuf-specs/gen/pb-go/trustroot/v1"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/testing/ca"
	"github.com/sigstore/sigstore-go/pkg/tlog"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
)

// A virtualSigstore is a sigstore in this process: Fulcio, Rekor, and GitHub's
// server of tokens.
type virtualSigstore struct {
	*ca.VirtualSigstore // has the log
	root, intermediate  *x509.Certificate
	key                 *ecdsa.PrivateKey // the intermediate's
	identity            string            // in the certificates it gives
	url                 string
	trustedRoot, config string // files
}

const workflow = "https://github.com/bpf-vmtest/bpf-vmtest/.github/workflows/kernels.yml@refs/heads/main"

func newSigstore(t *testing.T) *virtualSigstore {
	t.Helper()
	log, err := ca.NewVirtualSigstore()
	if err != nil {
		t.Fatal(err)
	}
	s := &virtualSigstore{VirtualSigstore: log, identity: workflow}
	var rootKey *ecdsa.PrivateKey
	if s.root, rootKey, err = ca.GenerateRootCa(); err != nil {
		t.Fatal(err)
	}
	if s.intermediate, s.key, err = ca.GenerateFulcioIntermediate(s.root, rootKey); err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /token", s.token)
	mux.HandleFunc("POST /api/v2/signingCert", s.certify)
	mux.HandleFunc("POST /api/v1/log/entries", s.enter)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	s.url = server.URL
	s.trustedRoot = s.writeRoot(t, time.Now().Add(time.Hour))
	s.config = s.writeConfig(t)
	return s
}

// writeRoot writes the trusted root, whose authority is valid until then.
func (s *virtualSigstore) writeRoot(t *testing.T, until time.Time) string {
	t.Helper()
	logs := map[string]*root.TransparencyLog{}
	for id, l := range s.RekorLogs() {
		var err error
		if l.ID, err = hex.DecodeString(id); err != nil { // the library's test has it encoded
			t.Fatal(err)
		}
		logs[id] = l
	}
	trusted, err := root.NewTrustedRoot(root.TrustedRootMediaType01, []root.CertificateAuthority{&root.FulcioCertificateAuthority{
		Root: s.root, Intermediates: []*x509.Certificate{s.intermediate}, URI: s.url,
		ValidityPeriodStart: time.Now().Add(-time.Hour), ValidityPeriodEnd: until,
	}}, nil, nil, logs)
	if err != nil {
		t.Fatal(err)
	}
	content, err := trusted.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return writeFile(t, "trusted_root.json", content)
}

func (s *virtualSigstore) writeConfig(t *testing.T) string {
	t.Helper()
	services := []root.Service{{URL: s.url, MajorAPIVersion: 1, ValidityPeriodStart: time.Now().Add(-time.Hour), Operator: "test"}}
	anyOne := root.ServiceConfiguration{Selector: prototrustroot.ServiceSelector_ANY}
	config, err := root.NewSigningConfig(root.SigningConfigMediaType02, services, nil, services, anyOne, nil, anyOne)
	if err != nil {
		t.Fatal(err)
	}
	content, err := config.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return writeFile(t, "signing_config.json", content)
}

// workflow signs as a job of GitHub's would.
func (s *virtualSigstore) workflow() *Workflow {
	environment := map[string]string{
		"ACTIONS_ID_TOKEN_REQUEST_URL": s.url + "/token?api-version=2.0", "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "request",
		"GITHUB_SERVER_URL": "https://github.com", "GITHUB_WORKFLOW_REF": strings.TrimPrefix(s.identity, "https://github.com/"),
	}
	w, err := FindWorkflow(func(name string) string { return environment[name] }, &Roots{}, Sigstore{s.trustedRoot, s.config})
	if err != nil {
		panic(err) // all of it is there
	}
	return w
}

func (s *virtualSigstore) jwt() string {
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(`{"alg":"none"}`)) + "." + encode([]byte(`{"iss":"`+GitHubActions+`","sub":"repo:bpf-vmtest"}`)) + ".x"
}

// token is GitHub's.
func (s *virtualSigstore) token(w http.ResponseWriter, q *http.Request) {
	if q.Header.Get("Authorization") != "Bearer request" || q.FormValue("audience") != "sigstore" || q.FormValue("api-version") != "2.0" {
		http.Error(w, "who are you?", http.StatusUnauthorized)
		return
	}
	json.NewEncoder(w).Encode(map[string]string{"value": s.jwt()})
}

// certify is Fulcio's.
func (s *virtualSigstore) certify(w http.ResponseWriter, q *http.Request) {
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
func (s *virtualSigstore) certificate(public crypto.PublicKey) ([]byte, error) {
	identity, err := url.Parse(s.identity)
	if err != nil {
		return nil, err
	}
	issuer, err := asn1.Marshal(GitHubActions)
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
func (s *virtualSigstore) enter(w http.ResponseWriter, q *http.Request) {
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

func (s *virtualSigstore) entry(q *http.Request) (map[string]any, error) {
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
	logged, err := s.GenerateTlogEntry(certs[0], envelope, signature, time.Now().Unix(), true)
	if err != nil {
		return nil, err
	}
	e := logged.TransparencyLogEntry()
	proof, id := e.GetInclusionProof(), hex.EncodeToString(e.GetLogId().GetKeyId())
	promise, err := s.RekorSignPayload(tlog.RekorPayload{ // which the library's test keeps to itself
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

var _ Signer = (*Workflow)(nil)

// sign signs a kernel as the workflow.
func (s *virtualSigstore) sign(t *testing.T, k published) {
	t.Helper()
	w := s.workflow()
	if err := k.sign(t, Signing{Signer: w, Roots: w.roots}, k.index); err != nil {
		t.Fatal(err)
	}
}
