package attest

import (
	"cmp"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/bpf-vmtest/bpf-vmtest/internal/configfile"
)

// A Policy says who has to have signed the images of which repositories.
type Policy struct {
	rules []rule // the first that matches decides
}

// A rule is about the repositories that it matches.
type rule struct {
	repositories []*regexp.Regexp
	// trust is who has to have signed, or nil if anything is accepted.
	trust Trust
	where string // who says so, for errors
}

// ours is the repository that this project publishes in, and who does that.
const ours = "ghcr.io/bpf-vmtest/kernels"

var publisher = Keyless{
	Issuer:   GitHubActions,
	Identity: "https://github.com/bpf-vmtest/bpf-vmtest/.github/workflows/kernels.yml@refs/heads/main",
}

// DefaultPolicy wants this project's kernels to be signed by its workflow, and
// accepts everything else.
func DefaultPolicy() *Policy {
	return &Policy{[]rule{{[]*regexp.Regexp{repositoryPattern(ours)}, publisher, "vmtest's own policy"}}}
}

// TrustPolicy wants everything to be signed by one.
func TrustPolicy(t Trust) *Policy {
	return &Policy{[]rule{{[]*regexp.Regexp{repositoryPattern("**")}, t, "the command line"}}}
}

// PolicyFile is where a user's policy is, in the directory for configuration.
func PolicyFile(configDir string) string {
	return filepath.Join(configDir, "bpf-vmtest", "policy.yaml")
}

// ReadPolicy reads a policy, whose rules come before those of [DefaultPolicy].
// The error is of type configfile.Errors and holds all that is wrong.
func ReadPolicy(file string) (*Policy, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, configfile.Errors{configfile.FileError(file, err)}
	}
	r := &policyReader{YAML: configfile.YAML{File: file}}
	r.document(r.Document(data))
	if r.Errs != nil {
		return nil, r.Errs
	}
	return &Policy{append(r.rules, DefaultPolicy().rules...)}, nil
}

// ReadUserPolicy is [ReadPolicy] for a file that need not be there.
func ReadUserPolicy(file string) (*Policy, error) {
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		return DefaultPolicy(), nil
	}
	return ReadPolicy(file)
}

// rule is the one for a repository. Where there is none, everything is accepted.
func (p *Policy) rule(repository string) rule {
	for _, r := range p.rules {
		for _, pattern := range r.repositories {
			if pattern.MatchString(repository) {
				return r
			}
		}
	}
	return rule{}
}

// Trust is who has to have signed the images of a repository, or nil if it may be
// anyone, or no one.
func (p *Policy) Trust(repository string) Trust { return p.rule(repository).trust }

// repositoryPattern matches names of repositories as the library writes them. A *
// stands for anything but a slash, ** for anything.
func repositoryPattern(glob string) *regexp.Regexp {
	if rest, ok := strings.CutPrefix(glob, "docker.io/"); ok {
		glob = "index.docker.io/" + rest
	}
	return regexp.MustCompile(globPattern(glob, "[^/]*"))
}

const shapeRemedy = `a policy is a list of rules, each beginning with a dash:
  - repository: ghcr.io/org/*
    key: org.pub`

// policyReader reads a policy's file.
type policyReader struct {
	configfile.YAML
	rules []rule
}

var (
	ruleShape    = configfile.Shape{Fields: []string{"repository", "key", "keyless", "accept"}, Lists: []string{"repository", "key"}}
	keylessShape = configfile.Shape{Fields: []string{"issuer", "identity", "trusted-root"}}
)

func (r *policyReader) document(top *yaml.Node) {
	switch {
	case top == nil:
	case top.Kind != yaml.SequenceNode:
		r.Fail(top, configfile.Problemf(shapeRemedy, "not a list"))
	default:
		for _, n := range top.Content {
			r.rule(n)
		}
	}
}

func (r *policyReader) rule(n *yaml.Node) {
	if n.Kind != yaml.MappingNode {
		r.Fail(n, configfile.Problemf(shapeRemedy, "not a rule"))
		return
	}
	before := len(r.Errs)
	value := r.Fields(n, ruleShape)
	rule := rule{where: "the rule at " + r.Pos(n).String()}
	rule.repositories = configfile.All(&r.YAML, value["repository"], parseRepository)
	if value["repository"] == nil {
		r.Fail(n, configfile.Problemf(shapeRemedy, "rule without a repository"))
	}
	given := 0
	for _, field := range []string{"key", "keyless", "accept"} {
		if value[field] != nil {
			given++
		}
	}
	if given != 1 {
		r.Fail(n, configfile.Problemf("give one of key: FILE, keyless: {issuer: URL, identity: PATTERN} and accept: true", "rule with %d of key, keyless and accept", given))
	}
	configfile.One(&r.YAML, value["accept"], parseAccept)
	if keys := configfile.All(&r.YAML, value["key"], r.readKey); keys != nil {
		rule.trust = Keys(keys)
	}
	if value["keyless"] != nil {
		rule.trust = r.keyless(value["keyless"])
	}
	if len(r.Errs) == before {
		r.rules = append(r.rules, rule)
	}
}

func (r *policyReader) keyless(n *yaml.Node) Keyless {
	const remedy = "write keyless: {issuer: " + GitHubActions + ", identity: https://github.com/org/repository/.github/workflows/file.yml@refs/heads/main}"
	if n.Kind == 0 { // reported before
		return Keyless{}
	}
	if n.Kind != yaml.MappingNode {
		r.Fail(n, configfile.Problemf(remedy, "keyless is not a mapping"))
		return Keyless{}
	}
	value := r.Fields(n, keylessShape)
	for _, field := range []string{"issuer", "identity"} {
		if value[field] == nil {
			r.Fail(n, configfile.Problemf(remedy, "keyless without %s", field))
		}
	}
	return Keyless{
		Issuer:      configfile.One(&r.YAML, value["issuer"], parseIssuer),
		Identity:    configfile.One(&r.YAML, value["identity"], parseIdentity),
		TrustedRoot: configfile.One(&r.YAML, value["trusted-root"], func(s string) (string, error) { return r.beside(s), nil }),
	}
}

// beside is a file's path relative to the policy's.
func (r *policyReader) beside(file string) string {
	if file == "" || filepath.IsAbs(file) {
		return file
	}
	return filepath.Join(filepath.Dir(r.File), file)
}

func (r *policyReader) readKey(file string) (PublicKey, error) {
	key, err := ReadPublicKey(r.beside(file))
	if err != nil {
		hint := "the path is relative to the policy's directory"
		var wrong *KeyError
		if errors.As(err, &wrong) {
			hint = wrong.hint
		}
		return key, configfile.Problemf(hint, "%v", err)
	}
	return key, nil
}

var repositoryName = regexp.MustCompile(`^[a-z0-9*]([a-z0-9._:/*-]*[a-z0-9*])?$`)

func parseRepository(s string) (*regexp.Regexp, error) {
	const remedy = "write HOST/REPOSITORY, without a tag; * stands for anything but a slash, ** for anything"
	host, _, hasPath := strings.Cut(s, "/")
	switch {
	case !repositoryName.MatchString(s):
		return nil, configfile.Problemf(remedy, "%q is no repository", s)
	case !hasPath && !strings.HasSuffix(s, "**"):
		return nil, configfile.Problemf(remedy, "%q has no host", s)
	case hasPath && !strings.ContainsAny(host, ".:*") && host != "localhost":
		return nil, configfile.Problemf(remedy, "%q is not the name of a registry", host)
	case strings.LastIndexByte(s, ':') > strings.LastIndexByte(s, '/'):
		return nil, configfile.Problemf(remedy, "%q has a tag", s)
	}
	return repositoryPattern(s), nil
}

func parseAccept(s string) (bool, error) {
	if s != "true" {
		return false, configfile.Problemf("accept: true takes images as they are; leave it out to have them signed", "accept: %s", cmp.Or(s, "(nothing)"))
	}
	return true, nil
}

func parseIssuer(s string) (string, error) {
	if u, err := url.Parse(s); err != nil || u.Scheme != "https" || u.Host == "" {
		return "", configfile.Problemf("GitHub's is "+GitHubActions, "issuer %q is not an https URL", s)
	}
	return s, nil
}

func parseIdentity(s string) (string, error) {
	// What is left must tell a signer from all others of the issuer.
	if len(strings.Trim(s, "*")) < len("a@b.c") {
		return "", configfile.Problemf("name the workflow or the address that signs; * stands for any characters, such as a tag's name", "identity %q would be anyone", s)
	}
	return s, nil
}
