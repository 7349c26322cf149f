package patch

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func needsGit(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		if os.Getenv("VMTEST_TESTS") == "all" {
			t.Fatal(err)
		}
		t.Skip("needs git")
	}
}

// lines are n lines of text, of which some are replaced.
func lines(n int, changes map[int]string) string {
	var b strings.Builder
	for i := 1; i <= n; i++ {
		if text, ok := changes[i]; ok {
			b.WriteString(text)
		} else {
			fmt.Fprintf(&b, "line %d\n", i)
		}
	}
	return b.String()
}

func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// tree reads all files below dir.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(filepath.Join(dir, path))
		files[path] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// diff makes a patch between two trees.
func diff(t *testing.T, before, after map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	run := func(args ...string) string {
		out, err := git(context.Background(), dir, nil, args...)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	run("init", "-q")
	write(t, dir, before)
	run("add", "-A")
	tree := strings.TrimSpace(run("write-tree"))
	run("rm", "-qrf", ".")
	write(t, dir, after)
	run("add", "-A")
	return run("diff", "--cached", "-M", tree)
}

func parse(t *testing.T, name, text string) []Patch {
	t.Helper()
	p, err := Parse(context.Background(), name, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

var source = map[string]string{
	"Makefile":      "VERSION = 6\n",
	"init/main.c":   lines(60, nil),
	"init/old.c":    lines(30, map[int]string{1: "old\n"}),
	"init/doomed.c": "doomed\n",
}

// Everything a diff can say ends in the copy, and the source stays.
func TestStage(t *testing.T) {
	needsGit(t)
	after := map[string]string{
		"Makefile":       "VERSION = 6\n",
		"init/main.c":    lines(60, map[int]string{10: "ten\n", 50: "", 60: "line 60\nlast\n"}),
		"init/new.c":     lines(30, map[int]string{1: "new\n"}),
		"init/created.c": "created\n",
	}
	patch := diff(t, source, after)
	src, dir, copied := t.TempDir(), t.TempDir(), t.TempDir()
	// The patch was made for a version with fewer lines before these.
	moved := map[string]string{"init/main.c": "inserted\ninserted\n" + source["init/main.c"]}
	write(t, src, source)
	write(t, src, moved)
	write(t, copied, source)
	write(t, copied, moved)
	before := tree(t, src)

	s, err := Stage(context.Background(), src, dir, parse(t, "dir/my,own.patch", patch))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, tree(t, src)); diff != "" {
		t.Errorf("the source was written to: %s", diff)
	}
	if _, err := os.Stat(filepath.Join(dir, "Makefile")); err == nil {
		t.Error("a file that is not in the patch was copied")
	}
	if err := s.Lay(copied); err != nil {
		t.Fatal(err)
	}
	after["init/main.c"] = "inserted\ninserted\n" + after["init/main.c"]
	if diff := cmp.Diff(after, tree(t, copied)); diff != "" {
		t.Errorf("patched: %s", diff)
	}
	want := []string{"my_own.patch@" + digest([]byte(patch))}
	if diff := cmp.Diff(want, s.Names()); diff != "" {
		t.Errorf("names: %s", diff)
	}
}

// Modes and links survive.
func TestStageModes(t *testing.T) {
	needsGit(t)
	src, dir, copied := t.TempDir(), t.TempDir(), t.TempDir()
	for _, d := range []string{src, copied} {
		write(t, d, map[string]string{"scripts/run.sh": "#!/bin/sh\n"})
		if err := os.Chmod(filepath.Join(d, "scripts/run.sh"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	s, err := Stage(context.Background(), src, dir, parse(t, "p", `diff --git a/scripts/run.sh b/scripts/run.sh
--- a/scripts/run.sh
+++ b/scripts/run.sh
@@ -1 +1,2 @@
 #!/bin/sh
+true
diff --git a/scripts/link b/scripts/link
new file mode 120000
--- /dev/null
+++ b/scripts/link
@@ -0,0 +1 @@
+run.sh
\ No newline at end of file
`))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Lay(copied); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(filepath.Join(copied, "scripts/run.sh")); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("the script's mode is %v, %v", info.Mode(), err)
	}
	if target, err := os.Readlink(filepath.Join(copied, "scripts/link")); err != nil || target != "run.sh" {
		t.Errorf("link to %q, %v", target, err)
	}
}

func TestConflict(t *testing.T) {
	needsGit(t)
	patch := diff(t, source, map[string]string{
		"Makefile":      "VERSION = 7\n",
		"init/main.c":   lines(60, map[int]string{10: "ten\n", 30: "thirty\n", 50: "fifty\n"}),
		"init/old.c":    source["init/old.c"],
		"init/doomed.c": source["init/doomed.c"],
	})
	src, dir := t.TempDir(), t.TempDir()
	write(t, src, source)
	// One line of context is another: fuzz would take it.
	write(t, src, map[string]string{"init/main.c": lines(60, map[int]string{28: "twenty-eight\n"})})
	_, err := Stage(context.Background(), src, dir, parse(t, "my.patch", patch))
	var conflict *ConflictError
	if !errors.As(err, &conflict) || err.Error() != `apply patch "my.patch": init/main.c: hunk 2 of 3, at line 27, does not fit` {
		t.Errorf("Stage = %v", err)
	}
	if got := tree(t, dir); got["Makefile"] != "VERSION = 6\n" {
		t.Errorf("half of the patch was applied: %q", got["Makefile"])
	}

	// Half of it is in the source already: that does not make it fit.
	write(t, src, map[string]string{"Makefile": "VERSION = 7\n"})
	_, err = Stage(context.Background(), src, t.TempDir(), parse(t, "my.patch", patch))
	want := `apply patch "my.patch":
	Makefile: hunk 1 of 1, at line 1, does not fit: this file has the change already
	init/main.c: hunk 2 of 3, at line 27, does not fit`
	if !errors.As(err, &conflict) || err.Error() != want {
		t.Errorf("Stage = %v", err)
	}

	for name, c := range map[string]struct {
		spoil map[string]string
		want  string
	}{
		"no file":     {map[string]string{"init/main.c": ""}, "init/main.c: No such file or directory"},
		"white space": {map[string]string{"init/main.c": strings.ReplaceAll(source["init/main.c"], "line 9\n", "line  9\n")}, "init/main.c: hunk 1 of 3, at line 7, does not fit"},
	} {
		t.Run(name, func(t *testing.T) {
			src := t.TempDir()
			write(t, src, source)
			write(t, src, c.spoil)
			if c.spoil["init/main.c"] == "" {
				os.Remove(filepath.Join(src, "init/main.c"))
			}
			// Neither a repository nor settings of the user's make a difference.
			t.Setenv("GIT_DIR", src)
			t.Setenv("GIT_CONFIG_COUNT", "1")
			t.Setenv("GIT_CONFIG_KEY_0", "apply.ignoreWhitespace")
			t.Setenv("GIT_CONFIG_VALUE_0", "change")
			_, err := Stage(context.Background(), src, t.TempDir(), parse(t, "my.patch", patch))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Stage = %v, want %q", err, c.want)
			}
		})
	}
}

// A patch that is in the source is told apart from one that is not, also where
// it stands between others.
func TestUpstream(t *testing.T) {
	needsGit(t)
	change := func(line int) string {
		return diff(t, map[string]string{"init/main.c": source["init/main.c"]},
			map[string]string{"init/main.c": lines(60, map[int]string{line: "changed\n"})})
	}
	src, dir := t.TempDir(), t.TempDir()
	write(t, src, map[string]string{"init/main.c": lines(60, map[int]string{30: "changed\n"})})
	var patches []Patch
	for i, line := range []int{10, 30, 50} {
		patches = append(patches, parse(t, fmt.Sprintf("%d.patch", i), change(line))...)
	}
	s, err := Stage(context.Background(), src, dir, patches)
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Applied) != 2 || len(s.Upstream) != 1 || s.Upstream[0].Name != "1.patch" {
		t.Errorf("applied %v, upstream %v", s.Applied, s.Upstream)
	}
	want := lines(60, map[int]string{10: "changed\n", 30: "changed\n", 50: "changed\n"})
	if got := tree(t, dir)["init/main.c"]; got != want {
		t.Errorf("staged:\n%s", got)
	}

	// The same lines twice, of which one place has the change.
	twice := lines(20, nil) + lines(20, map[int]string{10: "changed\n"})
	src = t.TempDir()
	write(t, src, map[string]string{"init/main.c": twice})
	_, err = Stage(context.Background(), src, t.TempDir(), parse(t, "p", change(10)))
	var ambiguous *AmbiguousError
	if !errors.As(err, &ambiguous) {
		t.Errorf("Stage of a patch that fits both ways = %v", err)
	}
}

const mailHead = "From 0123456789abcdef0123456789abcdef01234567 Mon Sep 17 00:00:00 2001\nFrom: A <a@example.org>\nDate: Mon, 2 Nov 2026 10:00:00 +0000\n"

const smallDiff = "diff --git a/%[1]s b/%[1]s\n--- a/%[1]s\n+++ b/%[1]s\n@@ -1 +1 @@\n-one\n+two\n-- \n2.39.5\n\n"

func TestMailbox(t *testing.T) {
	needsGit(t)
	mail := func(subject, body string) string { return mailHead + "Subject: " + subject + "\n\n" + body }
	first := mail("[PATCH 1/2] a: first", "Why.\n\nFrom here on it is better.\n---\n a | 2 +-\n\n"+fmt.Sprintf(smallDiff, "a"))
	second := mailHead + "Subject: [PATCH 2/2] b: second\nMIME-Version: 1.0\nContent-Type: text/plain; charset=UTF-8\nContent-Transfer-Encoding: quoted-printable\n\n" +
		"---\ndiff --git a/b b/b\n--- a/b\n+++ b/b\n@@ -1 +1 @@\n-one\n+x =3D \"=C3=A9\"\n-- \n2.39.5\n\n"
	series := mail("[PATCH 0/2] both", "A letter.\n\n") + first + second

	patches := parse(t, "dir/series.mbox", series)
	var got []string
	for _, p := range patches {
		got = append(got, fmt.Sprintf("%v %v", p, p.files))
	}
	want := []string{`"series.mbox#2" ([PATCH 1/2] a: first) [a]`, `"series.mbox#3" ([PATCH 2/2] b: second) [b]`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatal(diff)
	}
	src, dir := t.TempDir(), t.TempDir()
	write(t, src, map[string]string{"a": "one\n", "b": "one\n"})
	if _, err := Stage(context.Background(), src, dir, patches); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"a": "two\n", "b": "x = \"é\"\n"}, tree(t, dir)); diff != "" {
		t.Error(diff)
	}
	// A mail alone is a file whose digest anybody can compute.
	if p := parse(t, "0001-a.patch", first); len(p) != 1 || p[0].Name != "0001-a.patch" || p[0].Digest != digest([]byte(first)) {
		t.Errorf("a single mail = %+v", p)
	}

	for text, want := range map[string]string{
		mail("[PATCH 0/2] both", "A letter.\n\n"):                     "no mail in it holds a patch",
		first + mail("Re: [PATCH 1/2] a: first", "> +two\n\nOh.\n\n"): `mail "Re: [PATCH 1/2] a: first": there is no diff in it`,
		"From me\n\n" + fmt.Sprintf(smallDiff, "a"):                   "git: ",
	} {
		var e *FormatError
		if _, err := Parse(context.Background(), "x.mbox", []byte(text)); !errors.As(err, &e) || !strings.Contains(err.Error(), want) {
			t.Errorf("Parse = %v, want %q", err, want)
		}
	}
}

func TestRead(t *testing.T) {
	needsGit(t)
	dir := filepath.Join(t.TempDir(), "pat[c]hes")
	write(t, dir, map[string]string{
		"0002-b.patch": fmt.Sprintf(smallDiff, "b"),
		"0001-a.patch": fmt.Sprintf(smallDiff, "a"),
		"README":       "none\n",
	})
	patches, err := Read(context.Background(), dir)
	if err != nil || len(patches) != 2 || patches[0].Name != "0001-a.patch" || patches[1].Name != "0002-b.patch" {
		t.Errorf("Read = %v, %v", patches, err)
	}
	for text, want := range map[string]string{
		"":                               "there is no diff in it",
		"hello\n":                        "there is no diff in it",
		fmt.Sprintf(smallDiff, "../a"):   "outside of the source",
		fmt.Sprintf(smallDiff, "a")[:50]: "git: ",
		"--- a/x\n+++ b/x\n@@ -1,3 +1,3 @@\n one\n": "corrupt patch",
	} {
		file := filepath.Join(t.TempDir(), "x.patch")
		write(t, filepath.Dir(file), map[string]string{"x.patch": text})
		_, err := Read(context.Background(), file)
		var e *FormatError
		if !errors.As(err, &e) || !strings.Contains(err.Error(), want) || e.ExitCode() != 2 {
			t.Errorf("Read(%q) = %v, want %q", text, err, want)
		}
	}
	for _, path := range []string{t.TempDir(), "nowhere"} {
		var e *FormatError
		if _, err := Read(context.Background(), path); !errors.As(err, &e) {
			t.Errorf("Read(%q) = %v", path, err)
		}
	}
	t.Setenv("PATH", t.TempDir())
	var missing *MissingGitError
	if _, err := Read(context.Background(), dir); !errors.As(err, &missing) {
		t.Errorf("Read without git = %v", err)
	}
}

// A link in the source leads nowhere.
func TestBelowLink(t *testing.T) {
	needsGit(t)
	src, outside := t.TempDir(), t.TempDir()
	write(t, outside, map[string]string{"a": "one\n"})
	if err := os.Symlink(outside, filepath.Join(src, "link")); err != nil {
		t.Fatal(err)
	}
	_, err := Stage(context.Background(), src, t.TempDir(), parse(t, "p", fmt.Sprintf(smallDiff, "link/a")))
	if err == nil || !strings.Contains(err.Error(), "link, which is not a directory") {
		t.Errorf("Stage = %v", err)
	}
}
