package bundle

import (
	"bufio"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// meanings says what the files of each level are.
var meanings = []struct{ name, what string }{
	{"KERNEL/" + About, "which kernel it was, and on what it ran"},
	{"KERNEL/" + Console, "everything that the kernel printed"},
	{"KERNEL/" + QEMU, "the command line of QEMU"},
	{"KERNEL/" + Config, "the kernel's configuration"},
	{"KERNEL/" + BTF, "the kernel's types: bpftool btf dump file " + BTF},
	{"KERNEL/PACKAGE/" + Output, "what the package printed beside its tests"},
	{"KERNEL/PACKAGE/" + Artifacts + "/", "what its tests wrote to $VMTEST_ARTIFACTS, and with t.ArtifactDir below _artifacts"},
	{"KERNEL/PACKAGE/" + Cores + "/", "core dumps, with the program that dumped them: dlv core PROGRAM CORE"},
	{"KERNEL/PACKAGE/TEST/" + Output, "everything that a failed test printed"},
	{"KERNEL/PACKAGE/TEST/" + Dmesg, "what the kernel printed while it ran"},
}

// title is what the page begins with.
const title = "What a run of vmtest has left."

// listed is how many files of a kernel are listed.
const listed = 200

// Explain writes what the files of a bundle are, and lists them.
func Explain(w io.Writer, dir string) error {
	out := bufio.NewWriter(w)
	fmt.Fprint(out, title+" For each kernel, package and test that there is\nsomething of:\n\n")
	for _, m := range meanings {
		fmt.Fprintf(out, "  %-31s %s\n", m.name, m.what)
	}
	fmt.Fprint(out, "\nWhere reports show no lines of source beside a fault of the kernel, there was no debug\ninformation of it: "+About+" names the file where there was.\n")
	kernels, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, k := range kernels {
		path := filepath.Join(dir, k.Name())
		if !isKernel(path) {
			continue
		}
		if err := list(out, path); err != nil {
			return err
		}
	}
	return out.Flush()
}

// list lists a kernel's files.
func list(w io.Writer, dir string) error {
	fmt.Fprintf(w, "\n%s/\n", filepath.Base(dir))
	n := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if n++; n > listed {
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		fmt.Fprintf(w, "  %9s  %s\n", size(info.Size()), name)
		return err
	})
	if n > listed {
		fmt.Fprintf(w, "  … and %d more\n", n-listed)
	}
	return err
}

// size is 16.2 MiB, 300 KiB, 12 B.
func size(n int64) string {
	if n < 1<<10 {
		return fmt.Sprintf("%d B", n)
	}
	value, units := float64(n), []string{"B", "KiB", "MiB", "GiB"}
	for len(units) > 1 && value >= 1<<10 {
		value, units = value/(1<<10), units[1:]
	}
	return strings.Replace(fmt.Sprintf("%.1f %s", value, units[0]), ".0 ", " ", 1)
}
