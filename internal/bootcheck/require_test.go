package bootcheck

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bpf-vmtest/bpf-vmtest/internal/features"
	"github.com/bpf-vmtest/bpf-vmtest/internal/kver"
	"github.com/bpf-vmtest/bpf-vmtest/kconfig"
)

func version(t *testing.T, s string) kver.Version {
	t.Helper()
	v, err := kver.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestRequirements(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range Requirements {
		key := string(r.Kind) + " " + r.Name
		if seen[key] {
			t.Errorf("%s is there twice", key)
		}
		seen[key] = true
		if a, b := r.since("amd64"), r.since("arm64"); b.Compare(a) < 0 {
			t.Errorf("%s: arm64 has it since %s, before %s", key, b, a)
		}
		for _, s := range r.Symbols {
			if strings.HasPrefix(s, "CONFIG_") {
				t.Errorf("%s: %s is written without CONFIG_", key, s)
			}
		}
	}
}

// requiredOf names what a kernel without anything lacks, of the kinds that
// differ most.
func requiredOf(t *testing.T, release, arch string) map[string]bool {
	t.Helper()
	missing, waived := evaluate(&features.Table{Arch: arch}, version(t, release), nil)
	if len(waived) > 0 {
		t.Errorf("waived without a configuration: %v", waived)
	}
	names := map[string]bool{}
	for _, m := range missing {
		names[string(m.Kind)+" "+m.Name] = true
	}
	return names
}

func TestVersions(t *testing.T) {
	for _, tt := range []struct{ feature, release, arch, not string }{
		{"attach tcx", "6.6", "amd64", "6.5.13"},
		{"attach tcx", "6.6-rc1", "amd64", "6.5"},
		{"attach netkit", "6.7", "arm64", "6.6.80"},
		{"attach fentry", "5.5", "amd64", "5.4"},
		{"attach fentry", "6.4", "arm64", "6.3"},
		{"attach lsm", "5.7", "amd64", "5.6"},
		{"attach lsm", "6.4", "arm64", "6.1"},
		{"attach kprobe_multi", "6.14", "arm64", "6.12"},
		{"attach clsact", "4.5", "amd64", "4.4"},
		{"attach kprobe", "5.10.262", "amd64", "4.0"},
		{"attach xdp_native", "5.10", "arm64", "5.8"},
		{"program syscall", "5.14", "amd64", "5.10"},
		{"map arena", "6.10", "arm64", "6.9"},
		{"kernel sched_ext", "6.12", "amd64", "6.11"},
	} {
		if !requiredOf(t, tt.release, tt.arch)[tt.feature] {
			t.Errorf("%s is not required of %s for %s", tt.feature, tt.release, tt.arch)
		}
		if requiredOf(t, tt.not, tt.arch)[tt.feature] {
			t.Errorf("%s is required of %s for %s", tt.feature, tt.not, tt.arch)
		}
	}
}

func TestMissing(t *testing.T) {
	table := completeTable("6.12.1", "amd64")
	table.Add(features.Kernel, features.Feature{Name: configFeature, State: features.Supported})
	set := func(kind features.Kind, name string, state features.State, detail string) {
		for i, f := range table.Features[kind] {
			if f.Name == name {
				table.Features[kind][i] = features.Feature{Name: name, State: state, Detail: detail}
			}
		}
	}
	set(features.Attach, "clsact", features.Unsupported, "attach: add clsact")
	set(features.Attach, "lsm", features.Unsupported, "attached, but never called")
	set(features.Attach, "tp_btf", features.Inconclusive, "load: cannot allocate memory")
	set(features.Map, "queue", features.Unsupported, "")
	config := kconfig.Config{"BPF_SYSCALL": "y", "NET_CLS_ACT": "y", "BPF_EVENTS": "y", "BPF_LSM": "y", "LSM": "landlock", "DEBUG_INFO_BTF": "y"}
	missing, waived := evaluate(table, version(t, "6.12.1"), config)
	var got []string
	for _, m := range missing {
		got = append(got, m.String())
	}
	want := []string{
		"kernel power_off (inconclusive): it was not probed",
		"attach clsact: attach: add clsact; it needs CONFIG_NET_SCH_INGRESS, CONFIG_NET_CLS_BPF, off here",
		"attach tp_btf (inconclusive): load: cannot allocate memory; it is a matter of CONFIG_BPF_EVENTS",
		"attach lsm: attached, but never called; it is a matter of CONFIG_BPF_LSM, CONFIG_LSM",
		"map queue",
	}
	if diff := cmp.Diff(want, got); diff != "" || len(waived) > 0 {
		t.Errorf("waived %v, missing (-want +got):\n%s", waived, diff)
	}
	e := &MissingError{Release: "6.12.1", Missing: missing[1:3]}
	if got, want := e.Error(), "Linux 6.12.1 lacks 2 required features: attach clsact, attach tp_btf"; got != want {
		t.Errorf("got %q", got)
	}
	if diff := cmp.Diff(want[1:3], e.Excerpt()); diff != "" {
		t.Errorf("excerpt (-want +got):\n%s", diff)
	}
}

// What a kernel without BTF cannot have is waived, and nothing else is.
func TestWaived(t *testing.T) {
	with, without := kconfig.Config{btfSymbol: "y"}, kconfig.Config{}
	all, none := evaluate(&features.Table{Arch: "amd64"}, version(t, "6.12"), with)
	missing, waived := evaluate(&features.Table{Arch: "amd64"}, version(t, "6.12"), without)
	if len(none) > 0 || len(waived) == 0 || len(missing)+len(waived) != len(all) {
		t.Errorf("%d missing with BTF; %d missing and %d waived without", len(all), len(missing), len(waived))
	}
	for _, m := range missing {
		if m.BTF {
			t.Errorf("%s is not waived", m)
		}
	}
	for _, r := range waived {
		if !r.BTF {
			t.Errorf("%s %s is waived", r.Kind, r.Name)
		}
	}
}
