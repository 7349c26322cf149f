package main

import (
	"context"
	"flag"
	"fmt"
	"strings"
)

func usage() string {
	var b strings.Builder
	b.WriteString(`Vmtest runs a repository's Go tests inside real Linux kernels, in QEMU.

Usage:

	vmtest <command> [arguments]

The commands are:

`)
	for _, c := range commands() {
		fmt.Fprintf(&b, "	%-11s %s\n", c.name, c.summary)
	}
	b.WriteString(`
"vmtest <command> -h" tells about one of them. Other pages:

	vmtest help kernels      how to name a kernel
	vmtest help guest        what a test sees in a guest
	vmtest help exit         what the exit codes mean
	vmtest help environment  the variables vmtest reads

To begin with, in a module with tests:

	$ vmtest setup
	$ vmtest test -kernel debian:6.1,debian:6.12 ./...
`)
	return b.String()
}

var pages = map[string]string{
	"kernels": `A kernel is named by a reference:

	6.12                          a tag in the default repository, ghcr.io/bpf-vmtest/kernels
	6.12-debug, 6.12-nobtf        the same of a flavour: see vmtest kernel build -h
	7.3-rc                        the last release candidate of a series
	stable, mainline, longterm, next
	                              the tags that are moved from kernel to kernel
	ghcr.io/org/kernels:6.12      an image in any registry; @sha256:… pins it
	oci:DIR:6.12                  an image in an OCI layout on disk
	debian:6.1, ubuntu:6.8        the distribution's own kernel, with its modules, fetched
	                              and verified by apt
	debian:trixie                 the kernel of a suite
	/path/to/bzImage              a kernel image
	/path/to/linux                a tree in which a kernel has been built

Several are separated by commas: -kernel debian:5.10,debian:6.1,oci:out:6.12

What a tag or a distribution's kernel is, changes. "vmtest kernel lock REF…" enters
it into .vmtest/kernels.lock of the module, where test, exec, shell and pull find it
from then on; -update renews it, and the flag -locked fails for what is not there.

Credentials are those of docker login or podman login, and for ghcr.io GITHUB_TOKEN.
Mirrors are those of podman's registries.conf. What has been fetched is kept in the
cache and needs no network. More in docs/pulling.md.

They are kernels for this machine's architecture, or for the one that -arch names:
amd64 or arm64. Of an image for several architectures that one is taken.
`,
	"guest": `A test in a guest is root, in its package's directory. It sees, at the paths they
have on the host, the repository, GOROOT, the module cache, the build cache and,
without -hermetic, /usr and the dynamic linker's directories. QEMU exports them
read-only; a tmpfs lies on top, so tests may write and the host never changes.

A guest of another architecture (-arch) has no toolchain, build cache and /usr, which
would not run; u-root's commands are in its PATH, and its /bin/sh is u-root's.

Mounted are cgroup v2, bpffs, tracefs, debugfs, securityfs, devpts, /tmp and /run.
There is no network but lo. Of the host's environment only what Go needs comes
along, with GOPROXY=off, GOTOOLCHAIN=local and -mod=readonly; -env adds to it.
VMTEST=1 tells a test where it is, VMTEST_KERNEL and VMTEST_RELEASE on what. What it
writes to the directory VMTEST_ARTIFACTS, or to t.ArtifactDir(), comes back.

More in docs/guest.md.
`,
	"exit": `Vmtest test exits with

	0  every test passed on every kernel, or failed as the blocklist expected
	1  a test failed, did not report, or none ran
	2  the command line or a file given to vmtest is wrong
	3  something else went wrong: a kernel could not be had or did not boot, or went
	   down while tests were running

Vmtest exec exits as the command does, and with 128 and the signal's number when a
signal ended it. Its own failures are 2 and 3 as above, with a line that begins
"vmtest: error:" on standard error.
`,
	"environment": `Vmtest reads

	VMTEST_KERNEL_DEFAULT   the kernels that -kernel names by default
	VMTEST_LOCK             the lock file, instead of the module's .vmtest/kernels.lock;
	                        it must exist
	VMTEST_REPOSITORY       the repository of references such as 6.12
	VMTEST_CACHE            the cache directory (default: bpf-vmtest in XDG_CACHE_HOME)
	VMTEST_CACHE_LIMIT      the size that what is fetched into it may have (default:
	                        20GiB); what was used longest ago is removed
	VMTEST_TEMPLATES        the directory where booted machines are saved (default: in
	                        memory, /dev/shm, where there is room, or in the cache)
	VMTEST_QEMU_ROOT        anything: QEMU runs as root where vmtest does, not as nobody
	VMTEST_TIMELINE         the file to write where the time of the run went, which
	                        https://ui.perfetto.dev shows
	CONTAINERS_REGISTRIES_CONF
	                        the file that names mirrors (default: registries.conf in
	                        containers in XDG_CONFIG_HOME, or in /etc/containers)
	DOCKER_CONFIG           the directory of docker's config.json, with credentials
	REGISTRY_AUTH_FILE      podman's file with credentials, if docker has none
	GITHUB_TOKEN            the password for ghcr.io, if neither has one
	VMTEST_KEY_PASSPHRASE   the passphrase of keys for vmtest kernel sign; as cosign
	                        has it, COSIGN_PASSWORD
	VMTEST_DEBIAN_MIRROR    the mirror for debian: kernels, instead of apt's own
	VMTEST_UBUNTU_MIRROR    the same for ubuntu:
	VMTEST_KERNEL_MIRROR    the mirror for sources of kernel.org: the URL before
	                        /pub/linux/kernel; also asked for /torvalds/t (release
	                        candidates), /releases.json (kernel update) and the key
	                        that signs releases
	VMTEST_KERNEL_KEYRING   an OpenPGP file with that key, instead of asking for it
	SOURCE_DATE_EPOCH       the time that an artifact says it was created at, in seconds
	                        since 1970 (default: it says none)
	GITHUB_ACTIONS          true in a step of GitHub Actions: see vmtest test -github;
	                        lines of output are kept from being workflow commands
	GITHUB_STEP_SUMMARY     the file of the job's summary
	XDG_CACHE_HOME          the parent of the cache directory (default: ~/.cache)
	XDG_CONFIG_HOME         the parent of bpf-vmtest/policy.yaml, which says who must
	                        have signed which kernels (default: ~/.config)
`,
}

// synopses head the commands' help.
var synopses = map[string]string{
	"test": `vmtest test [-kernel REF,…] [flags of vmtest and go test] [packages] [-args …]
vmtest test [-kernel REF,…] [flags of vmtest] -cmd 'command line'

Compiles the packages' tests once on this machine, boots each kernel and runs the
tests in it; with -arch, for another architecture than this machine's. Packages and
most flags are those of go test. For several kernels the output ends in a table of
what differs or did not pass. The logs of failed tests, and what tests write to
VMTEST_ARTIFACTS, are kept: see -artifacts. Tests named in the module's
.vmtest/blocklist.yaml are not run, or may fail, on the kernels it names. -retry and
-shard are explained in docs/results.md and docs/reports.md. -cmd runs a command on
each kernel instead.`,
	"exec": `vmtest exec [-kernel REF] [flags] -- command [arguments]

Runs a command in a kernel, with the mounts and the environment of vmtest test, and
exits as it does. Also: go test -exec 'vmtest exec -kernel REF --' ./...`,
	"shell": `vmtest shell [-kernel REF] [flags] [-- command [arguments]]

Opens the u-root shell in a kernel, or runs another command that wants a terminal,
such as bash, with the mounts of vmtest test.`,
	"kernel": `vmtest kernel build [flags] VERSION…    build kernels into an OCI layout: versions,
                                        channels of the catalogue, or -all of it
vmtest kernel check [flags] REF         boot a kernel and say what it can do
vmtest kernel pull [-arch ARCH] REF…    bring kernels into the cache
vmtest kernel list [flags] [DIR]        list the catalogue, or an OCI layout
vmtest kernel inspect [-json] REF       say what an image says of its kernels
vmtest kernel diff [flags] REF REF      say how two kernels differ
vmtest kernel extract [flags] REF DIR   unpack a kernel into a directory
vmtest kernel lock [-update] [REF…]     enter what references stand for into the lock file
vmtest kernel prune [-n] [-to SIZE] [-older TIME]
                                        remove from the cache what was used longest ago
vmtest kernel push [flags] oci:DIR:TAG… HOST/REPOSITORY
                                        put kernels into a registry
vmtest kernel sign [-key FILE] HOST/REPOSITORY@DIGEST
                                        attach an SBOM, a provenance and a signature
vmtest kernel verify [flags] REF        say who has signed a kernel in a registry
vmtest kernel keygen [-o NAME]          make a pair of keys to sign with
vmtest kernel update [flags]            make the catalogue follow kernel.org`,
	"kernel build": `vmtest kernel build [flags] VERSION…

Compiles kernels from Debian's or kernel.org's source, packs and boots them, and
prints what to name them by: oci:DIR:TAG@DIGEST. What is on in a kernel are the
symbols that its fragments ask for and what those need; every one is checked.
-flavour adds fragments of ours: debug keeps what gdb needs, kasan finds the kernel's
own bugs, nobtf is a kernel without types. -fragment adds yours; a line that ends in
"# override" changes what another fragment says. -patch applies patches, without
fuzz, to a copy of the source.

More in docs/fragments.md and docs/catalogue.md.`,
	"kernel check": `vmtest kernel check [flags] REF

Boots a kernel twice: as a run would, to find out which types of BPF programs and
maps, which helpers and which ways to attach it has, and whether its configuration is
the one it came with; and with plain QEMU and the initramfs that came with it, or ours,
to see that it gets to a shell and powers off. Prints what it can do. What it lacks
and its version must have is an error, with the symbols of Kconfig that it most
likely takes, unless -report is given. kernel build does the same before it packs
a kernel.

More in docs/features.md.`,
	"kernel lock": `vmtest kernel lock [-update] [REF…]

Finds out what references to tags and to distributions' kernels stand for, those of
-kernel by default, and enters it into .vmtest/kernels.lock of the module around the
current directory: digests, and for packages their version. What is there already
stays, unless -update is given, which renews what is named, or else all. Prints what
each stands for, and what it did before.

From then on test, exec, shell and kernel pull take these references from the file,
whatever has become of the tag. More in docs/pulling.md.`,
	"kernel prune": `vmtest kernel prune [-n] [-to SIZE] [-older TIME]

Removes from the cache what was used longest ago and can be had again, and prints it.
Without a flag, what was fetched is brought below VMTEST_CACHE_LIMIT, which happens by
itself when something new is fetched; -to and -older take unpacked sources and built
kernels, too. What a running vmtest uses stays, and what the lock file of the current
module names.`,
	"kernel inspect": `vmtest kernel inspect [-json] REF

Shows an image in a registry or an OCI layout: its digests, the kernels in it by
architecture with their annotations and the sizes of their parts, and what each of
them was found to be able to do. Of the parts, only the table of features is fetched.`,
	"kernel diff": `vmtest kernel diff [flags] REF REF

Shows how two kernels differ: symbols of the configuration, features gained and lost,
sizes, and what they were built from and with. Of artifacts only the configuration
and the table of features are fetched. Any kernel will do, such as debian:6.12, but
only artifacts have a table.`,
	"kernel extract": `vmtest kernel extract [flags] REF DIR

Unpacks everything that an image has of a kernel into DIR, which must not exist or be
empty: boot/vmlinuz, boot/initramfs, boot/config, usr/lib/modules and so on. To boot
it without vmtest:

	qemu-system-x86_64 -m 1G -nographic -kernel DIR/boot/vmlinuz \
		-initrd DIR/boot/initramfs -append console=ttyS0`,
	"kernel pull": `vmtest kernel pull [-arch ARCH] [-verify MODE] REF…

Brings kernels into the cache, for a machine that will have no network, and prints
what each reference stands for: release, architecture and digest.`,
	"kernel sign": `vmtest kernel sign [-key FILE] HOST/REPOSITORY@DIGEST

Attaches to a kernel in a registry what is to be known of it: a bill of materials
(CycloneDX), how it was built (SLSA provenance), and that the signer stands for it.
Each is signed and stored as cosign and GitHub store attestations. Of an image for
several architectures each kernel is signed, and the whole. What the same signer has
attached before is not attached again.

The key is one of vmtest kernel keygen or of cosign; VMTEST_KEY_PASSPHRASE has its
passphrase, or it is asked for. Without a key it must run in a GitHub workflow with
"permissions: id-token: write", as which it signs then. What is pushed with -no-tag
can be signed before the tags move. More in docs/supply-chain.md.`,
	"kernel verify": `vmtest kernel verify [-key FILE | -identity WORKFLOW | -policy FILE] [flags] REF

Checks everything that is attached to a kernel in a registry and prints for each
signature, provenance and SBOM who signed it, or why it does not hold. It fails
unless those who have to have signed it, by the flags or else by the policy. With
-show, what is said of the kernel is printed instead, for a scanner to read:

	vmtest kernel verify -show sbom ghcr.io/org/kernels:6.12 | grype

More in docs/supply-chain.md.`,
	"kernel keygen": `vmtest kernel keygen [-o NAME]

Makes a pair of keys: NAME.key signs and NAME.pub is for those who verify. Cosign
reads both. The passphrase is in VMTEST_KEY_PASSPHRASE, where an empty one leaves the
key as it is, or is asked for.`,
	"kernel list": `vmtest kernel list [-catalogue FILE] [-only VERSION] [-json]
vmtest kernel list DIR

Shows the catalogue: the kernels that this project builds and publishes, or those of
another file. With a directory, shows what is in an OCI layout: tag, release,
architecture and digest of each kernel. More in docs/catalogue.md.`,
	"kernel update": `vmtest kernel update [-catalogue FILE] [-n]

Makes the catalogue follow kernel.org: newer releases of its series, and where the
channels are now. Prints what changed as a diff. More in docs/catalogue.md.`,
	"kernel push": `vmtest kernel push [flags] oci:DIR:TAG… HOST/REPOSITORY

Puts kernels of one version, for one or more architectures, into a registry: first
everything under its digest, then, when all of it is there and holds, the tags. Only
a kernel that was booted when it was built, as its table of features says, is taken.
What the registry has is not sent again, and nothing in it is deleted. Prints the
digest, and each tag with what it named before and names now.

A tag with a date names one build for ever. The others do not go back to an older
version unless -tag names them. Credentials are those of docker login; for ghcr.io
GITHUB_TOKEN does as well.`,
	"blocklist": `vmtest blocklist check [file…]      check the module's blocklist, or files
vmtest blocklist suggest [stream]   print entries for what failed in the last run
vmtest blocklist schema             print the JSON schema for editors`,
	"report": `vmtest report [-format FORMAT] [-o FILE] [flags] [stream]
vmtest report -merge [-expect REF,…] [flags] stream|directory…

Shows the results of the last run from this directory, or of a recorded stream (test
-jsonl FILE writes one), as text or in another format; -bundle says which files the run
has left: consoles, logs of failed tests, what the tests wrote; -junit, -summary and the like
write more reports in one go. -merge joins the streams of several runs, such as the
legs of a CI matrix, into one, and says what does not fit together. More in
docs/reports.md.`,
	"matrix": `vmtest matrix [-kernel REF,…] [-shard-count N]

Prints a line of JSON for the strategy.matrix of a GitHub workflow: a job for each
kernel, or N of them, with a name, the kernel's reference, a shard such as 2/5 for
vmtest test -shard, and a lock file (VMTEST_LOCK) that says which kernel it is. So
each reference is looked up once, and all jobs run the same kernels.

vmtest report -merge makes one report of what the jobs leave. More in docs/action.md.`,
	"action": `vmtest action plan
vmtest action fetch|run PLAN

Are the steps of the GitHub Action of action.yml. The first reads its inputs from
variables INPUT_…; the last prints the command line of vmtest test that they amount
to, and runs that. More in docs/action.md.`,
	"doctor": `vmtest doctor [-for PURPOSES]

Says what this machine has and lacks, and whether its KVM really works.`,
	"setup": `vmtest setup [-for PURPOSES] [-n]

Installs what is missing with the system's package manager, printing each command
before it runs.`,
}

func (a *app) commandHelp(name string, fs *flag.FlagSet) {
	fmt.Fprintf(a.stdout, "Usage: %s\n", synopses[name])
	shown := flag.NewFlagSet("", flag.ContinueOnError)
	any := false
	fs.VisitAll(func(f *flag.Flag) {
		if f.Usage != unsupported {
			shown.Var(f.Value, f.Name, f.Usage)
			shown.Lookup(f.Name).DefValue = f.DefValue
			any = true
		}
	})
	if any {
		fmt.Fprint(a.stdout, "\nFlags:\n\n")
		shown.SetOutput(a.stdout)
		shown.PrintDefaults()
	}
}

func (a *app) help(args []string) error {
	if len(args) == 0 {
		fmt.Fprint(a.stdout, usage())
		return nil
	}
	if page, ok := pages[args[0]]; ok {
		fmt.Fprint(a.stdout, page)
		return nil
	}
	for _, c := range commands() {
		if c.name != args[0] {
			continue
		}
		ask := []string{"-h"}
		if c.name == "kernel" && len(args) == 2 {
			ask = []string{args[1], "-h"}
		}
		return c.run(a, context.Background(), ask)
	}
	return usagef("`vmtest help` lists the pages", "no help about %q", args[0])
}
