package action

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// TestGet runs get.sh with programs of ours in place of those that need the
// network. Each writes its arguments to the log.
func TestGet(t *testing.T) {
	const (
		tags = "aaaa refs/tags/v1\nbbbb refs/tags/v1.0.0\ncccc refs/tags/v1.1.0\naaaa refs/tags/v1.1.0^{}\naaaa refs/tags/v1.1.0-rc1\n"
		good = "the binary"
	)
	name := "vmtest-linux-" + runtime.GOARCH
	sum := fmt.Sprintf("%x  %s\n", sha256.Sum256([]byte(good)), name)
	other := fmt.Sprintf("%x  %s\n", sha256.Sum256([]byte("another")), name)
	for _, tt := range []struct {
		name                string
		version, repository string
		ref                 string
		tags                string // what git ls-remote prints
		sums                string // SHA256SUMS of the release; empty: there is no release
		attested, noGH      bool
		code                int
		log                 []string // what must have been run, or said
		never               []string
		built               bool
	}{
		{name: "a checkout", built: true, never: []string{"git", "curl", "gh"}},
		{name: "a branch", repository: "o/r", ref: "main", tags: tags, built: true, log: []string{"git ls-remote"}, never: []string{"curl"}},
		{name: "a tag that moves", repository: "o/r", ref: "v1", tags: tags, sums: sum, attested: true,
			log: []string{"https://github.com/o/r/releases/download/v1.1.0/" + name, "gh attestation verify", "--source-ref refs/tags/v1.1.0", "--signer-workflow o/r/.github/workflows/release.yml"}},
		{name: "a release", repository: "o/r", ref: "v1.0.0", tags: tags, sums: sum, attested: true, log: []string{"download/v1.0.0/"}},
		{name: "a commit", repository: "o/r", ref: "bbbb", tags: tags, sums: sum, attested: true, log: []string{"download/v1.0.0/"}},
		{name: "another commit", repository: "o/r", ref: "dddd", tags: tags, sums: sum, built: true, never: []string{"curl"}},
		{name: "a release without files", repository: "o/r", ref: "v1", tags: tags, built: true, log: []string{"curl"}},
		{name: "no network", repository: "o/r", ref: "v1", built: true, never: []string{"curl"}},
		{name: "source", repository: "o/r", ref: "v1", version: "source", tags: tags, sums: sum, built: true, never: []string{"git", "curl"}},
		{name: "a version", repository: "o/r", ref: "main", version: "v1.0.0", sums: sum, attested: true, log: []string{"download/v1.0.0/"}, never: []string{"git"}},
		{name: "a version that is not there", repository: "o/r", ref: "v1", version: "v9.0.0", tags: tags, code: 3, log: []string{"::error::input version"}, never: []string{"go "}},
		{name: "no version", repository: "o/r", ref: "v1", version: "latest; id", tags: tags, code: 2, log: []string{`::error::input version "latest; id"`}, never: []string{"curl", "go "}},
		{name: "another binary", repository: "o/r", ref: "v1", tags: tags, sums: other, attested: true, code: 3, log: []string{"is not what SHA256SUMS says"}, never: []string{"go ", "gh"}},
		{name: "no checksum", repository: "o/r", ref: "v1", tags: tags, sums: "nothing\n", attested: true, code: 3, log: []string{"is not what SHA256SUMS says"}, never: []string{"go ", "gh"}},
		{name: "no attestation", repository: "o/r", ref: "v1", tags: tags, sums: sum, code: 3, log: []string{"has no attestation that holds"}, never: []string{"go "}},
		{name: "no gh", repository: "o/r", ref: "v1", tags: tags, sums: sum, noGH: true, log: []string{"::warning::gh is not installed"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			bin := filepath.Join(dir, "bin")
			fakes := map[string]string{
				"git":  "cat \"$DIR/tags\"",
				"curl": "for a; do case $prev in -o) out=$a ;; esac; prev=$a; done; [[ -e $DIR/sums ]] || exit 22; case $a in *SHA256SUMS) cp \"$DIR/sums\" \"$out\" ;; *) printf '" + good + "' >\"$out\" ;; esac",
				"gh":   "[[ -e $DIR/attested ]]",
				"go":   "for a; do case $prev in -o) out=$a ;; esac; prev=$a; done; printf '#!/bin/sh\\necho built\\n' >\"$out\"; chmod +x \"$out\"",
			}
			if tt.noGH {
				delete(fakes, "gh")
			}
			for program, script := range fakes {
				write(t, filepath.Join(bin, program), "#!/bin/bash\nprev=\necho \""+program+" $*\" >>\"$DIR/log\"\n"+script+"\n")
			}
			for _, program := range []string{"bash", "mkdir", "awk", "uname", "grep", "sha256sum", "mv", "chmod", "cp", "cat"} {
				path, err := exec.LookPath(program)
				if err != nil {
					t.Fatal(err)
				}
				if err := os.Symlink(path, filepath.Join(bin, program)); err != nil {
					t.Fatal(err)
				}
			}
			write(t, filepath.Join(dir, "tags"), tt.tags)
			if tt.sums != "" {
				write(t, filepath.Join(dir, "sums"), tt.sums)
			}
			if tt.attested {
				write(t, filepath.Join(dir, "attested"), "")
			}
			cmd := exec.Command("./get.sh")
			cmd.Env = []string{
				"PATH=" + bin, "DIR=" + dir, "RUNNER_TEMP=" + filepath.Join(dir, "temp dir"), "GITHUB_SERVER_URL=https://github.com",
				"GITHUB_PATH=" + filepath.Join(dir, "path"), "GITHUB_OUTPUT=" + filepath.Join(dir, "output"), "GITHUB_ACTION_PATH=/checkout/",
				"VERSION=" + tt.version, "ACTION_REPOSITORY=" + tt.repository, "ACTION_REF=" + tt.ref,
			}
			said, err := cmd.CombinedOutput()
			if code := cmd.ProcessState.ExitCode(); code != tt.code {
				t.Fatalf("exit code %d (%v), want %d\n%s", code, err, tt.code, said)
			}
			ran, _ := os.ReadFile(filepath.Join(dir, "log"))
			log := string(ran) + string(said)
			for _, want := range tt.log {
				if !strings.Contains(log, want) {
					t.Errorf("no %q in\n%s", want, log)
				}
			}
			for _, never := range tt.never {
				if strings.Contains("\n"+string(ran), "\n"+never) {
					t.Errorf("%q was run:\n%s", never, log)
				}
			}
			vmtest := filepath.Join(dir, "temp dir", "vmtest-bin", "vmtest")
			if tt.code != 0 {
				if _, err := os.Stat(vmtest); err == nil {
					t.Error("a program is there all the same")
				}
				return
			}
			if text, err := os.ReadFile(vmtest); err != nil || (string(text) == good) == tt.built {
				t.Errorf("the program is %q, %v", text, err)
			}
			if out, _ := os.ReadFile(filepath.Join(dir, "output")); string(out) != "vmtest="+vmtest+"\n" {
				t.Errorf("output %q", out)
			}
			if out, _ := os.ReadFile(filepath.Join(dir, "path")); string(out) != filepath.Dir(vmtest)+"\n" {
				t.Errorf("path %q", out)
			}
		})
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
}
