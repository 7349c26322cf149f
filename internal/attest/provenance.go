package attest

import (
	"maps"
	"net/url"
	"strings"

	"github.com/in-toto/in-toto-golang/in_toto/slsa_provenance/common"
	slsa "github.com/in-toto/in-toto-golang/in_toto/slsa_provenance/v1"

	"github.com/bpf-vmtest/bpf-vmtest/internal/artifact"
)

// Of the documentation, which explains what they stand for.
const (
	buildType    = artifact.Repository + "/blob/main/docs/supply-chain.md#kernel-build-v1"
	localBuilder = artifact.Repository + "/blob/main/docs/supply-chain.md#local-builder"
)

// A Builder is where kernels are built and attested.
type Builder struct {
	ID         string // a URI
	Version    string // vmtest's
	Invocation string // the URI of one run, if it has one
	// Workflow is the commit that a workflow's definition, and with it the
	// builder and the fragments, are of.
	Workflow *slsa.ResourceDescriptor
}

// FindBuilder finds out from the environment whether this is a workflow of
// GitHub's, where nobody can say otherwise, or any machine.
func FindBuilder(getenv func(string) string, version string) Builder {
	b := Builder{ID: localBuilder, Version: version}
	ref := getenv("GITHUB_WORKFLOW_REF") // org/repository/.github/workflows/kernels.yml@refs/heads/main
	if getenv("GITHUB_ACTIONS") != "true" || ref == "" {
		return b
	}
	server, repository := getenv("GITHUB_SERVER_URL"), getenv("GITHUB_REPOSITORY")
	b.ID = server + "/" + ref
	b.Invocation = server + "/" + repository + "/actions/runs/" + getenv("GITHUB_RUN_ID") + "/attempts/" + getenv("GITHUB_RUN_ATTEMPT")
	b.Workflow = &slsa.ResourceDescriptor{
		URI:    "git+" + server + "/" + repository + "@" + getenv("GITHUB_REF"),
		Digest: common.DigestSet{"gitCommit": getenv("GITHUB_SHA")},
	}
	return b
}

// buildParameters are the externalParameters: what was asked for.
type buildParameters struct {
	Kernels []kernelParameters `json:"kernels"`
}

type kernelParameters struct {
	Version      string   `json:"version"`
	Architecture string   `json:"architecture"`
	Flavour      string   `json:"flavour,omitempty"`
	Source       string   `json:"source,omitempty"`
	Base         string   `json:"base,omitempty"`
	Fragments    []string `json:"fragments,omitempty"`
	Patches      []string `json:"patches,omitempty"`
}

// NewProvenance is a SLSA provenance, version 1, of kernels: of one, or of those of
// an index. It repeats what their manifests say.
func NewProvenance(b Builder, kernels ...*artifact.Manifest) slsa.ProvenancePredicate {
	var p slsa.ProvenancePredicate
	var parameters buildParameters
	add := func(d slsa.ResourceDescriptor) {
		for _, have := range p.BuildDefinition.ResolvedDependencies {
			if have.Name == d.Name && have.URI == d.URI && maps.Equal(have.Digest, d.Digest) {
				return
			}
		}
		p.BuildDefinition.ResolvedDependencies = append(p.BuildDefinition.ResolvedDependencies, d)
	}
	if b.Workflow != nil {
		add(*b.Workflow)
	}
	for _, m := range kernels {
		parameters.Kernels = append(parameters.Kernels, kernelParameters{
			Version: version(m), Architecture: m.Arch, Flavour: m.Build.Flavour, Source: m.Build.Source,
			Base: m.Build.Base, Fragments: m.Build.Fragments, Patches: m.Build.Patches,
		})
		add(sourceDependency(kernelSource(m.Build, m.Annotations[artifact.RevisionAnnotation])))
		for _, patch := range m.Build.Patches {
			name, digest := cutDigest(patch)
			add(slsa.ResourceDescriptor{Name: name, Digest: digestSet(digest)})
		}
		for _, t := range toolchain(m.Build) {
			add(slsa.ResourceDescriptor{
				Name: t.name, URI: "pkg:generic/" + t.name + "@" + url.PathEscape(t.version),
				Annotations: map[string]any{"version": t.text},
			})
		}
	}
	p.BuildDefinition.BuildType = buildType
	p.BuildDefinition.ExternalParameters = parameters
	p.RunDetails.Builder = slsa.Builder{ID: b.ID, Version: map[string]string{"vmtest": b.Version}}
	p.RunDetails.BuildMetadata.InvocationID = b.Invocation
	return p
}

func sourceDependency(s source) slsa.ResourceDescriptor {
	d := slsa.ResourceDescriptor{Name: s.name, URI: s.purl, Digest: digestSet(s.digest)}
	if d.URI == "" {
		d.URI = s.url
	}
	if s.revision != "" {
		if d.Digest == nil {
			d.Digest = common.DigestSet{}
		}
		d.Digest["gitCommit"] = s.revision
	}
	return d
}

// digestSet is a digest as in-toto writes it.
func digestSet(digest string) common.DigestSet {
	algorithm, value, ok := strings.Cut(digest, ":")
	switch {
	case !ok:
		return nil
	case algorithm == "git-tree":
		algorithm = "gitTree"
	}
	return common.DigestSet{algorithm: value}
}
