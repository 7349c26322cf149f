package workspace

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/bpf-vmtest/bpf-vmtest/internal/guest"
)

// A checkout's configuration may hold credentials: actions/checkout leaves the
// job's token there, and many a URL has a password in it. Guests see it without.

// gitConfigs are the configurations below a repository that a guest is not to see
// as they are.
func gitConfigs(repository string) []guest.Mask {
	var masks []guest.Mask
	git := filepath.Join(repository, ".git")
	_ = filepath.WalkDir(git, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil // what we cannot read, QEMU cannot either
		}
		rel, _ := filepath.Rel(git, path)
		first, _, _ := strings.Cut(rel, string(filepath.Separator))
		switch {
		case d.IsDir() && rel != "." && first != "modules" && first != "worktrees":
			return filepath.SkipDir // objects, refs, hooks
		case d.Type().IsRegular() && (d.Name() == "config" || d.Name() == "config.worktree"):
			if have, err := os.ReadFile(path); err == nil {
				if shown := withoutCredentials(have); !bytes.Equal(have, shown) {
					masks = append(masks, guest.Mask{Path: path, Data: shown})
				}
			}
		}
		return nil
	})
	return masks
}

var (
	// harmless are the sections that say how a repository works and where it
	// is from. Any other may be about access to something.
	harmless = regexp.MustCompile(`(?i)^\[\s*(core|extensions|remote|branch|submodule|user|init|gc|index|pack|feature|maintenance|` +
		`merge|diff|rebase|pull|push|fetch|color|log|status|advice|lfs|receive|uploadpack)[\s\].]`)
	header   = regexp.MustCompile(`^\s*(\[[^\]]*\])`)
	userinfo = regexp.MustCompile(`://[^/\s"]*@`)
	private  = regexp.MustCompile(`(?i)^\s*(askpass|sshcommand|gitproxy|proxy|proxyauthmethod|.*(token|password|secret|extraheader))\b`)
)

// withoutCredentials is a git configuration less what may be one.
func withoutCredentials(config []byte) []byte {
	var shown bytes.Buffer
	keep, goesOn := true, false
	for line := range strings.Lines(string(config)) {
		text := strings.TrimRight(line, "\r\n")
		if m := header.FindStringSubmatch(text); m != nil && !goesOn {
			keep = harmless.MatchString(m[1])
		}
		dropped := !keep || private.MatchString(header.ReplaceAllString(text, "")) && !goesOn
		if dropped && strings.HasSuffix(text, `\`) {
			keep = false // until the next section: what goes on is not read either
		}
		goesOn = strings.HasSuffix(text, `\`)
		if !dropped {
			shown.WriteString(userinfo.ReplaceAllString(line, "://"))
		}
	}
	return shown.Bytes()
}
