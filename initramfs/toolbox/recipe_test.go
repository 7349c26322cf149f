package toolbox

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestPins keeps the constants and this module's requirements the same, so
// that the library that writes archives, the one that generates sources and
// the commands themselves are of one version.
func TestPins(t *testing.T) {
	root := filepath.Join("..", "..")
	for file, lines := range map[string][]string{
		"go.mod": {uRoot + " " + uRootVersion, gobusybox + " " + gobusyboxVersion},
		"go.sum": {uRoot + " " + uRootVersion + " " + uRootSum},
	} {
		data, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range lines {
			if !strings.Contains(string(data), line) {
				t.Errorf("%s does not have %q", file, line)
			}
		}
	}
}

func TestKey(t *testing.T) {
	keys := map[string]string{}
	add := func(what string, change func(*recipe)) {
		r := newRecipe("amd64", "go1.26.8")
		r.Commands, r.Flags = slices.Clone(r.Commands), slices.Clone(r.Flags)
		change(&r)
		if other, ok := keys[r.key()]; ok {
			t.Errorf("%s has the key of %s", what, other)
		}
		keys[r.key()] = what
	}
	add("the recipe", func(*recipe) {})
	add("another arch", func(r *recipe) { r.Arch = "arm64" })
	add("another Go", func(r *recipe) { r.Go = "go1.26.9" })
	add("another u-root", func(r *recipe) { r.URoot = "v0.17.0" })
	add("another generator", func(r *recipe) { r.Gobusybox = "v1.0.0" })
	add("one command less", func(r *recipe) { r.Commands = r.Commands[1:] })
	add("another flag", func(r *recipe) { r.Flags[0] = "-x" })
	if again := newRecipe("amd64", "go1.26.8").key(); keys[again] != "the recipe" {
		t.Errorf("the same recipe has another key: %s", again)
	}
}

// TestCommands: gobusybox refuses two commands of one name only after a long
// time, and the archive relies on these two.
func TestCommands(t *testing.T) {
	list := names()
	if unique := slices.Compact(slices.Clone(list)); len(unique) != len(list) {
		t.Errorf("a command is listed twice in %q", list)
	}
	for _, needed := range []string{inits, shell, "poweroff"} {
		if !slices.Contains(list, needed) {
			t.Errorf("%s is not listed", needed)
		}
	}
}

func TestNeutralize(t *testing.T) {
	t.Setenv("GOFLAGS", "-race")
	t.Setenv("GOWORK", "")
	os.Unsetenv("GOWORK")
	restore := neutralize()
	if got := os.Getenv("GOFLAGS") + os.Getenv("GOWORK"); got != neutral["GOFLAGS"]+"off" {
		t.Errorf("GOFLAGS and GOWORK are %q", got)
	}
	restore()
	if got := os.Getenv("GOFLAGS"); got != "-race" {
		t.Errorf("GOFLAGS is %q afterwards", got)
	}
	if got, ok := os.LookupEnv("GOWORK"); ok {
		t.Errorf("GOWORK is %q afterwards", got)
	}
}
