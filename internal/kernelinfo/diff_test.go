package kernelinfo

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bpf-vmtest/bpf-vmtest/internal/features"
	"github.com/bpf-vmtest/bpf-vmtest/kconfig"
)

// side is a kernel of everything that is compared.
func side() Side {
	table := &features.Table{Release: "6.12.94", Arch: "amd64"}
	table.Add(features.Map, features.Feature{Name: "arena", State: features.Supported})
	return Side{
		Ref: "6.12", Config: kconfig.Config{"BPF": "y"},
		Kernel: Kernel{
			Digest: "sha256:0", Arch: "amd64", Release: "6.12.94", Annotations: map[string]string{"io.bpf-vmtest.compiler": "gcc 12"},
			Parts:    []Part{{Name: "kernel", Digest: "sha256:1", Sizes: Sizes{2 << 20, 1 << 20}}},
			Features: &Features{table},
		},
	}
}

// A kernel differs from itself in nothing, and each difference counts.
func TestEmpty(t *testing.T) {
	if d := Compare(side(), side()); !d.Empty() {
		t.Errorf("a kernel and itself: %+v", d)
	}
	for name, change := range map[string]func(*Side){
		"symbol":     func(s *Side) { s.Config["XDP_SOCKETS"] = "y" },
		"value":      func(s *Side) { s.Config["BPF"] = "m" },
		"annotation": func(s *Side) { s.Annotations["io.bpf-vmtest.compiler"] = "gcc 14" },
		"content":    func(s *Side) { s.Parts[0].Digest = "sha256:2" },
		"part":       func(s *Side) { s.Parts = append(s.Parts, Part{Name: "btf", Digest: "sha256:3"}) },
		"feature": func(s *Side) {
			s.Features.Add(features.Program, features.Feature{Name: "xdp", State: features.Supported})
		},
	} {
		other := side()
		change(&other)
		if Compare(side(), other).Empty() || Compare(other, side()).Empty() {
			t.Errorf("%s: no difference", name)
		}
	}
}

// An image of another project has layers without names and no table; what is
// not known is not compared.
func TestForeign(t *testing.T) {
	foreign := Side{Ref: "quay.io/lvh-images/kernel-images:6.12", Kernel: Kernel{
		Digest: "sha256:4", Arch: "amd64",
		Parts: []Part{{Digest: "sha256:5", Sizes: Sizes{0, 1 << 20}}, {Digest: "sha256:6", Sizes: Sizes{0, 2 << 20}}},
	}}
	d := Compare(side(), foreign)
	if d.Config != nil || d.Features != nil {
		t.Errorf("config %v and features %v are compared with nothing", d.Config, d.Features)
	}
	want := []PartChange{
		{Name: "kernel", From: &Sizes{2 << 20, 1 << 20}},
		{Name: "", To: &Sizes{0, 3 << 20}},
	}
	if diff := cmp.Diff(want, d.Parts); diff != "" {
		t.Errorf("parts (-want +got):\n%s", diff)
	}
	var b strings.Builder
	if err := d.Write(&b); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"+ quay.io/lvh-images/kernel-images:6.12: Linux of an unknown release amd64 sha256:4",
		"config: quay.io/lvh-images/kernel-images:6.12 has none",
		"features: quay.io/lvh-images/kernel-images:6.12 has no table of them",
		"- kernel  2.0 MiB   1.0 MiB",
		"+ layers  -         3.0 MiB",
		"- compiler: gcc 12",
	} {
		if !strings.Contains(b.String(), line+"\n") {
			t.Errorf("there is no line %q in\n%s", line, b.String())
		}
	}
}

func TestDelta(t *testing.T) {
	for want, c := range map[string][2]int64{
		"-":                           {0, 0},
		"8.0 MiB":                     {8 << 20, 8 << 20},
		"8.0 MiB → 4.0 MiB (-50.0 %)": {8 << 20, 4 << 20},
		"1.0 KiB → 1.1 KiB (+9.4 %)":  {1024, 1120},
		"2.0 KiB":                     {0, 2048},
	} {
		if got := delta(c[0], c[1]); got != want {
			t.Errorf("delta(%d, %d) = %q, want %q", c[0], c[1], got, want)
		}
	}
}
