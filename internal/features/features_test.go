package features

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write golden files")

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

// table is a small one, out of order.
func table() *Table {
	t := &Table{
		Release: "6.12.95", Arch: "amd64",
		Parts: map[string]string{"kernel": "sha256:aa", "config": "sha256:bb"},
		Helpers: map[string][]string{
			"xdp":    {"map_lookup_elem", "xdp_adjust_head"},
			"kprobe": {"map_lookup_elem", "get_func_ip", "get_attach_cookie"},
		},
		HelpersUnclear: []Feature{{Name: "struct_ops", Detail: "there is no probe"}},
	}
	t.Add(Kernel, Feature{"btf", Supported, "74123 types"})
	t.Add(Kernel, Feature{"config", Supported, ""})
	t.Add(Program, Feature{"xdp", Supported, ""})
	t.Add(Program, Feature{"kprobe", Supported, ""})
	t.Add(Program, Feature{"lirc_mode2", Unsupported, "invalid argument"})
	t.Add(Map, Feature{"hash", Supported, ""})
	t.Add(Attach, Feature{"tcx", Supported, ""})
	t.Add(Attach, Feature{"lsm", Inconclusive, "cannot allocate memory"})
	return t
}

func TestJSON(t *testing.T) {
	b, err := table().Encode()
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "table.json", b)
	read, err := Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	want := table()
	want.sort()
	if diff := cmp.Diff(want, read); diff != "" {
		t.Errorf("read back (-want +got):\n%s", diff)
	}
}

func TestParseStrictly(t *testing.T) {
	good, err := table().Encode()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, old, new, want string }{
		{"unknown field", `"release"`, `"extra": 1, "release"`, `unknown field "extra"`},
		{"unknown state", `"supported"`, `"yes"`, `parse state "yes"`},
		{"twice", `"name": "kprobe"`, `"name": "xdp"`, `program "xdp"`},
		{"helper twice", `"get_func_ip"`, `"get_attach_cookie"`, `helper "get_attach_cookie"`},
		{"no release", `"6.12.95"`, `""`, "release and arch"},
		{"later version", `"version": 1`, `"version": 2, "new": []`, "version is 2, want 1"},
		{"rest", "\n}\n", "\n}\n{}", "after top-level value"},
		{"no JSON", "{", "[", "parse features: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bad := strings.Replace(string(good), tt.old, tt.new, 1)
			if bad == string(good) {
				t.Fatalf("%q is not in the table", tt.old)
			}
			if _, err := Parse([]byte(bad)); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestEncodeRefuses(t *testing.T) {
	bad := table()
	bad.Add(Map, Feature{Name: "hash"})
	if _, err := bad.Encode(); err == nil {
		t.Error("a table with hash twice is written")
	}
}

func TestMatch(t *testing.T) {
	tab := table()
	if err := tab.Match(map[string]string{"kernel": "sha256:aa", "config": "sha256:bb"}); err != nil {
		t.Error(err)
	}
	for name, parts := range map[string]map[string]string{
		"kernel": {"kernel": "sha256:a0", "config": "sha256:bb"},
		"config": {"kernel": "sha256:aa"},
		"btf":    {"kernel": "sha256:aa", "config": "sha256:bb", "btf": "sha256:cc"},
	} {
		var mismatch *MismatchError
		if err := tab.Match(parts); !errors.As(err, &mismatch) || mismatch.Part != name {
			t.Errorf("match with %v: %v, want a mismatch of %s", parts, err, name)
		}
	}
	if err := (&Table{}).Match(nil); err != nil {
		t.Error(err)
	}
}

func TestCompare(t *testing.T) {
	to := table()
	to.Features[Program] = []Feature{{"xdp", Unsupported, "invalid argument"}, {"kprobe", Supported, ""}, {"lirc_mode2", Supported, ""}, {"netfilter", Supported, ""}}
	to.Features[Attach] = []Feature{{"tcx", Inconclusive, "no such device"}, {"lsm", Inconclusive, "timeout"}}
	to.Features[Kernel][0].Detail = "74124 types"
	delete(to.Helpers, "xdp")
	to.Helpers["kprobe"] = []string{"map_lookup_elem", "get_func_ip", "get_retval"}
	to.Helpers["lirc_mode2"] = []string{"map_lookup_elem"}

	var b strings.Builder
	changes := Compare(table(), to)
	if err := changes.Write(&b); err != nil {
		t.Fatal(err)
	}
	want := `+ program lirc_mode2: invalid argument
+ helper get_retval: kprobe
- program xdp: invalid argument
- helper get_attach_cookie: kprobe
? program netfilter: it was not probed
? attach tcx: no such device
`
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if changes.Empty() || !Compare(table(), table()).Empty() {
		t.Error("Empty is wrong")
	}
}

func TestWrite(t *testing.T) {
	tab := table()
	var b strings.Builder
	if err := tab.Write(&b); err != nil {
		t.Fatal(err)
	}
	golden(t, "table.txt", []byte(b.String()))
}
