package host

// A supply is a thing that package managers offer under names of their own.
type supply string

// A manager is a package manager's command.
type manager string

const (
	apt    manager = "apt-get"
	dnf    manager = "dnf"
	pacman manager = "pacman"
	zypper manager = "zypper"
	apk    manager = "apk"
)

var managers = []manager{apt, dnf, pacman, zypper, apk}

// packages holds, for each supply, the packages that bring it. A manager that
// is not in a row does not have it.
var packages = map[supply]map[manager][]string{
	"qemu-system-x86_64":  {apt: {"qemu-system-x86"}, dnf: {"qemu-system-x86-core"}, pacman: {"qemu-system-x86"}, zypper: {"qemu-x86"}, apk: {"qemu-system-x86_64"}},
	"qemu-system-aarch64": {apt: {"qemu-system-arm"}, dnf: {"qemu-system-aarch64-core"}, pacman: {"qemu-system-aarch64"}, zypper: {"qemu-arm"}, apk: {"qemu-system-aarch64"}},
	"kmod":                same("kmod"),
	"apt":                 {apt: {"apt"}, dnf: {"apt"}},
	// Only where apt is, kernels of Debian can be had.
	"debian-archive-keyring": {apt: {"debian-archive-keyring"}},
	"dpkg":                   {apt: {"dpkg"}, dnf: {"dpkg"}, pacman: {"dpkg"}, zypper: {"dpkg"}, apk: {"dpkg"}},

	"flex":  same("flex"),
	"bison": same("bison"),
	"bc":    same("bc"),
	"make":  same("make"),
	"cpio":  same("cpio"),
	"git":   same("git"),
	"zstd":  same("zstd"),
	"xz":    {apt: {"xz-utils"}, dnf: {"xz"}, pacman: {"xz"}, zypper: {"xz"}, apk: {"xz"}},
	// Debian's gcc only recommends the C library's headers.
	"gcc":     {apt: {"gcc", "libc6-dev"}, dnf: {"gcc"}, pacman: {"gcc"}, zypper: {"gcc"}, apk: {"gcc", "musl-dev", "linux-headers"}},
	"pahole":  {apt: {"dwarves"}, dnf: {"dwarves"}, pacman: {"pahole"}, zypper: {"dwarves"}, apk: {"pahole"}},
	"libelf":  {apt: {"libelf-dev"}, dnf: {"elfutils-libelf-devel"}, pacman: {"libelf"}, zypper: {"libelf-devel"}, apk: {"elfutils-dev"}},
	"openssl": {apt: {"libssl-dev"}, dnf: {"openssl-devel"}, pacman: {"openssl"}, zypper: {"libopenssl-devel"}, apk: {"openssl-dev"}},
	"lz4":     same("lz4"),
	"perl":    same("perl"),
	"python3": {apt: {"python3"}, dnf: {"python3"}, pacman: {"python"}, zypper: {"python3"}, apk: {"python3"}},
	"ccache":  same("ccache"),

	"gpg":                     {apt: {"gpg"}, dnf: {"gnupg2"}, pacman: {"gnupg"}, zypper: {"gpg2"}, apk: {"gnupg"}},
	"docker-registry":         {apt: {"docker-registry"}},
	"skopeo":                  same("skopeo"),
	"gpg-agent":               {apt: {"gpg-agent"}, dnf: {"gnupg2"}, pacman: {"gnupg"}, zypper: {"gpg2"}, apk: {"gnupg"}},
	"xmllint":                 {apt: {"libxml2-utils"}, dnf: {"libxml2"}, pacman: {"libxml2"}, zypper: {"libxml2-tools"}, apk: {"libxml2-utils"}},
	"prove":                   {apt: {"perl"}, dnf: {"perl-Test-Harness"}, pacman: {"perl"}, zypper: {"perl"}, apk: {"perl-utils"}},
	"chromium-headless-shell": {apt: {"chromium-headless-shell"}, dnf: {"chromium"}, pacman: {"chromium"}, zypper: {"chromium"}, apk: {"chromium"}},

	"clang":  same("clang"),
	"llvm":   same("llvm"),
	"libbpf": {apt: {"libbpf-dev"}, dnf: {"libbpf-devel"}, pacman: {"libbpf"}, zypper: {"libbpf-devel"}, apk: {"libbpf-dev"}},

	"aarch64-linux-gnu-gcc": {apt: {"gcc-aarch64-linux-gnu"}, dnf: {"gcc-aarch64-linux-gnu"}, pacman: {"aarch64-linux-gnu-gcc"}},
	"x86_64-linux-gnu-gcc":  {apt: {"gcc-x86-64-linux-gnu"}, dnf: {"gcc-x86_64-linux-gnu"}},
	"arm64-libc":            {apt: {"libc6-dev-arm64-cross"}, pacman: {"aarch64-linux-gnu-glibc"}},
	"amd64-libc":            {apt: {"libc6-dev-amd64-cross"}},
}

func same(name string) map[manager][]string {
	row := map[manager][]string{}
	for _, m := range managers {
		row[m] = []string{name}
	}
	return row
}

// installCommand is what installs packages without asking.
var installCommand = map[manager][]string{
	// The lock is waited for rather than failed on: fresh machines run
	// unattended upgrades. debconf must not ask.
	apt:    {"env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-o", "DPkg::Lock::Timeout=120", "install", "-y", "--no-install-recommends"},
	dnf:    {"dnf", "install", "-y"},
	pacman: {"pacman", "-S", "--needed", "--noconfirm"},
	zypper: {"zypper", "--non-interactive", "install"},
	apk:    {"apk", "add"},
}

// refreshCommand is what brings the lists of packages up to date. dnf and
// zypper do so by themselves.
var refreshCommand = map[manager][]string{
	apt:    {"apt-get", "update"},
	pacman: {"pacman", "-Sy"},
	apk:    {"apk", "update"},
}
