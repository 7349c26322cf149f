package kconfig

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/bpf-vmtest/bpf-vmtest/internal/kver"
	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	f, err := Parse("my.config", []byte("# a comment about CONFIG_NET\n\n"+
		"CONFIG_NET=y\nCONFIG_FPROBE=y  # 5.18..\nCONFIG_NR_CPUS=64 #\t<7.0\r\nCONFIG_BASE=0x10\n"+
		"CONFIG_LSM=\"landlock,bpf # no\"\n# CONFIG_JIT is not set\n# CONFIG_KEYS is not set  # 6.1\nCONFIG_TEST=m\n"+
		"CONFIG_TEST=y  # override\n# CONFIG_TEST is not set  #  >= 6.1  override"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range f.Requests {
		got = append(got, strings.TrimSuffix(fmt.Sprint(r.Pos, " ", r, " ", r.Range, " override=", r.Override), " override=false"))
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
		"my.config:11 CONFIG_TEST=y any override=true",
		"my.config:12 # CONFIG_TEST is not set >= 6.1 override=true",
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
		"CONFIG_NET=y # override 6.1":        "comment after CONFIG_NET",
		"CONFIG_NET=y # overrides":           "comment after CONFIG_NET",
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

// A line that says so takes the place of another; one that has nothing to
// override is an error, and so is the next that contradicts without a word.
func TestOverride(t *testing.T) {
	base := parse(t, "base.config", "CONFIG_NET=y\nCONFIG_BPF=y\nCONFIG_JIT=y  # 6.1..\n")
	mine := parse(t, "my.config", "\n# CONFIG_BPF is not set  # override\n# CONFIG_JIT is not set  # 6.1.. override\n")
	for v, want := range map[string]string{
		"5.10": "# CONFIG_BPF is not set\nCONFIG_NET=y\n",
		"6.12": "# CONFIG_BPF is not set\n# CONFIG_JIT is not set\nCONFIG_NET=y\n",
	} {
		s, err := Select(version(t, v), "amd64", base, mine)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, string(s.AllConfig())); diff != "" {
			t.Errorf("%s: %s", v, diff)
		}
	}
	for _, c := range []struct{ version, text, err, hint string }{
		{"6.12", "CONFIG_BPF=m\n", "merge fragments: CONFIG_BPF=m at last.config:1, but =n at my.config:2", "to win, it has to say so: CONFIG_BPF=m  # override;"},
		{"6.12", "CONFIG_JIT=m  # 6.6..\n", "CONFIG_JIT=m at last.config:1, but =n at my.config:3", "say so: CONFIG_JIT=m  # 6.6.. override;"},
		{"6.12", "\nCONFIG_HZ=100  # override\n", "CONFIG_HZ=100 at last.config:2 overrides nothing: no fragment before it asks for this symbol in 6.12", "leave out the word override"},
		{"5.10", "# CONFIG_JIT is not set  # override\n", "overrides nothing", "range of versions"},
	} {
		_, err := Select(version(t, c.version), "amd64", base, mine, parse(t, "last.config", c.text))
		var user interface {
			error
			Hint() string
			ExitCode() int
		}
		if !errors.As(err, &user) || !strings.Contains(err.Error(), c.err) || !strings.Contains(user.Hint(), c.hint) || user.ExitCode() != 2 {
			t.Errorf("Select with %q = %v, hint %q; want %q, hint %q", c.text, err, user.Hint(), c.err, c.hint)
		}
	}
	// What was overridden must still exist.
	s, err := Select(version(t, "6.12"), "amd64", parse(t, "a.config", "CONFIG_NETKTI=y\n"), parse(t, "b.config", "# CONFIG_NETKTI is not set  # override\n"))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Vet(&Tree{}); err == nil || !strings.Contains(err.Error(), "a.config:1") {
		t.Errorf("Vet = %v, want it to name the line that is overridden", err)
	}
}

func TestVet(t *testing.T) {
	tree, err := LoadTree(writeTree(t, treeFiles), "amd64")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ text, err, hint string }{
		{text: "CONFIG_NET=y\nCONFIG_NETKIT=y\n"},
		{text: "CONFIG_BASE_FULL=y  # <6.1\n"},
		{"CONFIG_BASE_FULL=y\n", "check fragments: CONFIG_BASE_FULL at f.config:1: this symbol has left the kernel: 6.1 had it, 6.12.95 does not",
			"CONFIG_BASE_FULL is known in 5.10, 6.1: say for which versions it is meant, like CONFIG_BASE_FULL=y  # ..6.1"},
		{"CONFIG_BASE_FULL=y  # 5.10..\n", `6.12.95 does not, and its range "5.10.." holds 6.12.95`, "# ..6.1"},
		{"# CONFIG_NETFILTER_XTABLES_LEGACY is not set\n",
			"CONFIG_NETFILTER_XTABLES_LEGACY at f.config:1: this symbol has not come yet: 7.2 has it, 6.12.95 does not",
			"like # CONFIG_NETFILTER_XTABLES_LEGACY is not set  # 7.2.."},
		{"CONFIG_ARM64_4K_PAGES=y\n", "6.12 has this symbol, but not on amd64", "leave it out"},
		{"CONFIG_NETKTI=y\n", "no supported kernel has this symbol", "did you mean CONFIG_NETKIT?"},
		{"CONFIG_NET_SCH_FQQ=y\n", "no supported kernel has this symbol", "did you mean CONFIG_NET_SCH_FQ or CONFIG_NET_SCH_"},
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

// Of a series that is not in the table it can only be said what its neighbours
// have.
func TestVetUnlistedSeries(t *testing.T) {
	for text, want := range map[string]string{
		"CONFIG_ARM64_4K_PAGES=y":  "6.1 and 6.12 have this symbol, 6.6 has not, or not on amd64",
		"CONFIG_BASE_FULL=y":       "6.1 had it, 6.6 does not",
		"CONFIG_SCHED_CLASS_EXT=y": "6.12 has it, 6.6 does not",
	} {
		s, err := Select(version(t, "6.6"), "amd64", parse(t, "f.config", text))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Vet(&Tree{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Vet(%q) = %v, want %q", text, err, want)
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
	want := "configure linux 6.12: requested symbols are missing from the .config:\n" +
		"\tCONFIG_NETKIT=y at f.config:2 became n: can only be changed with EXPERT, which is n\n" +
		"\tCONFIG_NET_EGRESS=n at f.config:3 became y: selected by NET_CLS\n" +
		"\tCONFIG_FPROBE=y at f.config:5 became n: needs FTRACE, which is n; needs FUNCTION_TRACER, which is n (needs FTRACE, which is n; needs BTF_VERSION >= 122, but BTF_VERSION is unset); needs one of !X86_64 || RETHOOK, but RETHOOK is n, X86_64 is y"
	got["X86_64"] = "y"
	err = s.Check(got, tree)
	if err == nil || err.Error() != want {
		t.Errorf("Check =\n%v\nwant\n%s", err, want)
	}
}

// The embedded fragments and every flavour must be readable, free of conflicts
// and of typos for every series we know, on every architecture.
func TestEmbedded(t *testing.T) {
	trees := map[kver.Version]*Tree{}
	for _, v := range knownSymbols().series {
		trees[v] = treeOf(v)
	}
	for arch := range architectures {
		for _, flavour := range append(Flavours(), "") {
			frags, err := Embedded(arch)
			if err != nil {
				t.Fatal(err)
			}
			own, err := Flavour(flavour, arch)
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range knownSymbols().series {
				s, err := Select(v, arch, append(frags, own...)...)
				if err == nil {
					err = s.Vet(trees[v])
				}
				if err != nil {
					t.Errorf("%s %s %q: %v", v, arch, flavour, err)
				}
			}
		}
	}
}

// treeOf is a tree that has exactly what the table says of the series.
func treeOf(series kver.Version) *Tree {
	tree := &Tree{symbols: map[string]*symbol{}}
	for name := range knownSymbols().masks {
		if slices.Contains(knownSymbols().Series(name), series) {
			tree.symbols[name] = &symbol{defs: []*definition{{name: name}}}
		}
	}
	return tree
}

func TestFlavour(t *testing.T) {
	if got := strings.Join(Flavours(), " "); got != "debug kasan nobtf" {
		t.Errorf("Flavours = %s", got)
	}
	var names []string
	for _, f := range []string{"", "debug", "kasan"} {
		frags, err := Flavour(f, "arm64")
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range frags {
			names = append(names, f.Name)
		}
	}
	if diff := cmp.Diff([]string{"flavours/debug.config", "flavours/kasan.config", "flavours/kasan.arm64.config"}, names); diff != "" {
		t.Error(diff)
	}
	for _, name := range []string{"debgu", "kasan.arm64", "../base", "flavours/debug"} {
		_, err := Flavour(name, "amd64")
		var unknown *FlavourError
		if !errors.As(err, &unknown) || !strings.Contains(err.Error(), "want one of debug, kasan, nobtf") {
			t.Errorf("Flavour(%q) = %v", name, err)
		}
	}
}
