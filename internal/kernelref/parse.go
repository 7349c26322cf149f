package kernelref

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/bpf-vmtest/bpf-vmtest/internal/kver"
)

// Tags that are moved from kernel to kernel, as kernel.org names its trees.
var monikers = []string{"stable", "mainline", "longterm", "next"}

var distributions = []string{"debian", "ubuntu"}

var (
	// As in the OCI distribution specification.
	tagPattern = regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$`)
	// The only algorithm in use, and the only one this program checks.
	digestPattern = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)
	suitePattern  = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`)
	// A tag's end, as package artifact writes it: the date of one build, and a
	// flavour, which must not look like a release candidate.
	endPattern       = regexp.MustCompile(`^(.+?)(?:-\d{8}(?:\.\d+)?)?(-[a-z][a-z0-9]*)?$`)
	candidatePattern = regexp.MustCompile(`^-rc\d*$`)
)

// Parse reads one reference. A bare version or moniker, also with a date and a
// flavour behind it, is a tag in the default
// repository, which is HOST/REPOSITORY, oci:DIR, debian or ubuntu, and may be
// empty when there is none. The error is an *Error.
func Parse(s, defaultRepository string) (Ref, error) {
	source, err := parseSource(s, defaultRepository)
	if err != nil {
		return Ref{}, &Error{Input: s, Cause: err}
	}
	return Ref{text: s, source: source}, nil
}

// ParseList reads references separated by commas. A comma within a path is
// written \, and spaces around a reference are dropped. A kernel may be named
// only once.
func ParseList(s, defaultRepository string) ([]Ref, error) {
	var refs []Ref
	for _, item := range splitList(s) {
		ref, err := Parse(strings.TrimSpace(item), defaultRepository)
		if err != nil {
			return nil, err
		}
		if slices.Contains(refs, ref) {
			return nil, &Error{Input: s, Cause: fmt.Errorf("%s is named twice", quote(ref.text))}
		}
		refs = append(refs, ref)
	}
	return refs, nil
}

// splitList splits at commas that have no backslash before them.
func splitList(s string) []string {
	const comma = "\x00" // in no path
	items := strings.Split(strings.ReplaceAll(s, `\,`, comma), ",")
	for i := range items {
		items[i] = strings.ReplaceAll(items[i], comma, ",")
	}
	return items
}

func parseSource(s, defaultRepository string) (Source, error) {
	scheme, rest, hasScheme := strings.Cut(s, ":")
	switch {
	case s == "":
		return nil, errors.New("it is empty")
	case strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\uFFFD' }):
		return nil, errors.New("it holds a control character or is not UTF-8")
	case isPath(s):
		return Path{s}, nil
	case hasScheme && scheme == "oci":
		return parseLayout(rest)
	case hasScheme && slices.Contains(distributions, scheme):
		return parseDistribution(scheme, rest)
	case isTag(s):
		return inDefault(s, defaultRepository)
	case strings.Contains(s, "/"):
		return parseRegistry(s)
	}
	return nil, errors.New("not a version, a known name, an image or a path")
}

func isPath(s string) bool {
	return strings.HasPrefix(s, "/") || strings.HasPrefix(s, "./") || strings.HasPrefix(s, "../") || s == "." || s == ".."
}

// isTag reports whether s alone names a kernel in the default repository.
func isTag(s string) bool {
	if isKernel(s) {
		return true
	}
	m := endPattern.FindStringSubmatch(s)
	return m != nil && isKernel(m[1]) && !candidatePattern.MatchString(m[2])
}

// isKernel reports whether s is a version, the candidates of a series (7.3-rc), or
// a moniker.
func isKernel(s string) bool {
	series, candidates := strings.CutSuffix(s, "-rc")
	v, err := kver.Parse(series)
	if err != nil || strings.Contains(s, "~") {
		return slices.Contains(monikers, s)
	}
	return !candidates || v == v.Series()
}

func inDefault(tag, repository string) (Source, error) {
	if repository == "" {
		return nil, errors.New("there is no default repository to look it up in")
	}
	if isPath(repository) {
		return nil, fmt.Errorf("the default repository %s is a path: want HOST/REPOSITORY, oci:DIR, debian or ubuntu", quote(repository))
	}
	source, err := parseSource(repository+":"+tag, "")
	if err != nil {
		return nil, fmt.Errorf("default repository %s: %w", quote(repository), err)
	}
	return source, nil
}

// parseLayout reads what follows oci:.
func parseLayout(s string) (Source, error) {
	dir, digest, err := cutDigest(s)
	if err != nil {
		return nil, err
	}
	tag := ""
	if i := strings.LastIndexByte(dir, ':'); i >= 0 && !strings.Contains(dir[i:], "/") {
		dir, tag = dir[:i], dir[i+1:]
		if !tagPattern.MatchString(tag) {
			return nil, fmt.Errorf("tag %s: want letters, digits, dot, dash and underscore", quote(tag))
		}
	}
	if dir == "" {
		return nil, errors.New("want a directory after oci:")
	}
	return Layout{Dir: dir, Tag: tag, Digest: digest}, nil
}

// cutDigest splits a digest off the end, if there is one.
func cutDigest(s string) (rest, digest string, err error) {
	i := strings.LastIndex(s, "@")
	if i < 0 || strings.Contains(s[i:], "/") { // an @ in a directory's name
		return s, "", nil
	}
	if digest = s[i+1:]; !digestPattern.MatchString(digest) {
		return "", "", fmt.Errorf("digest %s: want sha256: and 64 hexadecimal digits", quote(digest))
	}
	return s[:i], digest, nil
}

// parseDistribution reads what follows debian: or ubuntu:.
func parseDistribution(distribution, s string) (Source, error) {
	d := Distribution{Name: distribution}
	version, suite, hasSuite := strings.Cut(s, "@")
	if !hasSuite && !startsWithDigit(version) {
		version, suite, hasSuite = "", version, true
	} else {
		v, err := kver.Parse(version)
		if err != nil {
			return nil, err
		}
		if v == (kver.Version{}) { // would mean any version
			return nil, fmt.Errorf("there is no kernel %s", version)
		}
		d.Version = v
	}
	if hasSuite {
		if !suitePattern.MatchString(suite) {
			return nil, fmt.Errorf("suite %s: want the name of a suite, like trixie-backports", quote(suite))
		}
		d.Suite = suite
	}
	return d, nil
}

func startsWithDigit(s string) bool { return s != "" && '0' <= s[0] && s[0] <= '9' }

// parseRegistry reads HOST/REPOSITORY[:TAG][@DIGEST].
func parseRegistry(s string) (Source, error) {
	image, digest, err := cutDigest(s)
	if err != nil {
		return nil, err
	}
	tag := ""
	if i := strings.LastIndexByte(image, ':'); i > strings.LastIndexByte(image, '/') {
		image, tag = image[:i], image[i+1:]
		if !tagPattern.MatchString(tag) {
			return nil, fmt.Errorf("tag %s: want letters, digits, dot, dash and underscore", quote(tag))
		}
	}
	if tag == "" && digest == "" {
		return nil, errors.New("want a :TAG or @DIGEST after the image's name")
	}
	// A short name would mean Docker's registry, where no kernels are; most
	// likely it is a path without ./ before it.
	host, _, _ := strings.Cut(image, "/")
	if host != "localhost" && !strings.ContainsAny(host, ".:") {
		return nil, fmt.Errorf("%s is not the name of a registry; a path starts with / or ./", quote(host))
	}
	if _, err := name.NewRepository(image, name.StrictValidation); err != nil {
		return nil, err
	}
	if strings.HasPrefix(host, ".") || strings.Contains(host, "..") { // which that takes for a name
		return nil, fmt.Errorf("%s is not the name of a host", quote(host))
	}
	return Registry{Repository: image, Tag: tag, Digest: digest}, nil
}

// quote shows input in an error; what a terminal might act on is escaped.
func quote(s string) string { return strconv.Quote(s) }
