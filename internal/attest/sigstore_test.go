package attest

import (
	"testing"
	"time"

	"github.com/bpf-vmtest/bpf-vmtest/internal/attest/sigstoretest"
)

// A virtualSigstore is a sigstore in this process, described by files.
type virtualSigstore struct {
	*sigstoretest.Server
	trustedRoot, config string
}

const workflow = sigstoretest.Workflow

func newSigstore(t *testing.T) *virtualSigstore {
	t.Helper()
	server, err := sigstoretest.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	config, err := server.SigningConfig()
	if err != nil {
		t.Fatal(err)
	}
	s := &virtualSigstore{Server: server, config: writeFile(t, "signing_config.json", config)}
	s.trustedRoot = s.writeRoot(t, time.Now().Add(time.Hour))
	return s
}

// writeRoot writes the trusted root, whose authority is valid until then.
func (s *virtualSigstore) writeRoot(t *testing.T, until time.Time) string {
	t.Helper()
	content, err := s.TrustedRoot(until)
	if err != nil {
		t.Fatal(err)
	}
	return writeFile(t, "trusted_root.json", content)
}

// workflow signs as a job of GitHub's would.
func (s *virtualSigstore) workflow(t *testing.T) *Workflow {
	t.Helper()
	environment := s.Environment()
	w, err := FindWorkflow(func(name string) string { return environment[name] }, &Roots{}, Sigstore{s.trustedRoot, s.config})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// sign signs a kernel as the workflow.
func (s *virtualSigstore) sign(t *testing.T, k published) {
	t.Helper()
	w := s.workflow(t)
	if err := k.sign(t, Signing{Signer: w, Roots: w.roots}, k.index); err != nil {
		t.Fatal(err)
	}
}
