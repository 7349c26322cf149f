package main

import (
	"cmp"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// A faultLog is what came of the faults that were made to happen: by row, the runs in
// the order in which they were looked at.
type faultLog struct {
	mu   sync.Mutex
	rows map[string][]string // cells of the table, from the exit code on
}

var faultSeen faultLog

// note logs what came of a run and keeps it for the row that t belongs to.
func (l *faultLog) note(t testing.TB, code, line string, took time.Duration, left []string) {
	seconds := "–"
	if took > 0 {
		seconds = fmt.Sprintf("%.1f", took.Seconds())
	}
	leftovers := cmp.Or(strings.Join(left, " "), "none")
	t.Logf("exit code %s after %s s: %s; left behind: %s", code, seconds, line, leftovers)
	_, id, ok := strings.Cut(t.Name(), "TestFault/")
	if !ok {
		return
	}
	id, _, _ = strings.Cut(id, "/")
	cell := strings.NewReplacer("|", `\|`, "`", "'").Replace
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.rows == nil {
		l.rows = map[string][]string{}
	}
	l.rows[id] = append(l.rows[id], fmt.Sprintf("%s | `%s` | %s | %s |", code, cell(line), seconds, cell(leftovers)))
}

// write writes the table to the file that VMTEST_FAULT_TABLE names.
func (l *faultLog) write(t *testing.T) {
	file := os.Getenv("VMTEST_FAULT_TABLE")
	if file == "" {
		return
	}
	var b strings.Builder
	b.WriteString("| | what happens | exit code | what is said | seconds | left behind |\n|---|---|---|---|---|---|\n")
	for _, g := range promises {
		for _, p := range g.promises {
			id, fault := p.id, p.fault
			rows := l.rows[p.id]
			if len(rows) == 0 { // it was not run, or looks at nothing of this kind
				rows = []string{"– | – | – | – |"}
			}
			for _, row := range rows {
				fmt.Fprintf(&b, "| %s | %s | %s\n", id, fault, row)
				id, fault = "", ""
			}
		}
	}
	if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
		t.Error(err)
	}
}

// lineWith is the line of a text that has one of the words, the first word of which
// there is one, or else the last line.
func lineWith(text string, words ...string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	for _, word := range words {
		first, _, _ := strings.Cut(word, "\n")
		for _, line := range lines {
			if first != "" && strings.Contains(line, first) {
				return printableLine(line)
			}
		}
	}
	return printableLine(lines[len(lines)-1])
}

// printableLine is the beginning of a line, without what a table cannot hold.
func printableLine(line string) string {
	line = strings.Map(func(r rune) rune {
		if r < ' ' {
			return ' '
		}
		return r
	}, line)
	if r := []rune(line); len(r) > 160 {
		line = string(r[:160]) + "…"
	}
	return strings.TrimSpace(line)
}
