package kver

import "testing"

func TestParse(t *testing.T) {
	for s, want := range map[string]Version{
		"6.12":    {6, 12, 0, 0},
		"6.12.95": {6, 12, 95, 0},
		"7.3-rc7": {7, 3, 0, 7},
		"7.3~rc7": {7, 3, 0, 7},
	} {
		if got, err := Parse(s); err != nil || got != want {
			t.Errorf("Parse(%q) = %+v, %v, want %+v", s, got, err, want)
		}
	}
	for _, s := range []string{"", "6", "v6.12", "6.12.", "6.12-rc", "6.12 ", "6.12.95-51", "6.12.9999999999", "-6.1"} {
		if got, err := Parse(s); err == nil {
			t.Errorf("Parse(%q) = %v, want an error", s, got)
		}
	}
}

func TestFromRelease(t *testing.T) {
	for s, want := range map[string]string{
		"6.1.0-51-cloud-amd64":         "6.1",
		"6.12.95+deb13-cloud-amd64":    "6.12.95",
		"7.3-rc7-amd64":                "7.3-rc7",
		"7.3~rc7-cloud-amd64":          "7.3-rc7",
		"4.18.0-513.24.1.el8_9.x86_64": "4.18",
		"6.12.95":                      "6.12.95",
		"6.8.0-31-generic":             "6.8",
		"6.12.0+":                      "6.12",
	} {
		if got, err := FromRelease(s); err != nil || got.String() != want {
			t.Errorf("FromRelease(%q) = %v, %v, want %s", s, got, err, want)
		}
	}
	for _, s := range []string{"bpf-next", "6", "6.1x"} {
		if got, err := FromRelease(s); err == nil {
			t.Errorf("FromRelease(%q) = %v, want an error", s, got)
		}
	}
}

func TestOrder(t *testing.T) {
	sorted := []string{"5.10", "5.15.7", "6.1-rc3", "6.1", "6.1.1", "6.12-rc1", "6.12-rc10", "6.12", "7.3-rc7", "7.3"}
	for i := range sorted {
		for j := range sorted {
			a, _ := Parse(sorted[i])
			b, _ := Parse(sorted[j])
			if got := a.Compare(b); (got < 0) != (i < j) || (got > 0) != (i > j) {
				t.Errorf("%s.Compare(%s) = %d", a, b, got)
			}
		}
	}
}

func TestRange(t *testing.T) {
	for _, c := range []struct{ r, in, out string }{
		{"<5.15", "5.14.21", "5.15-rc1"},
		{"<=6.6", "6.6.80", "6.7-rc1"},
		{">6.6", "6.7-rc1", "6.6.80"},
		{">=6.1", "6.1-rc1", "6.0.19"},
		{">=6.1.5", "6.1.5", "6.1.4"},
		{"6.1..6.6", "6.6.80", "6.7"},
		{"..5.15", "5.15.3", "5.16"},
		{"6.1..", "7.3-rc7", "6.0"},
		{"6.12", "6.12.95", "6.13"},
		{"6.12.95", "6.12.95", "6.12.94"},
		{"!=6.12", "6.13", "6.12.3"},
	} {
		r, err := ParseRange(c.r)
		if err != nil {
			t.Error(err)
			continue
		}
		in, _ := Parse(c.in)
		out, _ := Parse(c.out)
		if !r.Contains(in) || r.Contains(out) {
			t.Errorf("%s: Contains(%s) = %v, Contains(%s) = %v", r, in, r.Contains(in), out, r.Contains(out))
		}
	}
	for _, s := range []string{"", "..", "<", "<>5.1", "6.6..6.1", "6.1...6.6", "a..b", "><6.1"} {
		if r, err := ParseRange(s); err == nil {
			t.Errorf("ParseRange(%q) = %v, want an error", s, r)
		}
	}
	if v, _ := Parse("3.2"); !(Range{}).Contains(v) {
		t.Error("the zero range leaves out 3.2")
	}
}
