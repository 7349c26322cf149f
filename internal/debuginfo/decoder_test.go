package debuginfo

import (
	"debug/elf"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPlacesIn(t *testing.T) {
	report := strings.Split(`[    1.000000] WARNING: CPU: 1 PID: 77 at kernel/fake.c:42 fake_update_elem+0x1c/0x30
[    1.000000][  T77] Modules linked in: dummy(+)
[    1.000000] RIP: 0010:fake_update_elem+0x1c/0x30
[    1.000000] Code: 0f 0b
[    1.000000] Call Trace:
[    1.000000]  <TASK>
[    1.000000]  ? fake_not_sure+0x1/0x2
[    1.000000]  dummy_setup+0x10/0x20 [dummy]
[    1.000000]  fake_update_elem+0x1c/0x30
[    1.000000]  bpf_map_update_value.isra.0+0x8e/0x2a0
[    1.000000]  beyond+0x20/0x10
[    1.000000]  bpf_prog_0123456789abcdef_f+0x8/0xffffffffffffffff
[    1.000000]  too_large+0x8/0x10000000000000000
[    1.000000] pc : arm_function+0x4/0x8
[    1.000000] lr : arm_caller+0x4/0x8`, "\n")
	want := []place{
		{function: "fake_update_elem", offset: 0x1c, size: 0x30},
		{function: "fake_not_sure", offset: 1, size: 2, after: true, unsure: true},
		{function: "bpf_map_update_value.isra.0", offset: 0x8e, size: 0x2a0, after: true},
		{function: "bpf_prog_0123456789abcdef_f", offset: 0x8, size: 0xffffffffffffffff, after: true},
		{function: "arm_function", offset: 4, size: 8},
		{function: "arm_caller", offset: 4, size: 8},
	}
	if diff := cmp.Diff(want, placesIn(report), cmp.AllowUnexported(place{})); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// program tells where it is, as the Go runtime knows it: for each function that
// was called its name and offset, and the lines with what is inlined there.
const program = `package main

import (
	"fmt"
	"runtime"
)

func main() { outer(1) }

//go:noinline
func outer(n int) int {
	return upper(n) + 1
}

func upper(n int) int { return lower(n) * 3 }

func lower(n int) int { return inner(n) * 2 }

func inner(n int) int {
	var pcs [10]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(1, pcs[:])])
	text, pc := "", uintptr(0)
	for more := true; more; {
		var f runtime.Frame
		f, more = frames.Next()
		if text == "" {
			pc = f.PC + 1 // it is that of the call
		}
		text += fmt.Sprintf("%s:%d", f.File, f.Line)
		if f.Func == nil {
			text += " in " + f.Function + ", inlined at "
			continue
		}
		fmt.Printf("%s %x %s\n", f.Function, pc-f.Entry, text)
		text = ""
	}
	return n
}
`

// TestDecode asks for the lines of a Go program that knows them itself.
func TestDecode(t *testing.T) {
	dir := t.TempDir()
	binary := filepath.Join(dir, "program")
	if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte(program), 0o644); err != nil {
		t.Fatal(err)
	}
	build := exec.Command("go", "build", "-o", binary, "main.go")
	build.Dir = dir
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	out, err := exec.Command(binary).Output()
	if err != nil {
		t.Fatal(err)
	}
	sizes := sizesOf(t, binary)
	var report, want []string
	for line := range strings.Lines(string(out)) {
		function, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		offset, lines, _ := strings.Cut(rest, " ")
		if !strings.HasPrefix(function, "main.") {
			continue // the others' sizes differ: they are assembly, or have labels in them
		}
		at := fmt.Sprintf("%s+0x%s/0x%x", function, offset, sizes[function])
		report = append(report, "[    1.000000]  "+at)
		want = append(want, at+": "+lines)
	}
	if !strings.Contains(string(out), " in main.lower, inlined at ") {
		t.Fatalf("nothing is inlined:\n%s", out)
	}
	d := NewDecoder(filepath.Join(dir, "missing"), filepath.Join(dir, "main.go"), binary)
	for range 2 { // the second time from memory
		if diff := cmp.Diff(want, d.Decode(report)); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	}
	// Another kernel's function of that name.
	if got := d.Decode([]string{"  main.outer+0x1/0x7777"}); len(got) > 0 {
		t.Errorf("got %q for a function that is not there", got)
	}
}

func sizesOf(t *testing.T, binary string) map[string]uint64 {
	t.Helper()
	f, err := elf.Open(binary)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	symbols, err := f.Symbols()
	if err != nil {
		t.Fatal(err)
	}
	sizes := map[string]uint64{}
	for _, s := range symbols {
		sizes[s.Name] = s.Size
	}
	return sizes
}

func TestWithoutLines(t *testing.T) {
	d := NewDecoder(Files("/none", "6.12.1")...)
	if d.Path() != "" || d.Decode([]string{"  f+0x1/0x2"}) != nil {
		t.Errorf("there are lines of %q", d.Path())
	}
	for _, release := range []string{"", "../../../tmp/6.12"} {
		if files := Files("/", release); files != nil {
			t.Errorf("release %q has files %q", release, files)
		}
	}
}

// TestFlood is about a test that reports more than any kernel.
func TestFlood(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	d := NewDecoder()
	d.path = self
	for i := range 2 * maxPlaces {
		d.Decode([]string{fmt.Sprintf("  f%d+0x1/0x2", i)})
	}
	if len(d.known) > maxPlaces {
		t.Errorf("%d places are known", len(d.known))
	}
}
