package host

import (
	"os"
	"os/exec"
	"strings"
)

// families maps what os-release's ID and ID_LIKE say to a package manager.
// The programs in PATH do not tell: Debian packages dnf, and Fedora apt-get.
var families = map[string]manager{
	"debian": apt, "ubuntu": apt,
	"fedora": dnf, "rhel": dnf, "centos": dnf,
	"arch": pacman,
	"suse": zypper, "opensuse": zypper,
	"alpine": apk,
}

// systemManager is this machine's package manager, or empty.
func systemManager() manager {
	release, err := os.ReadFile("/etc/os-release")
	if err == nil {
		if m := managerOf(string(release)); m != "" {
			return m
		}
	}
	for _, m := range managers {
		if _, err := exec.LookPath(string(m)); err == nil {
			return m
		}
	}
	return ""
}

// managerOf reads an os-release file, see os-release(5).
func managerOf(release string) manager {
	fields := map[string]string{}
	for line := range strings.Lines(release) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			fields[name] = strings.Trim(value, `"'`)
		}
	}
	for _, id := range strings.Fields(fields["ID"] + " " + fields["ID_LIKE"]) {
		if m, ok := families[id]; ok {
			return m
		}
	}
	return ""
}
