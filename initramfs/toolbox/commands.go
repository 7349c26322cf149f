package toolbox

import (
	_ "embed"
	"path"
)

// uRoot is the module the commands come from; its version and hash are those
// of this module's go.mod and go.sum, which a test compares.
const (
	uRoot        = "github.com/u-root/u-root"
	uRootVersion = "v0.16.0"
	uRootSum     = "h1:wY40O83MBVks97+Is0WlFlOPSwKQMIrWP9R1IsrExg8="
)

// gobusybox rewrites the commands into one program, so its version is part of
// what is built.
const (
	gobusybox        = "github.com/u-root/gobusybox/src"
	gobusyboxVersion = "v0.0.0-20250101170133-2e884e4509c7"
)

// tags choose the gosh that leaves line editing to the terminal. The one with
// liner dies of a ^C meant for the command it runs and leaves the terminal raw
// for that command; the one with bubbline waits for answers that a serial
// console does not give.
const tags = "goshsmall"

const (
	shell = "gosh"
	inits = "init"
)

// posixShell is what everybody else calls the shell. The program finds a command
// by the name it is started with, and it has none of this name: a source of ours
// beside the generated ones looks first.
const posixShell = "sh"

//go:embed _shell/shell.go
var shellSource string

// commands are what a person looking around in a kernel under test reaches
// for, as directories below u-root's cmds. There is no network to speak of,
// and no disk, so what serves those is left out; so is tc, whose library complains
// on behalf of every command where the kernel has no packet schedulers.
var commands = []string{
	"core/" + inits, "core/" + shell,

	// files
	"core/basename", "core/cat", "core/chmod", "core/cmp", "core/comm", "core/cp", "core/dd",
	"core/df", "core/dirname", "core/du", "core/find", "core/grep", "core/gzip", "core/head",
	"core/hexdump", "core/ln", "core/ls", "core/md5sum", "core/mkdir", "core/mkfifo",
	"core/mknod", "core/mktemp", "core/more", "core/mv", "core/pwd", "core/readlink",
	"core/realpath", "core/rm", "core/shasum", "core/sort", "core/strings", "core/sync",
	"core/tail", "core/tar", "core/tee", "core/touch", "core/tr", "core/truncate", "core/uniq",
	"core/wc", "core/xargs",

	// the kernel
	"core/chroot", "core/dmesg", "core/free", "core/hostname", "core/insmod", "core/io",
	"core/losetup", "core/lsmod", "core/mount", "core/pci", "core/rmmod", "core/strace",
	"core/umount", "core/uname", "core/unshare", "core/uptime", "exp/modprobe",

	// processes and network devices
	"core/id", "core/ip", "core/kill", "core/lsfd", "core/netcat", "core/netstat", "core/nohup",
	"core/pidof", "core/ping", "core/ps",

	// scripts and the terminal
	"core/base64", "core/date", "core/echo", "core/false", "core/printenv", "core/seq",
	"core/sleep", "core/stty", "core/time", "core/timeout", "core/true", "core/ts", "core/tty",
	"core/which", "core/yes",

	"core/poweroff", "core/shutdown",
}

func importPath(command string) string { return path.Join(uRoot, "cmds", command) }
