package host

import "runtime"

// A program is a requirement met by an executable in PATH.
type program struct {
	name  string
	other []string // names by which it serves as well
	group Group
	// why says what fails without it.
	why    string
	supply supply // empty: the program's name
	// least is the oldest version that serves; nil: any.
	least Version
	parse func(output string) (Version, error) // nil: findVersion
	// optional programs are only warned about.
	optional bool
	// instead is the remedy where no package manager supplies it.
	instead string
}

// leastQEMU is Debian 12's, the oldest that is tested.
var leastQEMU = Version{7, 2}

// leastGo is what u-root, the source of the guest's shell, asks for.
var leastGo = Version{1, 24}

var programs = append(architectures(),
	program{name: "go", group: Run, why: "compiles the tests", least: leastGo, parse: parseGoVersion, instead: "install Go: https://go.dev/doc/install"},
	program{name: "depmod", group: Run, why: "debian: and ubuntu: kernels need it", supply: "kmod", optional: true},
	program{name: "dpkg-deb", group: Run, why: "debian: and ubuntu: kernels need it", supply: "dpkg", optional: true},
	program{name: "apt-get", group: Run, why: "debian: and ubuntu: kernels need it", supply: "apt", optional: true},

	program{name: "gcc", group: Build, why: "compiles the kernel"},
	program{name: "make", group: Build, why: "runs the kernel's build"},
	program{name: "flex", group: Build, why: "builds the kernel's configuration tools"},
	program{name: "bison", group: Build, why: "builds the kernel's configuration tools"},
	program{name: "bc", group: Build, why: "the kernel's build calls it"},
	// Kernels before 6.12 are content with less, but not by much.
	program{name: "pahole", group: Build, why: "writes the kernel's BTF", least: Version{1, 16}},
	program{name: "git", group: Build, why: "applies patches, and reads sources that are in git"},
	program{name: "cpio", group: Build, why: "packs the kernel's headers"},
	program{name: "xz", group: Build, why: "unpacks kernel sources"},
	program{name: "zstd", group: Build, why: "compresses the kernel"},
	program{name: "perl", group: Build, why: "the kernel's build calls it"},
	program{name: "python3", group: Build, why: "writes the declarations of BPF's helpers"},
	program{name: "lz4", group: Build, why: "compresses the kernel's image"},
	program{name: "ccache", group: Build, why: "without it every build starts from nothing", optional: true},

	program{name: "clang", group: BPF, why: "compiles BPF programs"},
	program{name: "llvm-strip", group: BPF, why: "strips BPF objects", supply: "llvm"},

	program{name: "gpg", group: Dev, why: "signs the package archives of vmtest's own tests"},
	program{name: "gpg-agent", group: Dev, why: "gpg keeps keys with it"},
	program{name: "docker-registry", group: Dev, why: "kernels are pushed to it and pulled from it in tests"},
	program{name: "skopeo", group: Dev, why: "copies kernels in tests, as other people do"},
	program{name: "xmllint", group: Dev, why: "reads reports in vmtest's own tests"},
	program{name: "prove", group: Dev, why: "reads reports in vmtest's own tests"},
	// Ubuntu has it only as a snap, and GitHub's runners have Chrome.
	program{
		name: "chromium-headless-shell", other: []string{"chromium", "chromium-browser", "google-chrome"}, group: Dev,
		why: "shows reports in vmtest's own tests", optional: true,
	},
)

// crossCompilers are by the group they belong to where they cross.
var crossCompilers = map[Group]string{AMD64: "x86_64-linux-gnu-gcc", ARM64: "aarch64-linux-gnu-gcc"}

// architectures are the programs whose group depends on the host's own.
func architectures() []program {
	var list []program
	for _, arch := range []Group{AMD64, ARM64} {
		qemu := program{
			name: qemuBinaries[string(arch)], group: arch, why: "runs " + string(arch) + " VMs",
			least: leastQEMU, parse: ParseQEMUVersion,
		}
		if string(arch) == runtime.GOARCH {
			qemu.group = Run
			list = append(list, qemu)
			continue
		}
		list = append(list, qemu, program{
			name: crossCompilers[arch], group: arch, why: "compiles " + string(arch) + " kernels, and tests with cgo",
		})
	}
	return list
}

// A file is a requirement met by any of some files. Without it there is only a
// warning.
type file struct {
	name   string // of the check
	group  Group
	paths  []string
	why    string
	supply supply
}

var files = []file{
	// Package distro looks for them. On Debian itself they are always there.
	{
		name: "Debian's keys", group: Run, why: "debian: kernels are verified with them", supply: "debian-archive-keyring",
		paths: []string{"/usr/share/keyrings/debian-archive-keyring.pgp", "/usr/share/keyrings/debian-archive-keyring.gpg"},
	},
}

// A header is a requirement met by a C header that the compiler finds.
type header struct {
	name     string // of the check
	group    Group
	include  string
	compiler string
	why      string
	supply   supply
	// optional headers are only warned about.
	optional bool
}

var headers = append(crossHeaders(),
	header{name: "libelf headers", group: Build, include: "gelf.h", compiler: "gcc", why: "the kernel's objtool needs them", supply: "libelf"},
	header{name: "openssl headers", group: Build, include: "openssl/opensslv.h", compiler: "gcc", why: "the kernel's certificate tools need them", supply: "openssl"},
	header{name: "libbpf headers", group: BPF, include: "bpf/bpf_helper_defs.h", compiler: "clang", why: "BPF programs include them", supply: "libbpf"},
)

// crossHeaders are those of the C libraries of other architectures. Not every
// distribution has them, and kernels do without.
func crossHeaders() []header {
	var list []header
	for _, arch := range []Group{AMD64, ARM64} {
		if string(arch) != runtime.GOARCH {
			list = append(list, header{
				// Not stdlib.h, which a cross compiler finds in /usr/include.
				name: string(arch) + " C library", group: arch, include: "bits/libc-header-start.h", compiler: crossCompilers[arch],
				why: "tests with cgo need it", supply: supply(arch + "-libc"), optional: true,
			})
		}
	}
	return list
}
