package debuginfo

import (
	"debug/elf"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// needReal skips a test that compiles C, unless everything is to be tested.
func needReal(t *testing.T) {
	t.Helper()
	if os.Getenv("VMTEST_TESTS") != "all" {
		t.Skip("needs gcc: set VMTEST_TESTS=all")
	}
}

// code notes in .data where its nops are.
const code = `#define MARK(name) asm volatile("1: nop\n.pushsection .data\n.globl " #name "\n" #name ": .quad 1b\n.popsection")
static inline __attribute__((always_inline)) int inner(int x)
{
	MARK(at_inner);
	return x * 3;
}
static inline __attribute__((always_inline)) int middle(int x)
{
	return inner(x) + 1;
}
__attribute__((noinline)) int outer(int x)
{
	if (x > 2)
		return middle(x);
	MARK(at_outer);
	return x;
}
__attribute__((noinline, cold)) int unlikely(int x) // in a section that comes before the others
{
	MARK(at_unlikely);
	return x;
}
int _start(int x) { return x ? outer(x) : unlikely(x); }
`

// TestRealC has gcc compile what a kernel has, with the formats of old and new
// debug information.
func TestRealC(t *testing.T) {
	needReal(t)
	for _, flag := range []string{"-gdwarf-4", "-gdwarf-5", "-gz"} {
		t.Run(flag, func(t *testing.T) {
			dir := t.TempDir()
			build := filepath.Join(dir, "build")
			if err := os.MkdirAll(build, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.MkdirAll(filepath.Join(dir, "lib"), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "lib", "code.c"), []byte(code), 0o644); err != nil {
				t.Fatal(err)
			}
			gcc := exec.Command("gcc", "-g", flag, "-O2", "-no-pie", "-nostdlib", "-o", "vmlinux", "../lib/code.c")
			gcc.Dir = build
			if out, err := gcc.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			vmlinux := filepath.Join(build, "vmlinux")
			functions, marks := marksIn(t, vmlinux)
			at := func(function, mark string) string {
				f := functions[function]
				return fmt.Sprintf("%s+0x%x/0x%x", function, marks[mark]-f.Value, f.Size)
			}
			inner, outer, unlikely := at("outer", "at_inner"), at("outer", "at_outer"), at("unlikely", "at_unlikely")
			want := []string{
				inner + ": lib/code.c:4 in inner, inlined at lib/code.c:9 in middle, inlined at lib/code.c:14",
				outer + ": lib/code.c:15",
				unlikely + ": lib/code.c:20",
			}
			got := NewDecoder(vmlinux).Decode([]string{"[    1.0] RIP: 0010:" + inner, "[    1.0] pc : " + outer, "[    1.0] lr : " + unlikely})
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// marksIn reads where the functions are, and the marks.
func marksIn(t *testing.T, path string) (functions map[string]elf.Symbol, marks map[string]uint64) {
	t.Helper()
	f, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	symbols, err := f.Symbols()
	if err != nil {
		t.Fatal(err)
	}
	functions, marks = map[string]elf.Symbol{}, map[string]uint64{}
	for _, s := range symbols {
		switch s.Name {
		case "outer", "unlikely":
			functions[s.Name] = s
		case "at_inner", "at_outer", "at_unlikely":
			section := f.Sections[s.Section]
			data, err := section.Data()
			if err != nil {
				t.Fatal(err)
			}
			marks[s.Name] = binary.LittleEndian.Uint64(data[s.Value-section.Addr:])
		}
	}
	return functions, marks
}
