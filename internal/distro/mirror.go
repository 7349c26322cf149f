package distro

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
)

// mirror finds the URL of the archive that serves the suite.
func (a *Apt) mirror(ctx context.Context, distribution, suite string) (string, error) {
	variable := "VMTEST_" + strings.ToUpper(distribution) + "_MIRROR"
	if base := os.Getenv(variable); base != "" {
		return archiveURL(base, distribution, suite), nil
	}
	hosts, err := configured(ctx)
	if err != nil {
		return "", err
	}
	if uri := pick(hosts, distribution, suite); uri != "" {
		return uri, nil
	}
	if base := a.Mirrors[distribution]; base != "" {
		return archiveURL(base, distribution, suite), nil
	}
	return "", &hinted{
		fmt.Errorf("find mirror for %q: apt on this machine is configured with none", distribution),
		fmt.Sprintf("set %s to the URL of a mirror, the part before /dists", variable),
	}
}

// archiveURL is the archive of the suite on the mirror. Debian's mirrors that
// have a security archive have it beside the main one, with -security appended.
func archiveURL(base, distribution, suite string) string {
	base = strings.TrimSuffix(base, "/")
	if security(distribution, suite) {
		base += "-security"
	}
	return base
}

// source is one suite's index in the machine's own apt configuration.
type source struct{ suite, component, uri string }

// configured asks the machine's apt for its sources.
func configured(ctx context.Context) ([]source, error) {
	// Without release information the list does not depend on apt-get
	// update having been run, which it has not been in a fresh container.
	cmd := exec.CommandContext(ctx, "apt-get", "indextargets", "--no-release-info",
		"--format", "$(RELEASE)\t$(COMPONENT)\t$(REPO_URI)", "Created-By: Packages")
	out, err := output(cmd)
	if err != nil {
		return nil, fmt.Errorf("list apt sources: %w", err)
	}
	var sources []source
	for line := range strings.Lines(string(out)) {
		if f := strings.Split(strings.TrimSpace(line), "\t"); len(f) == 3 {
			sources = append(sources, source{f[0], f[1], f[2]})
		}
	}
	return sources, nil
}

// pick chooses, among the machine's sources, the archive to ask for the suite.
// A wrong choice does no harm: its index is not signed with the
// distribution's key.
func pick(sources []source, distribution, suite string) string {
	wantSecurity := security(distribution, suite)
	rank := func(s source) int {
		if s.component != "main" || !known(distribution, s.suite) || security(distribution, s.suite) != wantSecurity {
			return 0
		}
		switch dir := path.Base(strings.TrimSuffix(s.uri, "/")); {
		case strings.HasPrefix(dir, distribution):
			return 3
		case strings.HasPrefix(s.uri, "mirror"): // a list of mirrors, as on GitHub's machines
			return 2
		}
		return 1
	}
	if len(sources) > 0 {
		best := slices.MaxFunc(sources, func(a, b source) int { return cmp.Compare(rank(a), rank(b)) })
		if rank(best) > 0 {
			return strings.TrimSuffix(best.uri, "/")
		}
	}
	if wantSecurity { // a machine without the security archive still has the main one
		if uri := pick(sources, distribution, strings.TrimSuffix(suite, "-security")); strings.HasSuffix(uri, "/debian") {
			return uri + "-security"
		}
	}
	return ""
}

// known reports whether the suite is one of the distribution's.
func known(distribution, suite string) bool {
	names := slices.Clone(moving[distribution])
	if distribution == "debian" {
		names = append(names, "stable", "oldstable", "oldoldstable", "testing", "unstable", "forky")
	}
	for _, r := range releases[distribution] {
		names = append(names, r.codename)
	}
	return slices.ContainsFunc(names, func(n string) bool { return suite == n || strings.HasPrefix(suite, n+"-") })
}

// Where the distributions' keyring packages put them; newer ones are .pgp.
var keyrings = map[string][]string{
	"debian": {"/usr/share/keyrings/debian-archive-keyring.pgp", "/usr/share/keyrings/debian-archive-keyring.gpg"},
	"ubuntu": {"/usr/share/keyrings/ubuntu-archive-keyring.gpg"},
}

func (a *Apt) keyring(distribution string) (string, error) {
	candidates := keyrings[distribution]
	if k := a.Keyrings[distribution]; k != "" {
		candidates = []string{k}
	}
	for _, k := range candidates {
		if _, err := os.Stat(k); err == nil {
			return k, nil
		}
	}
	name := map[string]string{"debian": "debian-archive-keyring", "ubuntu": "ubuntu-keyring"}[distribution]
	return "", &hinted{
		fmt.Errorf("find keyring of %q: none of %s is there", distribution, strings.Join(candidates, ", ")),
		fmt.Sprintf("apt-get install %s", name),
	}
}
