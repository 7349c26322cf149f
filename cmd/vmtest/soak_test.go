package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestSoak starts 200 machines, one after the other and then 20 at a time, in this
// process, and counts what they leave in it and beside it. VMTEST_SOAK is another
// number, VMTEST_KERNEL_DEFAULT another kernel.
func TestSoak(t *testing.T) {
	if os.Getenv("VMTEST_TESTS") != "soak" {
		t.Skip("starts 400 machines, which takes minutes: VMTEST_TESTS=soak runs it")
	}
	number := 200
	if s := os.Getenv("VMTEST_SOAK"); s != "" {
		var err error
		if number, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	r := newReal(t)
	for _, v := range r.env {
		name, value, _ := strings.Cut(v, "=")
		t.Setenv(name, value)
	}
	t.Chdir(t.TempDir())
	soak(t, r, 1, 1) // what is made once
	for _, atOnce := range []int{1, 20} {
		before := take(r)
		start := time.Now()
		soak(t, r, number, atOnce)
		after := take(r)
		t.Logf("%d machines, %d at a time, in %v\nbefore: %v\nafter:  %v", number, atOnce, time.Since(start).Round(time.Second), before, after)
		if after.files > before.files || after.machines > 0 || after.temporary > before.temporary {
			t.Error("something is left")
		}
		// The runtime keeps threads and memory for later.
		if after.goroutines > before.goroutines+2 || after.threads > before.threads+2*atOnce+10 || after.memory > before.memory+64<<20 {
			t.Error("it grows")
		}
	}
}

// soak runs a command in each of so many machines.
func soak(t *testing.T, r *realVmtest, number, atOnce int) {
	t.Helper()
	var group sync.WaitGroup
	turns := make(chan struct{}, atOnce)
	for i := range number {
		turns <- struct{}{}
		group.Go(func() {
			defer func() { <-turns }()
			var stdout, stderr bytes.Buffer
			a := &app{stdin: os.Stdin, stdout: &stdout, stderr: &stderr, interrupts: &interrupts{}}
			code := a.main(t.Context(), []string{"exec", "-memory", "512", "-boot-timeout", "10m", "--", "sh", "-c", fmt.Sprintf("echo machine %d; exit 7", i)})
			if code != 7 || stdout.String() != fmt.Sprintf("machine %d\n", i) {
				t.Errorf("machine %d: exit code %d, %q\n%s", i, code, &stdout, &stderr)
			}
		})
	}
	group.Wait()
}

// A toll is what this process has, and what is there of it.
type toll struct {
	files, threads, goroutines, machines, temporary int
	memory                                          int // resident bytes
}

func (x toll) String() string {
	return fmt.Sprintf("%d descriptors, %d threads, %d goroutines, %d machines, %d temporary files, %.1f MiB",
		x.files, x.threads, x.goroutines, x.machines, x.temporary, float64(x.memory)/(1<<20))
}

func take(r *realVmtest) toll {
	runtime.GC()
	time.Sleep(time.Second) // for goroutines that are about to end
	x := toll{goroutines: runtime.NumGoroutine(), machines: len(machinesBelow(r.cache))}
	count := func(pattern string) int {
		found, _ := filepath.Glob(pattern)
		return len(found)
	}
	x.files, x.threads = count("/proc/self/fd/*"), count("/proc/self/task/*")
	x.temporary = count(filepath.Join(r.cache, "tmp", "*")) + count(filepath.Join(r.tmp, "*"))
	if f, err := os.Open("/proc/self/statm"); err == nil {
		b, _ := io.ReadAll(f)
		f.Close()
		if fields := strings.Fields(string(b)); len(fields) > 1 {
			pages, _ := strconv.Atoi(fields[1])
			x.memory = pages * os.Getpagesize()
		}
	}
	return x
}
