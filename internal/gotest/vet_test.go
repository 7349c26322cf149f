package gotest

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFindings(t *testing.T) {
	// What Go 1.26 prints to standard output and, for what does not build,
	// to standard error; older versions mix both in one.
	const out = `# m/a
{
	"m/a [m/a.test]": {
		"printf": [
			{
				"posn": "/src/a/a_test.go:5:38",
				"message": "second"
			},
			{
				"posn": "/src/a/a_test.go:4:1",
				"message": "first"
			}
		],
		"buildtag": {
			"error": "could not be run"
		}
	}
}
# m/b_test
{
	"m/b_test": {
		"printf": [
			{
				"posn": "/other/b_test.go:1:1",
				"message": "elsewhere"
			}
		]
	}
}
# m/c
# [m/c]
vet: c/c_test.go:5:28: undefined: nope
c/c_test.go:6:2: no required module provides package example.com/x; to add it:
	go get example.com/x
`
	g := Go{Dir: "/src"}
	got, err := g.findings(out, []*Package{{ImportPath: "m/a"}, {ImportPath: "m/b"}, {ImportPath: "m/c"}})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"m/a": "a/a_test.go:4:1: first\na/a_test.go:5:38: second\n",
		"m/b": "/other/b_test.go:1:1: elsewhere\n",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
}

func TestVet(t *testing.T) {
	dir := writeModule(t, map[string]string{
		"a/a_test.go": "package a\n\nimport \"testing\"\n\nfunc TestA(t *testing.T) { t.Logf(\"%d\", \"a\") }\n",
		"b/b_test.go": "package b\n\nimport \"testing\"\n\nfunc TestB(t *testing.T) {}\n",
		"c/c_test.go": "package c_test\n\nimport \"testing\"\n\nfunc TestC(t *testing.T) { t.Logf(\"%d\", \"c\") }\n",
		"d/d_test.go": "package d\n\nimport \"testing\"\n\nfunc TestD(t *testing.T) { nothing() }\n",
	})
	g := Go{Dir: dir, Env: os.Environ()}
	packages := []*Package{{ImportPath: "m/a"}, {ImportPath: "m/b"}, {ImportPath: "m/c"}, {ImportPath: "m/d"}}
	got, err := g.Vet(t.Context(), "", packages)
	if err != nil {
		t.Fatal(err)
	}
	const message = `:5:36: (*testing.common).Logf format %d has arg `
	want := map[string]string{
		"m/a": filepath.FromSlash("a/a_test.go") + message + "\"a\" of wrong type string\n",
		"m/c": filepath.FromSlash("c/c_test.go") + message + "\"c\" of wrong type string\n",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Vet (-want +got):\n%s", diff)
	}
	if got, err := g.Vet(t.Context(), "off", packages); err != nil || len(got) > 0 {
		t.Errorf("Vet off = %v, %v", got, err)
	}
	if got, err := g.Vet(t.Context(), "atomic", packages[:1]); err != nil || len(got) > 0 {
		t.Errorf("Vet atomic = %v, %v", got, err)
	}
	var unknown *VetError
	if _, err := g.Vet(t.Context(), "nosuch", packages[:1]); !errors.As(err, &unknown) {
		t.Errorf("Vet nosuch = %v, want a VetError", err)
	}
}

// writeModule writes a module m and returns its directory.
func writeModule(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	files["go.mod"] = "module m\n\ngo 1.24\n"
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
