package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// clones is how many machines start from one template.
const clones = 6

// TestRealTemplates saves a real machine, starts others from it, and lets saving
// fail as it may.
func TestRealTemplates(t *testing.T) {
	needReal(t)
	r, dir := newReal(t), t.TempDir()
	templates := t.TempDir()
	exec := func(t *testing.T, env []string, args ...string) vmtestRun {
		t.Helper()
		env = append([]string{"VMTEST_TEMPLATES=" + templates}, env...)
		return r.run(t, dir, env, append([]string{"exec", "-kernel", realNew}, args...)...)
	}
	cold := exec(t, nil, "--", "uname", "-r")
	cold.want(t, 0, "6.12.")
	if strings.Contains(cold.stderr, "warm") {
		t.Fatal("the first machine is warm")
	}
	t.Run("clones", func(t *testing.T) {
		var runs []vmtestRun
		for range clones {
			runs = append(runs, exec(t, nil, "--", "sh", "-c", cloneScript))
		}
		checkClones(t, runs)
		if files, err := os.ReadDir(dir); err != nil || len(files) > 0 {
			t.Errorf("the guests wrote to the host: %v, %v", files, err)
		}
	})
	t.Run("killed", func(t *testing.T) {
		cmd := r.command(t.Context(), dir, []string{"VMTEST_TEMPLATES=" + templates}, "exec", "-kernel", realNew, "-append", "vmtest.killed", "--", "true")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		awaitGlob(t, filepath.Join(templates, "templates", "*.new-*", "ram"))
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		next := exec(t, nil, "-append", "vmtest.killed", "--", "true")
		next.want(t, 0)
		if strings.Contains(next.stderr, "warm") || strings.Contains(next.stderr, "without") {
			t.Errorf("after a run that was killed while it saved:\n%s", next.stderr)
		}
		if left, _ := filepath.Glob(filepath.Join(templates, "templates", "*.new-*")); len(left) > 0 {
			t.Errorf("%v are left", left)
		}
	})
	t.Run("disk full", func(t *testing.T) {
		small := t.TempDir()
		if err := unix.Mount("tmpfs", small, "tmpfs", 0, "size=32m"); err != nil {
			t.Fatal(err)
		}
		defer unix.Unmount(small, unix.MNT_DETACH)
		full := exec(t, []string{"VMTEST_TEMPLATES=" + small}, "--", "uname", "-r")
		full.want(t, 0, "6.12.", "start it from a template: ", "; booting it without")
		if left, _ := filepath.Glob(filepath.Join(small, "templates", "*", "ram")); len(left) > 0 {
			t.Errorf("%v are left", left)
		}
	})
}

// cloneScript says what must be one machine's alone, and leaves traces that no
// other may see.
const cloneScript = `cat /proc/sys/kernel/random/boot_id /proc/sys/kernel/random/uuid
head -c 16 /dev/urandom | od -An -tx1 | tr -d ' '
date +%s
ls /tmp . /sys/fs/bpf | grep trace
touch /tmp/trace ./trace
mkdir /sys/fs/bpf/trace
echo end`

func checkClones(t *testing.T, runs []vmtestRun) {
	t.Helper()
	seen := map[string]int{}
	for n, run := range runs {
		run.want(t, 0, ", warm")
		lines := strings.Fields(run.stdout)
		if len(lines) != 5 || lines[4] != "end" {
			t.Errorf("machine %d sees another's traces, or less than it should:\n%s", n, run.stdout)
			continue
		}
		for i, what := range []string{"boot id", "UUID", "random numbers"} {
			if other, ok := seen[lines[i]]; ok {
				t.Errorf("machines %d and %d have the same %s", other, n, what)
			}
			seen[lines[i]] = n
		}
		clock, err := strconv.ParseInt(lines[3], 10, 64)
		if age := time.Since(time.Unix(clock, 0)); err != nil || age < -2*time.Second || age > 5*time.Minute {
			t.Errorf("machine %d: the clock is %v off, %v", n, age, err)
		}
	}
}

// awaitGlob waits until a file is there.
func awaitGlob(t *testing.T, pattern string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if found, _ := filepath.Glob(pattern); len(found) > 0 {
			return
		}
	}
	t.Fatalf("no %s appears", pattern)
}
