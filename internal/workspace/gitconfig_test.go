package workspace

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bpf-vmtest/bpf-vmtest/internal/guest"
)

func TestWithoutCredentials(t *testing.T) {
	const config = `[core]
	repositoryformatversion = 0
	sshCommand = ssh -i /home/me/key
	bare = false
[remote "origin"]
	url = https://me:hunter2@example.org/m.git
	fetch = +refs/heads/*:refs/remotes/origin/*
	proxy = http://me:hunter2@proxy
[http "https://github.com/"]
	extraheader = AUTHORIZATION: basic aHVudGVyMg==
[ http ] extraheader = hunter2
[credential]
	helper = !echo password=hunter2
[branch "main"]
	remote = origin
[lfs "https://example.org"]
	accesstoken = hunter2
[url "https://hunter2@example.org/"]
	insteadOf = https://example.org/
[core]
	gitproxy = a \
	hunter2
[core] sshcommand = hunter2
[user]
	email = me@example.org
`
	const want = `[core]
	repositoryformatversion = 0
	bare = false
[remote "origin"]
	url = https://example.org/m.git
	fetch = +refs/heads/*:refs/remotes/origin/*
[branch "main"]
	remote = origin
[lfs "https://example.org"]
[core]
[user]
	email = me@example.org
`
	if diff := cmp.Diff(want, string(withoutCredentials([]byte(config)))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := string(withoutCredentials([]byte(want))); got != want {
		t.Errorf("what is harmless has changed:\n%s", got)
	}
}

func TestGitConfigs(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{
		".git/config":                      "[core]\n[http]\n\textraheader = x\n",
		".git/modules/a/b/config":          "[credential]\n",
		".git/worktrees/w/config.worktree": "[http]\n",
		".git/objects/config":              "[http]\n",
		".git/hooks/config":                "[http]\n",
		"config":                           "[http]\n",
		"sub/.git/config":                  "[core]\n",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want := []guest.Mask{
		{Path: filepath.Join(dir, ".git/config"), Data: []byte("[core]\n")},
		{Path: filepath.Join(dir, ".git/modules/a/b/config")},
		{Path: filepath.Join(dir, ".git/worktrees/w/config.worktree")},
	}
	if diff := cmp.Diff(want, gitConfigs(dir)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := gitConfigs(filepath.Join(dir, "sub")); got != nil {
		t.Errorf("a harmless configuration is masked: %v", got)
	}
	if got := gitConfigs(t.TempDir()); got != nil {
		t.Errorf("no checkout: %v", got)
	}
}
