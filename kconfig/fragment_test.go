package kconfig

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	f, err := Parse("my.config", []byte("# a comment about CONFIG_NET\n\n"+
		"CONFIG_NET=y\nCONFIG_FPROBE=y  # 5.18..\nCONFIG_NR_CPUS=64 #\t<7.0\r\nCONFIG_BASE=0x10\n"+
		"CONFIG_LSM=\"landlock,bpf # no\"\n# CONFIG_JIT is not set\n# CONFIG_KEYS is not set  # 6.1\nCONFIG_TEST=m"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range f.Requests {
		got = append(got, r.Pos.String()+" "+r.String()+" "+r.Range.String())
	}
	want := []string{
		"my.config:3 CONFIG_NET=y any",
		"my.config:4 CONFIG_FPROBE=y 5.18..",
		"my.config:5 CONFIG_NR_CPUS=64 <7.0",
		"my.config:6 CONFIG_BASE=0x10 any",
		`my.config:7 CONFIG_LSM="landlock,bpf # no" any`,
		"my.config:8 # CONFIG_JIT is not set any",
		"my.config:9 # CONFIG_KEYS is not set 6.1",
		"my.config:10 CONFIG_TEST=m any",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestParseErrors(t *testing.T) {
	for line, want := range map[string]string{
		"NET=y":                              `cannot read "NET=y"`,
		"CONFIG_NET":                         "cannot read",
		" CONFIG_NET=y":                      "cannot read",
		"CONFIG_NET = y":                     "cannot read",
		"CONFIG_NET=yes":                     `value "yes"`,
		"CONFIG_NET=":                        "cannot read",
		"CONFIG_LSM=\"landlock":              "cannot read",
		"CONFIG_NET=y z":                     `unexpected " z"`,
		"CONFIG_NET=y# 6.1":                  `unexpected "# 6.1"`,
		"CONFIG_NET=y # since 6.1":           "comment after CONFIG_NET",
		"CONFIG_NET=y #":                     "comment after CONFIG_NET",
		"CONFIG_NET=y # 6.1 # 6.2":           "comment after CONFIG_NET",
		"CONFIG_NET-A=y":                     "cannot read",
		"# CONFIG_NET is not sett":           `unexpected "t"`,
		"# CONFIG_NET is unset":              "cannot read",
		"#CONFIG_NET is not set":             "cannot read",
		"# CONFIG_NET is not set # 7.0..6.1": "comment after CONFIG_NET",
	} {
		_, err := Parse("f.config", []byte("\n"+line+"\n"))
		var syntax *SyntaxError
		if !errors.As(err, &syntax) || !strings.Contains(err.Error(), want) {
			t.Errorf("Parse(%q) = %v, want a SyntaxError with %q", line, err, want)
		} else if !strings.HasPrefix(err.Error(), "parse fragment f.config:2: ") {
			t.Errorf("Parse(%q) = %v, want it to name the line", line, err)
		}
	}
}

func parse(t *testing.T, name, text string) *Fragment {
	t.Helper()
	f, err := Parse(name, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestSelect(t *testing.T) {
	a := parse(t, "a.config", "CONFIG_NET=y\nCONFIG_BPF=y  # 6.1..\nCONFIG_HZ=100  # <6.12\n")
	b := parse(t, "b.config", "CONFIG_NET=y\nCONFIG_HZ=250  # 6.12..\n# CONFIG_JIT is not set\n")
	for v, want := range map[string]string{
		"5.10.3": "# CONFIG_JIT is not set\nCONFIG_HZ=100\nCONFIG_NET=y\n",
		"6.12":   "# CONFIG_JIT is not set\nCONFIG_BPF=y\nCONFIG_HZ=250\nCONFIG_NET=y\n",
	} {
		s, err := Select(version(t, v), "amd64", a, b)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, string(s.AllConfig())); diff != "" {
			t.Errorf("%s: %s", v, diff)
		}
	}
	_, err := Select(version(t, "6.12"), "amd64", a, b, parse(t, "c.config", "\nCONFIG_NET=m\n"))
	var conflict *ConflictError
	if !errors.As(err, &conflict) || err.Error() != "merge fragments: CONFIG_NET=m at c.config:2, but =y at a.config:1" {
		t.Errorf("Select with a redefinition = %v", err)
	}
	if _, err := Select(version(t, "6.12"), "s390x"); err == nil {
		t.Error("Select for s390x: no error")
	}
}

func TestVet(t *testing.T) {
	tree, err := LoadTree(writeTree(t, treeFiles), "amd64")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ text, err, hint string }{
		{text: "CONFIG_NET=y\nCONFIG_NETKIT=y\n"},
		{text: "CONFIG_NF_TABLES=y  # <6.1\n"},
		{"CONFIG_NF_TABLES=y\n", "check fragments: CONFIG_NF_TABLES at f.config:1: 6.12.95 does not have this symbol",
			"known in 5.10, 6.1, 6.12, 7.2, 7.3: say for which versions"},
		{"CONFIG_NF_TABLES=y  # 5.10..\n", `its range "5.10.." holds 6.12.95`, "known in"},
		{"# CONFIG_NF_TABLES is not set\n", "does not have this symbol", "known in"},
		{"CONFIG_NETKTI=y\n", "no supported kernel has this symbol", "did you mean CONFIG_NETKIT?"},
		{"CONFIG_BPF_SYSCAL=y  # <5.4\n", "no supported kernel has this symbol", "did you mean CONFIG_BPF_SYSCALL?"},
		{"CONFIG_XQZJWVKYPQZJ=y\n", "no supported kernel has this symbol", "look the name up"},
	} {
		s, err := Select(version(t, "6.12.95"), "amd64", parse(t, "f.config", c.text))
		if err != nil {
			t.Fatal(err)
		}
		err = s.Vet(tree)
		var unknown *UnknownSymbolsError
		if c.err == "" && err == nil {
			continue
		}
		if !errors.As(err, &unknown) || !strings.Contains(err.Error(), c.err) || c.err == "" {
			t.Errorf("Vet(%q) = %v, want %q", c.text, err, c.err)
		} else if !strings.Contains(unknown.Hint(), c.hint) {
			t.Errorf("Vet(%q): hint %q, want %q", c.text, unknown.Hint(), c.hint)
		}
	}
}

func TestCheck(t *testing.T) {
	tree, err := LoadTree(writeTree(t, treeFiles), "amd64")
	if err != nil {
		t.Fatal(err)
	}
	s, err := Select(version(t, "6.12"), "amd64", parse(t, "f.config",
		"CONFIG_NET=y\nCONFIG_NETKIT=y\n# CONFIG_NET_EGRESS is not set\nCONFIG_LSM=\"a,b\"\nCONFIG_FPROBE=y\n"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseConfig([]byte("#\n# Automatically generated\n#\nCONFIG_NET=y\nCONFIG_LSM=\"a,b\"\n# CONFIG_NETKIT is not set\nCONFIG_NET_EGRESS=y\nCONFIG_NET_CLS=y\n# end of Net\n"))
	if err != nil {
		t.Fatal(err)
	}
	err = s.Check(got, tree)
	want := "configure linux 6.12: requested symbols are missing from the .config:\n" +
		"\tCONFIG_NETKIT=y at f.config:2 became n: can only be changed with EXPERT=n\n" +
		"\tCONFIG_NET_EGRESS=n at f.config:3 became y: selected by NET_CLS\n" +
		"\tCONFIG_FPROBE=y at f.config:5 became n: needs FTRACE=n; needs FUNCTION_TRACER=n (needs FTRACE=n, needs BTF_VERSION >= 122, but BTF_VERSION is unset); needs one of !X86_64 || RETHOOK"
	got["X86_64"] = "y"
	err = s.Check(got, tree)
	if err == nil || err.Error() != want {
		t.Errorf("Check =\n%v\nwant\n%s", err, want)
	}
}

// The embedded fragments must be readable, free of conflicts and of typos for
// every series we know, on every architecture.
func TestEmbedded(t *testing.T) {
	for arch := range architectures {
		frags, err := Embedded(arch)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range knownSymbols().series {
			s, err := Select(v, arch, frags...)
			if err != nil {
				t.Error(err)
				continue
			}
			// A tree that has exactly what the table says of the series.
			tree := &Tree{symbols: map[string]*symbol{}}
			for name := range knownSymbols().masks {
				if series := knownSymbols().Series(name); len(series) > 0 && contains(series, v.String()) {
					tree.symbols[name] = &symbol{defs: []*definition{{name: name}}}
				}
			}
			if err := s.Vet(tree); err != nil {
				t.Errorf("%s %s: %v", v, arch, err)
			}
		}
	}
}

func contains[T interface{ String() string }](list []T, s string) bool {
	for _, v := range list {
		if v.String() == s {
			return true
		}
	}
	return false
}
