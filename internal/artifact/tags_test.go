package artifact

import (
	"strings"
	"testing"

	"github.com/bpf-vmtest/bpf-vmtest/internal/kver"
)

func TestNameTags(t *testing.T) {
	for _, c := range []struct {
		name    Name
		version string
		want    string
	}{
		{Name{}, "6.12.94", "6.12.94 6.12"},
		{Name{Date: "20261121"}, "6.12.94", "6.12.94-20261121 6.12.94 6.12"},
		{Name{Date: "20261121.2", Channels: []string{"longterm", "stable"}}, "6.12.94", "6.12.94-20261121.2 6.12.94 6.12 longterm stable"},
		{Name{Date: "20261121", Channels: []string{"stable"}, Flavour: "debug"}, "6.12.94", "6.12.94-20261121-debug 6.12.94-debug 6.12-debug stable-debug"},
		{Name{Channels: []string{"mainline"}}, "7.3-rc7", "7.3-rc7 7.3-rc 7.3 mainline"},
		{Name{Date: "20261121", Flavour: "nobtf"}, "7.3-rc7", "7.3-rc7-20261121-nobtf 7.3-rc7-nobtf 7.3-rc-nobtf 7.3-nobtf"},
		{Name{Date: "20261121"}, "7.2", "7.2-20261121 7.2"},
	} {
		v, err := kver.Parse(c.version)
		if err != nil {
			t.Fatal(err)
		}
		c.name.Version = v
		tags := c.name.Tags()
		if got := strings.Join(tags, " "); got != c.want {
			t.Errorf("tags of %+v are %s, want %s", c.name, got, c.want)
		}
		for i, tag := range tags {
			if want := i == 0 && c.name.Date != ""; IsDated(tag) != want {
				t.Errorf("IsDated(%q) = %v", tag, !want)
			}
		}
	}
}

func TestCheckDate(t *testing.T) {
	for date, want := range map[string]bool{
		"20261121": true, "20261121.1": true, "20261121.12": true,
		"": false, "2026-11-21": false, "20261321": false, "20261121.": false, "20261121.0": false, "20261121.1.1": false, "now": false,
	} {
		if err := CheckDate(date); (err == nil) != want {
			t.Errorf("CheckDate(%q) = %v", date, err)
		}
	}
}
