package attest

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bpf-vmtest/bpf-vmtest/internal/artifact"
)

func TestProvenance(t *testing.T) {
	amd64 := contents(t).Manifest
	arm64 := *amd64
	arm64.Arch, arm64.Build.Fragments = "arm64", []string{"base", "bpf", "arm64"}
	environment := newSigstore(t).Environment()
	b := FindBuilder(func(name string) string { return environment[name] }, "v1.0.0")
	golden(t, "provenance.json", NewProvenance(b, amd64, &arm64))
}

func TestLocalBuilder(t *testing.T) {
	b := FindBuilder(func(string) string { return "" }, "devel")
	if diff := cmp.Diff(Builder{ID: localBuilder, Version: "devel"}, b); diff != "" {
		t.Errorf("builder (-want +got):\n%s", diff)
	}
	// A commit is known beside its tree.
	m := &artifact.Manifest{Release: "6.12.1", Build: artifact.Build{Source: "linux at 12", SourceDigest: "git-tree:34"},
		Annotations: map[string]string{artifact.RevisionAnnotation: "12"}}
	got := NewProvenance(b, m).BuildDefinition.ResolvedDependencies
	if len(got) != 1 || got[0].Digest["gitTree"] != "34" || got[0].Digest["gitCommit"] != "12" {
		t.Errorf("dependencies %+v", got)
	}
}
