package distro

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

const megabytes = 10 << 20

// chosen is what the flavour's chooser takes of the packages, by name.
func chosen(t *testing.T, distribution string, entries ...entry) []string {
	t.Helper()
	f, err := (&Apt{Arch: "amd64"}).flavour(distribution)
	if err != nil {
		t.Fatal(err)
	}
	c := f.chooser(func(entry) bool { return true })
	var matching []entry
	for _, e := range entries {
		if c.match(e.name) {
			matching = append(matching, e)
		}
	}
	var names []string
	for _, e := range c.choose(matching) {
		names = append(names, e.name)
	}
	return names
}

// The packages are named as in Debian's and Ubuntu's indexes.
func TestFlavour(t *testing.T) {
	for name, c := range map[string]struct {
		distribution string
		entries      []entry
		want         []string
	}{
		"one package": {"debian", []entry{
			{"linux-image-6.12.107+deb13-amd64", "6.12.107-1", "", megabytes},
			{"linux-image-6.12.117+deb13-amd64", "6.12.117-1", "", megabytes},
			{"linux-image-6.12.95+deb13-amd64", "6.12.95-1", "", megabytes},
		}, []string{"linux-image-6.12.117+deb13-amd64"}},
		"signed before unsigned": {"debian", []entry{
			{"linux-image-6.1.0-56-amd64-unsigned", "6.1.192-2", "", megabytes},
			{"linux-image-6.1.0-56-amd64", "6.1.192-2", "", megabytes},
		}, []string{"linux-image-6.1.0-56-amd64"}},
		"newer unsigned before signed": {"debian", []entry{
			{"linux-image-6.1.0-0.deb11.52-amd64-unsigned", "6.1.193-1~deb11u1", "", megabytes},
			{"linux-image-6.1.0-0.deb11.51-amd64", "6.1.192-1~deb11u1", "", megabytes},
		}, []string{"linux-image-6.1.0-0.deb11.52-amd64-unsigned"}},
		"three packages": {"debian", []entry{
			{"linux-image-7.2.13+deb14-amd64", "7.2.13-1", "", 1916},
			{"linux-base-7.2.13+deb14-amd64", "7.2.13-1", "", 400000},
			{"linux-modules-7.2.13+deb14-amd64", "7.2.13-1", "", megabytes},
			{"linux-binary-7.2.13+deb14-amd64", "7.2.13-1", "", megabytes},
		}, []string{"linux-binary-7.2.13+deb14-amd64", "linux-modules-7.2.13+deb14-amd64", "linux-base-7.2.13+deb14-amd64"}},
		"modules missing or of another version": {"debian", []entry{
			{"linux-binary-7.1.8+deb13-amd64", "7.1.8-1", "", megabytes},
			{"linux-base-7.1.8+deb13-amd64", "7.1.8-1", "", 400000},
			{"linux-modules-7.1.8+deb13-amd64", "7.1.8-2", "", megabytes},
		}, nil},
		"other flavours and packages": {"debian", []entry{
			{"linux-image-6.12.117+deb13-rt-amd64", "6.12.117-1", "", megabytes},
			{"linux-image-6.12.117+deb13-cloud-amd64", "6.12.117-1", "", megabytes},
			{"linux-image-6.12.117+deb13-amd64-dbg", "6.12.117-1", "", megabytes},
			{"linux-image-6.12.117+deb13-arm64", "6.12.117-1", "", megabytes},
			{"linux-image-amd64", "6.12.117-1", "", 1500},
			{"linux-headers-6.12.117+deb13-amd64", "6.12.117-1", "", megabytes},
		}, nil},
		"a release candidate": {"debian", []entry{
			{"linux-image-6.17-rc7-amd64", "6.17~rc7-1~exp1", "", megabytes},
		}, []string{"linux-image-6.17-rc7-amd64"}},
		"Ubuntu": {"ubuntu", []entry{
			{"linux-image-unsigned-6.8.0-31-generic", "6.8.0-31.31", "", megabytes},
			{"linux-image-6.8.0-31-generic", "6.8.0-31.31", "", megabytes},
			{"linux-modules-6.8.0-31-generic", "6.8.0-31.31", "", megabytes},
			{"linux-modules-extra-6.8.0-31-generic", "6.8.0-31.31", "", megabytes},
			{"linux-image-6.8.0-32-lowlatency", "6.8.0-32.32", "", megabytes},
		}, []string{"linux-image-6.8.0-31-generic", "linux-modules-6.8.0-31-generic"}},
	} {
		if diff := cmp.Diff(c.want, chosen(t, c.distribution, c.entries...)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
