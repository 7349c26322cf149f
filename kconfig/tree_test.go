package kconfig

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bpf-vmtest/bpf-vmtest/internal/kver"
	"github.com/google/go-cmp/cmp"
)

// writeTree writes a kernel source made of nothing but Kconfig files.
func writeTree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const topKconfig = `
mainmenu "Linux"
cc-name := $(shell,echo gcc) # a macro
source "arch/$(SRCARCH)/Kconfig"
osource "$(EXT)/Kconfig"
osource "none/Kconfig"
rsource "kernel/trace/Kconfig"

menu "Networking"
	depends on NET
	visible if EXPERT

config NETFILTER_EGRESS
	bool "Egress hook" # here
	depends on NETFILTER && \
		NET_EGRESS
	help
	  Not a property:
	  config FAKE
	    depends on NOTHING

	  config FAKE2
config NETKIT
	bool "netkit"
	depends on NET_EGRESS || COMPILE_TEST
endmenu

config NET_EGRESS
	bool
	depends on NET
config NET
	bool "Networking"
config NETFILTER
	bool "Netfilter"
config NET_CLS
	bool "cls"
	select NET_EGRESS if NET
`

var treeFiles = map[string]string{
	"Makefile": "# SPDX\nVERSION = 6\nPATCHLEVEL = 12\nSUBLEVEL = 95\nEXTRAVERSION =\nNAME = Baby\n",
	"Kconfig":  topKconfig,
	"arch/x86/Kconfig": `
config X86_64
	def_bool y
config X86_PAT
	def_bool y
	prompt "PAT" if EXPERT
	depends on MTRR
config EXPERT
	bool "Expert"
choice
	prompt "Preemption"
config PREEMPT_NONE
	bool "none"
config PREEMPT
	bool "full"
	depends on !NET
endchoice
`,
	"arch/arm64/Kconfig": "config ARM64\n\tdef_bool y\n",
	"kernel/trace/Kconfig": `
if FTRACE
config FUNCTION_TRACER
	bool "functions"
	depends on $(cc-option,-pg)
	depends on BTF_VERSION >= 122
config FPROBE
	bool "fprobe"
	depends on FUNCTION_TRACER
	depends on RETHOOK if X86_64
config FPROBE_EVENTS
	bool "events"
	depends on FPROBE
endif
config FTRACE
	bool "Tracers"
config RETHOOK
	bool "rethook"
config BTF_VERSION
	int
`,
}

func TestTree(t *testing.T) {
	dir := writeTree(t, treeFiles)
	tree, err := LoadTree(dir, "amd64")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{"FAKE", "FAKE2", "NOTHING", "ARM64"} {
		if tree.Has(s) {
			t.Errorf("the tree has %s", s)
		}
	}
	for _, c := range []struct {
		name           string
		symbol, wanted string
		config         Config
		want           string
	}{
		{"both parts of &&, and the menu's condition", "NETFILTER_EGRESS", "y", Config{},
			"needs NET, which is n; needs NETFILTER, which is n; needs NET_EGRESS, which is n (needs NET, which is n)"},
		{"hidden symbol below", "NETFILTER_EGRESS", "y", Config{"NET": "y", "NETFILTER": "y", "EXPERT": "y"},
			"needs NET_EGRESS, which is n (no prompt: selected by NET_CLS)"},
		{"menu hidden", "NETKIT", "y", Config{"NET": "y", "NET_EGRESS": "y"}, "can only be changed with EXPERT, which is n"},
		{"||", "NETKIT", "y", Config{"NET": "y"}, "needs one of NET_EGRESS || COMPILE_TEST, but COMPILE_TEST is n, NET_EGRESS is n"},
		{"prompt if", "X86_PAT", "y", Config{"MTRR": "y"}, "can only be changed with EXPERT, which is n"},
		{"hidden", "NET_EGRESS", "y", Config{"NET": "y"}, "it has no prompt and cannot be asked for: selected by NET_CLS"},
		{"comparison", "FUNCTION_TRACER", "y", Config{"FTRACE": "y", "BTF_VERSION": "116"}, "needs BTF_VERSION >= 122, but BTF_VERSION is 116"},
		{"macro", "FUNCTION_TRACER", "y", Config{"FTRACE": "y", "BTF_VERSION": "124"}, "perhaps this test of the tools fails: $(cc-option,-pg)"},
		{"chain", "FPROBE_EVENTS", "y", Config{"X86_64": "y", "BTF_VERSION": "124", "FTRACE": "y", "FUNCTION_TRACER": "y"},
			"needs FPROBE, which is n (needs one of !X86_64 || RETHOOK, but RETHOOK is n, X86_64 is y)"},
		{"choice", "PREEMPT", "y", Config{"PREEMPT_NONE": "y"}, "the same choice has PREEMPT_NONE=y"},
		{"negation", "PREEMPT", "y", Config{"NET": "y"}, "needs !NET, but NET is y"},
		{"selected", "NET_EGRESS", "n", Config{"NET": "y", "NET_CLS": "y", "NET_EGRESS": "y"}, "selected by NET_CLS"},
		{"unknown", "FOO", "y", Config{}, "the tree does not define it"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := strings.Join(tree.explain(c.symbol, c.wanted, c.config), "; "); got != c.want {
				t.Errorf("explain(%s=%s) =\n\t%s\nwant\n\t%s", c.symbol, c.wanted, got, c.want)
			}
		})
	}
}

func TestLoadTreeErrors(t *testing.T) {
	for text, want := range map[string]string{
		"source \"none\"\n":                   "none",
		"config A\n\tdepends on A &&\n":       `Kconfig:2: parse expression "A &&"`,
		"config A\n\tdepends on (A\n":         "missing )",
		"config A\n\tdepends on A B\n":        `unexpected "B"`,
		"endif\n":                             "unexpected endif",
		"if A\nconfig B\n\tbool \"b\" if !\n": "Kconfig:3",
	} {
		_, err := LoadTree(writeTree(t, map[string]string{"Kconfig": text}), "amd64")
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("LoadTree(%q) = %v, want an error with %q", text, err, want)
		}
	}
}

func TestSource(t *testing.T) {
	dir := writeTree(t, treeFiles)
	if v, err := SourceVersion(dir); err != nil || v.String() != "6.12.95" {
		t.Errorf("SourceVersion = %v, %v, want 6.12.95", v, err)
	}
	symbols, err := SourceSymbols(dir)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"ARM64", "BTF_VERSION", "EXPERT", "FPROBE", "FPROBE_EVENTS", "FTRACE", "FUNCTION_TRACER", "NET", "NETFILTER",
		"NETFILTER_EGRESS", "NETKIT", "NET_CLS", "NET_EGRESS", "PREEMPT", "PREEMPT_NONE", "RETHOOK", "X86_64", "X86_PAT"}
	if diff := cmp.Diff(want, symbols); diff != "" {
		t.Error(diff)
	}
	if err := os.WriteFile(filepath.Join(dir, "Makefile"), []byte("all:\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if v, err := SourceVersion(dir); err == nil {
		t.Errorf("SourceVersion without a version = %v, want an error", v)
	}
}

func version(t *testing.T, s string) kver.Version {
	t.Helper()
	v, err := kver.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}
