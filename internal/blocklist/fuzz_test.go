package blocklist

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/bpf-vmtest/bpf-vmtest/internal/kver"
)

func checkEntries(t *testing.T, entries []Entry, errs Errors) {
	if (entries != nil) && (errs != nil) {
		t.Fatal("both entries and errors")
	}
	for _, err := range errs {
		if err.Line < 1 || err.Column < 1 || err.Msg == "" || strings.Contains(err.Error(), "%!") {
			t.Fatalf("error %+v", err)
		}
	}
	for _, e := range entries {
		if strings.TrimSpace(e.Reason) == "" || e.Line < 1 || e.Column < 1 {
			t.Fatalf("entry %+v", e)
		}
		if e.splat.text != "" {
			continue
		}
		set := (&List{Entries: []Entry{e}}).For(Kernel{Name: "x", Version: kver.Version{Major: 6}, Arch: "amd64"})
		for _, alt := range splitGoPattern(set.Skip("p", "")) {
			if len(alt) != e.test.depth() {
				t.Fatalf("pattern %q has %d elements, want %d", alt, len(alt), e.test.depth())
			}
			for _, elem := range alt {
				if _, err := regexp.Compile(elem); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

func FuzzYAML(f *testing.F) {
	for _, s := range []string{
		"- test: TestA\n  reason: x\n", "- {test: [TestA, T*/[a-c\\]]?], kernel: [5.10, 'debian:*'], arch: x86_64, expires: 2027-01-01, reason: x}",
		"\ufeff- package: .../x\r\n  reason: |\r\n   a\r\n", "- a\n---\n- b", "\t- x", "- !!binary x", "- test: &a b\n  reason: *a", "- ? [a]\n  : b",
		"- {splat: 'WARNING: at a.c f; *', package: p, reason: x}",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		start := time.Now()
		entries, errs := parseYAML("f", data)
		if d := time.Since(start); d > time.Second {
			t.Fatalf("%d bytes took %v", len(data), d)
		}
		checkEntries(t, entries, errs)
	})
}

func FuzzDenylist(f *testing.F) {
	f.Add([]byte("TestA # why\n\nTestB/[a-z]*/x#01\t# x\r\n"), "")
	f.Add([]byte("\ufeff# only\n \\\n"), ".arm64")
	f.Add([]byte("Test[\xff"), "-5.10")
	f.Fuzz(func(t *testing.T, data []byte, suffix string) {
		var on condition
		if kind, suffix := listKind("DENYLIST" + suffix); kind != "" {
			on, _ = parseSuffix(suffix)
		}
		entries, errs := parseLines("f", data, on)
		if len(errs) == 0 {
			checkEntries(t, entries, nil)
		} else {
			checkEntries(t, nil, errs)
		}
	})
}

// What is suggested has to load and to block what failed.
func FuzzSuggest(f *testing.F) {
	f.Add("example.org/m", "TestX", "a b", "debian:5.10", "    x_test.go:1: bad: [")
	f.Add("./x y", "Test*", "/sys\x00", "*?", "\t#\u2028\x1b[1m- 5.10")
	f.Fuzz(func(t *testing.T, pkg, test, sub, name, line string) {
		if test == "" || strings.HasPrefix(test, "/") || strings.Contains(name, "\x00") { // no argument has that
			return
		}
		full := testName(test + "/" + sub)
		k := Kernel{Name: name, Version: kver.Version{Major: 5, Minor: 10}, Arch: "amd64"}
		out, err := Suggest([]Result{
			{Kernel: k, Package: pkg, Test: full, Outcome: Failed, Output: []string{line}},
			{Kernel: Kernel{Name: name, Arch: "arm64"}, Package: pkg, Test: full, Outcome: Failed},
		})
		if err != nil {
			t.Fatal(err)
		}
		entries, errs := parseYAML("f", out)
		if errs != nil {
			t.Fatalf("%v\n%s", errs, out)
		}
		if _, ok := (&List{Entries: entries}).For(k).Match(pkg, full); !ok {
			t.Fatalf("%q of %q is not blocked by\n%s", full, pkg, out)
		}
	})
}
