package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"
)

// A promise is what vmtest does about a fault: a row of docs/faults.md.
type promise struct {
	id    string
	fault string // what happens
	shown string // what a user sees of it
	code  string // exit codes
	proof proof
}

// A proof makes a fault happen and checks what comes of it.
type proof func(*faults, *testing.T)

// A promiseGroup is the promises about one part of the world.
type promiseGroup struct {
	title    string
	promises []promise
}

// TestFault makes every fault of docs/faults.md happen, in real guests and with
// real registries where VMTEST_TESTS=all. A fault alone: -run TestFault/G2. A table of
// what came of them goes into the file that VMTEST_FAULT_TABLE names.
func TestFault(t *testing.T) {
	f := newFaults(t)
	t.Cleanup(func() { faultSeen.write(t) })
	seen := map[string]bool{}
	for _, g := range promises {
		for _, p := range g.promises {
			if seen[p.id] {
				t.Errorf("%s is promised twice", p.id)
			}
			seen[p.id] = true
			t.Run(p.id, func(t *testing.T) {
				t.Parallel()
				p.proof(f, t)
			})
		}
	}
}

// TestFaultsDocument keeps docs/faults.md what is tested.
func TestFaultsDocument(t *testing.T) {
	const file = "../../docs/faults.md"
	var b strings.Builder
	b.WriteString(faultsIntroduction)
	for _, g := range promises {
		fmt.Fprintf(&b, "\n## %s\n\n| | what happens | what you see | exit code |\n|---|---|---|---|\n", g.title)
		for _, p := range g.promises {
			fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", p.id, p.fault, p.shown, p.code)
		}
	}
	if *update {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(have), b.String()); diff != "" {
		t.Errorf("%s is not what is tested, -update writes it (-file +tests):\n%s", file, diff)
	}
}

const faultsIntroduction = "# Faults\n\n" +
	"What can go wrong in a run, and what comes of it. Each row is a test that makes the fault happen, in a real guest or\n" +
	"with a real registry: `VMTEST_TESTS=all go test ./cmd/vmtest -run TestFault/G2`. This page is made from these tests.\n\n" +
	"In every row the run ends by itself; no QEMU, no temporary file and nothing half-written is left; what is shared with\n" +
	"the guest is as it was; all output up to the fault is kept, and so is what the kernel printed. Exit codes are\n" +
	"[those of every run](results.md#exit-codes): 1 is about the tests, 2 about what was asked for, 3 about everything else.\n"

// faults is what the proofs share. What one of them needs is made when it is
// needed, in the name of the whole test.
type faults struct {
	real                                    func() *realVmtest
	inits                                   func() string
	guest, toolchain, output, ends, booting func() vmtestRun
}

func newFaults(t *testing.T) *faults {
	f := &faults{
		real:  sync.OnceValue(func() *realVmtest { return newReal(t) }),
		inits: sync.OnceValue(func() string { return buildInits(t) }),
	}
	run := func(do func(*realVmtest, *testing.T) vmtestRun) func() vmtestRun {
		return sync.OnceValue(func() vmtestRun { return do(f.real().apart(t), t) })
	}
	f.guest, f.toolchain, f.output, f.ends, f.booting = run(runGuest), run(runToolchain), run(runOutput), run(runEnds), run(runBooting)
	return f
}

// script proves a promise with a script of testdata/fault, where machines are
// fake ones.
func script(name string) proof {
	return func(f *faults, t *testing.T) {
		params := scriptParams(t, f.inits())
		params.Files = []string{"testdata/fault/" + name + ".txt"}
		testscript.Run(t, params)
	}
}

// pulls proves a promise with scripts of testdata/pull, which have a registry.
func pulls(names ...string) proof {
	return func(f *faults, t *testing.T) {
		needReal(t)
		params := pullParams(t, f.inits())
		for _, name := range names {
			params.Files = append(params.Files, "testdata/pull/"+name+".txt")
		}
		testscript.Run(t, params)
	}
}

// tested proves a promise with a test of another package.
func tested(pkg, test string) proof {
	return func(_ *faults, t *testing.T) {
		start := time.Now()
		out, err := exec.CommandContext(t.Context(), "go", "test", "-v", "-run", "^"+test+"$", pkg).CombinedOutput()
		if err != nil || !strings.Contains(string(out), "--- PASS: "+test+" ") {
			t.Errorf("%s of %s did not pass: %v\n%s", test, pkg, err, out)
		}
		faultSeen.note(t, "–", test+" of "+strings.TrimPrefix(pkg, "../../")+" looks at it", time.Since(start), nil)
	}
}

// real is a proof with real kernels.
func real(prove proof) proof {
	return func(f *faults, t *testing.T) {
		needReal(t)
		prove(f, t)
	}
}

// alone is a proof with real kernels and a program of its own.
func alone(prove func(*realVmtest, *testing.T)) proof {
	return real(func(f *faults, t *testing.T) { prove(f.real().apart(t), t) })
}

// executed is a proof with a shell's command line in a guest.
func executed(line string, code int, printed ...string) proof {
	return alone(func(r *realVmtest, t *testing.T) {
		r.run(t, t.TempDir(), nil, "exec", "-kernel", realNew, "--", "sh", "-c", line).want(t, code, printed...)
	})
}

// all is several proofs of one promise.
func all(proofs ...proof) proof {
	return func(f *faults, t *testing.T) {
		for i, prove := range proofs {
			t.Run(fmt.Sprint(i+1), func(t *testing.T) { prove(f, t) })
		}
	}
}
