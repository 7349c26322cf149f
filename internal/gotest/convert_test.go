package gotest

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bpf-vmtest/bpf-vmtest/internal/result"
)

// An event as test2json prints it, as far as it does not change from run to
// run.
type event struct {
	Action, Test, Output, Key, Value, Path string `json:",omitempty"`
}

// convert feeds output to a Converter, some bytes at a time.
func convert(known []string, out []byte, chunk int) (events []event, c *Converter) {
	c = NewConverter(func(test string) bool { return slices.Contains(known, test) }, func(e result.Event) {
		events = append(events, event{string(e.Action), e.Test, e.Output, e.Key, e.Value, e.Path})
	})
	for len(out) > 0 {
		n := min(chunk, len(out))
		_, _ = c.Write(out[:n])
		out = out[n:]
	}
	c.Close()
	return events, c
}

// test2json is what the go command's own converter makes of the same output.
func test2json(t *testing.T, out []byte) []event {
	t.Helper()
	cmd := exec.Command("go", "tool", "test2json")
	cmd.Stdin = bytes.NewReader(out)
	stdout, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var events []event
	for dec := json.NewDecoder(bytes.NewReader(stdout)); dec.More(); {
		var e event
		if err := dec.Decode(&e); err != nil {
			t.Fatal(err)
		}
		if e.Action == "start" || e.Test == "" && e.Action != "output" {
			continue // the package's verdict is the runner's business
		}
		events = append(events, e)
	}
	return events
}

// join merges neighbouring output of one test: where it is cut does not matter.
func join(events []event) []event {
	var joined []event
	for _, e := range events {
		if last := len(joined) - 1; last >= 0 && e.Action == "output" && joined[last].Action == "output" && joined[last].Test == e.Test {
			joined[last].Output += e.Output
			continue
		}
		joined = append(joined, e)
	}
	return joined
}

const noisyTests = `package m

import (
	"fmt"
	"os"
	"testing"
	"time"
)

func TestPlain(t *testing.T) { t.Log("one\ntwo") }

func TestUnfinishedLine(t *testing.T) { fmt.Print("no newline") }

func TestFails(t *testing.T) { t.Log("before"); t.Error("wrong"); fmt.Println("after") }

func TestSubs(t *testing.T) {
	t.Run("first", func(t *testing.T) { t.Log("in first") })
	t.Run("deep", func(t *testing.T) {
		t.Run("er", func(t *testing.T) { fmt.Print("unfinished again"); t.Fail() })
	})
	t.Run("", func(t *testing.T) {})
	t.Run("a b/c#1 ü\x01", func(t *testing.T) {})
	t.Run("PASS: TestPlain (0.00s)", func(t *testing.T) {})
}

func TestParallel(t *testing.T) {
	for i := range 4 {
		t.Run(fmt.Sprint("p", i), func(t *testing.T) {
			t.Parallel()
			for j := range 3 {
				t.Log("step", j)
				time.Sleep(time.Duration(i+1) * time.Millisecond)
			}
			if i == 2 {
				t.Error("odd one out")
			}
		})
	}
}

func TestTopParallel1(t *testing.T) { t.Parallel(); t.Log("a"); time.Sleep(3 * time.Millisecond); t.Log("b") }
func TestTopParallel2(t *testing.T) { t.Parallel(); t.Log("c"); time.Sleep(3 * time.Millisecond); t.Log("d") }

func TestSkips(t *testing.T) { t.Skip("not today") }

func TestAttr(t *testing.T) {
	t.Attr("key", "a value with spaces")
	fmt.Fprintln(t.Output(), "to Output")
}

func TestCleanup(t *testing.T) {
	t.Cleanup(func() { t.Log("cleaning up") })
	t.Run("sub", func(t *testing.T) { t.Cleanup(func() { fmt.Println("sub's cleanup") }) })
}

func TestStderr(t *testing.T) { fmt.Fprintln(os.Stderr, "to standard error") }

func TestLookalikes(t *testing.T) {
	fmt.Println("=== RUN   TestNever")
	fmt.Println("--- FAIL: TestNever (0.00s)")
	fmt.Println("    --- FAIL: TestNever/sub (0.00s)")
	fmt.Println("PASS")
	fmt.Println("FAIL\tm\t0.1s")
	fmt.Println("ok  \tm\t0.1s")
	fmt.Println("\ttabs and\r\ncarriage returns\r")
}

func BenchmarkOne(b *testing.B)  { for b.Loop() {} }
func BenchmarkLogs(b *testing.B) { b.Log("logged"); for b.Loop() {} }
func BenchmarkSubs(b *testing.B) { b.Run("sub", func(b *testing.B) { for b.Loop() {} }); b.Run("skip", func(b *testing.B) { b.Skip("no") }) }

func ExampleGood() {
	fmt.Println("printed")
	// Output: printed
}
func ExampleBad() {
	fmt.Println("printed")
	// Output: something else
}

func FuzzSeeds(f *testing.F) {
	f.Add(1)
	f.Add(2)
	f.Fuzz(func(t *testing.T, n int) { if n == 2 { t.Error("two") } })
}

func TestZPanics(t *testing.T) {
	t.Run("inside", func(t *testing.T) {
		if os.Getenv("PANIC") != "" {
			panic("on purpose")
		}
	})
}

func TestZZExits(t *testing.T) {
	if os.Getenv("EXIT") != "" {
		os.Exit(0)
	}
}

func TestZZZHangs(t *testing.T) {
	if os.Getenv("HANG") != "" {
		select {}
	}
}
`

var noisyNames = []string{
	"TestPlain", "TestUnfinishedLine", "TestFails", "TestSubs", "TestParallel", "TestTopParallel1", "TestTopParallel2",
	"TestSkips", "TestAttr", "TestCleanup", "TestStderr", "TestLookalikes", "BenchmarkOne", "BenchmarkLogs",
	"BenchmarkSubs", "ExampleGood", "ExampleBad", "FuzzSeeds", "TestZPanics", "TestZZExits", "TestZZZHangs",
}

// buildTests compiles a module with one test file and returns the binary.
func buildTests(t *testing.T, source string) string {
	t.Helper()
	dir := writeModule(t, map[string]string{"m_test.go": source})
	binary := filepath.Join(dir, "m.test")
	cmd := exec.Command("go", "test", "-c", "-vet=off", "-o", binary, ".")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return binary
}

// TestConverterAgrees compares with the go command's converter over what real
// test binaries print.
func TestConverterAgrees(t *testing.T) {
	binary := buildTests(t, noisyTests)
	for _, tt := range []struct {
		name string
		env  string
		args []string
		last string // failed in a panic, which test2json takes for the package's end
	}{
		{"everything", "", nil, ""},
		{"twice", "", []string{"-test.count=2"}, ""},
		{"benchmarks", "", []string{"-test.run=^$", "-test.bench=.", "-test.benchtime=1x"}, ""},
		{"shuffled", "", []string{"-test.shuffle=5"}, ""},
		{"failfast", "", []string{"-test.failfast"}, ""},
		{"nothing", "", []string{"-test.run=NoSuch"}, ""},
		{"panic", "PANIC=1", nil, "TestZPanics"},
		{"panic of all", "PANIC=1", []string{"-test.run=Panics"}, "TestZPanics"},
		{"exit", "EXIT=1", []string{"-test.paniconexit0"}, "TestZZExits"},
		// Only a test that passes or hangs: a deadline just after a failure's
		// report is again what test2json takes for the package's end.
		{"timeout", "HANG=1", []string{"-test.timeout=50ms", "-test.run=Plain|Hangs"}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cmd := exec.Command(binary, append([]string{"-test.v=test2json"}, tt.args...)...)
			cmd.Env = append(os.Environ(), tt.env)
			out, _ := cmd.CombinedOutput() // most of these fail
			want := test2json(t, out)
			if tt.last != "" {
				want = append(want, event{Action: "fail", Test: tt.last})
			}
			for _, chunk := range []int{1, 7, 4096, len(out)} {
				got, _ := convert(noisyNames, out, chunk)
				if diff := cmp.Diff(join(want), join(got)); diff != "" {
					t.Fatalf("chunks of %d bytes (-test2json +converter):\n%s\noutput:\n%q", chunk, diff, out)
				}
			}
		})
	}
}

func TestConverterCutsLongLines(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	out := "\x16=== RUN   TestA\n" + long + "\n" + long + "\x16--- PASS: TestA (0.00s)\n\x16PASS\n"
	events, c := convert([]string{"TestA"}, []byte(out), 32<<10)
	var text strings.Builder
	for _, e := range events {
		text.WriteString(e.Output)
		if len(e.Output) > 2*lineLimit {
			t.Errorf("an event of %d bytes", len(e.Output))
		}
	}
	if want := strings.ReplaceAll(out, "\x16", ""); text.String() != want {
		t.Errorf("output of %d bytes, want %d", text.Len(), len(want))
	}
	if !c.Finished() || len(c.Running()) > 0 {
		t.Errorf("Finished = %v, Running = %v", c.Finished(), c.Running())
	}
}

// TestConverterBelieves is about what a test prints as if it were the testing
// package.
func TestConverterBelieves(t *testing.T) {
	for _, tt := range []struct {
		name, out string
		verdicts  []string // action and test, of reports only
		running   []string
		finished  bool
	}{
		{
			name:     "a report",
			out:      "\x16=== RUN   TestA\n\x16--- PASS: TestA (0.00s)\n\x16PASS\n",
			verdicts: []string{"pass TestA"}, finished: true,
		},
		{
			name:    "no marker",
			out:     "\x16=== RUN   TestA\n--- PASS: TestA (0.00s)\nPASS\n",
			running: []string{"TestA"},
		},
		{
			name:    "another test's report",
			out:     "\x16=== RUN   TestA\n\x16--- PASS: TestB (0.00s)\n",
			running: []string{"TestA"},
		},
		{
			name:     "a test that the package does not have",
			out:      "\x16=== RUN   TestX\n\x16--- FAIL: TestX (0.00s)\n\x16=== RUN   TestA\n\x16--- PASS: TestA (0.00s)\n",
			verdicts: []string{"pass TestA"},
		},
		{
			name:    "a subtest of no test",
			out:     "\x16=== RUN   TestA/sub\n\x16--- PASS: TestA/sub (0.00s)\n\x16=== RUN   TestA\n",
			running: []string{"TestA"},
		},
		{
			name:     "a failure after a pass",
			out:      "\x16=== RUN   TestA\n\x16--- PASS: TestA (0.00s)\n\x16--- FAIL: TestA (0.00s)\n",
			verdicts: []string{"pass TestA", "fail TestA"},
		},
		{
			name:     "a pass after a failure",
			out:      "\x16=== RUN   TestA\n\x16--- FAIL: TestA (0.00s)\n\x16--- PASS: TestA (0.00s)\n",
			verdicts: []string{"fail TestA"},
		},
		{
			name:    "broken times",
			out:     "\x16=== RUN   TestA\n\x16--- PASS: TestA (soon)\n\x16--- PASS: TestA (1e999s)\n\x16--- PASS:\n\x16--- \n\x16=== \n\x16===\n\x16\n\x16\x16\x16",
			running: []string{"TestA"},
		},
		{
			name:    "a running benchmark",
			out:     "\x16=== RUN   BenchmarkA\nBenchmarkA\n",
			running: []string{"BenchmarkA"},
		},
		{
			name: "a benchmark that is over",
			out:  "\x16=== RUN   BenchmarkA\nBenchmarkA\nBenchmarkA-2 1 1 ns/op\n\x16=== NAME  \n",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			events, c := convert([]string{"TestA", "TestB", "BenchmarkA"}, []byte(tt.out), 5)
			var verdicts []string
			for _, e := range events {
				switch e.Action {
				case "pass", "fail", "skip":
					verdicts = append(verdicts, e.Action+" "+e.Test)
				}
			}
			if diff := cmp.Diff(tt.verdicts, verdicts); diff != "" {
				t.Errorf("verdicts (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.running, c.Running()); diff != "" {
				t.Errorf("Running (-want +got):\n%s", diff)
			}
			if c.Finished() != tt.finished {
				t.Errorf("Finished = %v, want %v", c.Finished(), tt.finished)
			}
		})
	}
}

func FuzzConverter(f *testing.F) {
	f.Add([]byte("\x16=== RUN   TestA\nx\x16--- PASS: TestA (0.00s)\n\x16PASS\n"))
	f.Add([]byte("\x16=== NAME  \n    --- FAIL: \x16\xff\n"))
	f.Fuzz(func(t *testing.T, out []byte) {
		whole, _ := convert([]string{"TestA"}, out, len(out)+1)
		bytewise, _ := convert([]string{"TestA"}, out, 1)
		if diff := cmp.Diff(join(whole), join(bytewise)); diff != "" {
			t.Errorf("it depends on how the output is cut:\n%s", diff)
		}
	})
}

// TestMute is about a binary that has printed too much: whatever it prints, the
// events that follow are few.
func TestMute(t *testing.T) {
	var events []event
	known := []string{"TestA", "TestB", "TestC"}
	c := NewConverter(func(test string) bool { return slices.Contains(known, test) }, func(e result.Event) {
		events = append(events, event{Action: string(e.Action), Test: e.Test, Output: e.Output})
	})
	write := func(lines ...string) {
		for _, line := range lines {
			_, _ = c.Write([]byte(line + "\n"))
		}
	}
	write("\x16=== RUN   TestA", "\x16=== RUN   TestA/before", "text")
	events = nil
	c.Mute()
	for range 1000 {
		write("text", "\x16=== ATTR  TestA k v", "\x16=== CONT  TestA", "\x16=== PAUSE TestA", "\x16=== NAME  TestA", "\x16=== RUN   TestA/after",
			"\x16    --- PASS: TestA/after (0.00s)", "\x16=== RUN   TestC", "\x16--- PASS: TestC (0.00s)", "\x16BenchmarkX")
	}
	write("\x16    --- FAIL: TestA/before (0.00s)", "\x16--- FAIL: TestA (0.00s)", "\x16=== RUN   TestB", "\x16--- PASS: TestB (0.00s)", "\x16FAIL")
	c.Close()
	want := []event{
		{Action: "run", Test: "TestC"}, {Action: "pass", Test: "TestC"},
		{Action: "fail", Test: "TestA/before"}, {Action: "fail", Test: "TestA"},
		{Action: "run", Test: "TestB"}, {Action: "pass", Test: "TestB"},
	}
	if diff := cmp.Diff(want, events); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if !c.Finished() || len(c.Running()) > 0 {
		t.Errorf("finished %v, running %v", c.Finished(), c.Running())
	}
}
