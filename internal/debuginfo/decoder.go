// Package debuginfo finds the source lines of what a kernel names in its reports,
// in the debug information of its vmlinux.
package debuginfo

import (
	"debug/elf"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
)

// A Decoder finds lines for one kernel. It may be used by several goroutines.
type Decoder struct {
	path string // of the vmlinux; empty where there is none

	mu     sync.Mutex
	known  map[place]string
	broken bool // it could not be read
}

// NewDecoder reads the first of these files that is there and has debug
// information. It is read when it is needed; one of another kernel does no harm.
func NewDecoder(files ...string) *Decoder {
	d := &Decoder{known: map[place]string{}}
	for _, file := range files {
		if hasLines(file) {
			d.path = file
			break
		}
	}
	return d
}

// Path is that of the file with debug information, or empty where there is none.
func (d *Decoder) Path() string { return d.path }

// Files are where distributions' packages put the debug information of a release,
// and vmtest kernel extract, below root.
func Files(root, release string) []string {
	if release == "" || strings.Contains(release, "/") { // it is the guest that says it
		return nil
	}
	return []string{
		filepath.Join(root, "usr/lib/debug/lib/modules", release, "vmlinux"), // our own part debug
		filepath.Join(root, "usr/lib/debug/boot", "vmlinux-"+release),        // Debian's linux-image-…-dbg
	}
}

// A place is where the kernel was: 0x1c bytes into a function of 0x30 bytes.
type place struct {
	function     string
	offset, size uint64
	after        bool // the instruction before: it is the address to return to
	unsure       bool // that it was there: the kernel says "? f"
}

// maxPlaces is how many are looked for of one kernel: a test can write reports in
// its name.
const maxPlaces = 500

// Decode says of the functions named in a report at which lines they were, one
// line of text for each:
//
//	f+0x1c/0x30: lib/f.c:12 in g, inlined at lib/f.c:40
//
// Functions of modules, and what has another size in the file, are left out.
func (d *Decoder) Decode(report []string) (lines []string) {
	if d.path == "" {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	places := placesIn(report)
	d.learn(places)
	for _, p := range places {
		if text := d.known[p]; text != "" {
			lines = append(lines, p.String()+": "+text)
		}
	}
	return lines
}

// learn finds what is not known yet. Of a file that is just being written, or is
// not what it seems, there are no lines.
func (d *Decoder) learn(places []place) {
	var image *image
	for _, p := range places {
		if _, known := d.known[p]; known || d.broken || len(d.known) >= maxPlaces {
			continue
		}
		if image == nil {
			var err error
			if image, err = open(d.path); err != nil {
				d.broken = true
				return
			}
			defer debug.FreeOSMemory() // machines can use it
		}
		d.known[p] = describe(image.frames(p))
	}
}

func (p place) String() string {
	sure := ""
	if p.unsure {
		sure = "? "
	}
	return sure + p.function + "+0x" + strconv.FormatUint(p.offset, 16) + "/0x" + strconv.FormatUint(p.size, 16)
}

// describe is empty where there are no frames.
func describe(frames []frame) string {
	var b strings.Builder
	for i, f := range frames {
		b.WriteString(f.file + ":" + strconv.Itoa(f.line))
		if i < len(frames)-1 {
			b.WriteString(" in " + f.function + ", inlined at ")
		}
	}
	return b.String()
}

var (
	timestamp = regexp.MustCompile(`^(?:<\d+>)?(?:\[[^\]]*\] ?)*`)
	// What is before the function, it, offset and size, and of a module which.
	functionAt = regexp.MustCompile(`^(.*[ :])([A-Za-z_][\w.]*)\+0x([0-9a-f]+)/0x([0-9a-f]+)( \[)?`)
)

// placesIn reads a report. In a trace, which has only spaces before the function
// and perhaps a question mark, there are the addresses of the instructions that
// come next.
func placesIn(report []string) (places []place) {
	seen := map[string]bool{}
	for _, line := range report {
		m := functionAt.FindStringSubmatch(timestamp.ReplaceAllString(line, ""))
		if m == nil || m[5] != "" {
			continue
		}
		p := place{function: m[2], after: strings.Trim(m[1], " ?") == "", unsure: strings.HasSuffix(m[1], "? ")}
		var err1, err2 error
		p.offset, err1 = strconv.ParseUint(m[3], 16, 64)
		p.size, err2 = strconv.ParseUint(m[4], 16, 64)
		if errors.Join(err1, err2) != nil || p.offset > p.size || seen[p.String()] {
			continue
		}
		seen[p.String()] = true
		places = append(places, p)
	}
	return places
}

// hasLines reports whether a file is an ELF file with debug information.
func hasLines(path string) bool {
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
		return false
	}
	f, err := elf.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	return f.Section(".debug_info") != nil || f.Section(".zdebug_info") != nil
}
