package actions

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
)

// commandsIn finds commands as actions/runner and act do: at the start of a
// line, white space aside, or in the old form anywhere in it. A line ends at a
// line feed, a carriage return, or both.
func commandsIn(text string) []string {
	var found []string
	text = strings.TrimPrefix(text, "\ufeff")
	for _, line := range strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' }) {
		trimmed := strings.TrimSpace(strings.Trim(line, "\u00ad\u200b\u200d\ufeff\x00"))
		if strings.HasPrefix(trimmed, "::") && strings.Contains(trimmed[2:], "::") || strings.Contains(line, "##[") {
			found = append(found, line)
		}
	}
	return found
}

// Samples are pieces of output that a hostile guest may put together.
var samples = []string{
	"::error::", "::set-output name=x::y", "::stop-commands::t", "::add-mask::a", "::error file=a.go,line=1::x", "##[error]", "##[group]x",
	"\n", "\r", "\r\n", " ", "\t", "\v", "\u00a0", "\u2003", "\u200b", "\ufeff", "\u00ad", "\x00", "\x1b[0m", "\x85", "\xff\xfe",
	":", "::", "#", "##", "[", "]", "text", "::1 dev lo", "fd00::1", `\`, "é", strings.Repeat(" ", 1000), strings.Repeat(":", 1001),
	strings.Repeat("x", lineLimit-1), strings.Repeat(" ", lineLimit), strings.Repeat("#", lineLimit+1),
}

// TestLog puts the samples together at random, cuts them at random, and writes
// them to both streams of a log at random. Neither the streams nor, in case
// they are one, their mixture may hold a command.
func TestLog(t *testing.T) {
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 0))
		var out, err, both bytes.Buffer
		l := NewLog(tee{&out, &both}, tee{&err, &both})
		for range 1 + r.IntN(12) {
			s := samples[r.IntN(len(samples))] + samples[r.IntN(len(samples))]
			stream := l.Out
			if r.IntN(2) == 0 {
				stream = l.Err
			}
			for len(s) > 0 {
				n := 1 + r.IntN(len(s))
				fmt.Fprint(stream, s[:n])
				s = s[n:]
			}
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		for name, b := range map[string]string{"stdout": out.String(), "stderr": err.String(), "both": both.String()} {
			if found := commandsIn(b); found != nil {
				t.Fatalf("seed %d: %s has …%q", seed, name, found[0][max(0, len(found[0])-60):])
			}
		}
	}
}

type tee []*bytes.Buffer

func (t tee) Write(b []byte) (int, error) {
	for _, w := range t {
		w.Write(b)
	}
	return len(b), nil
}

func TestLogLines(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"", ""},
		{"plain\n", "plain\n"},
		{"no end", "no end"},
		{"::error::x\n", "\\::error::x\n"},
		{"a\n::error::x", "a\n\\::error::x"},
		{"a\r::error::x", "a\r\\::error::x"},
		{" \t::error::x\n", " \t\\::error::x\n"},
		{"\u00ad::error::x\n", "\u00ad\\::error::x\n"},
		{"\x1b[0m::error::x\n", "\x1b[0m::error::x\n"}, // no runner takes off colours
		{"a ::error::x\n", "a ::error::x\n"},
		{"a ##[error]x ##[group]\n", "a ##\\[error]x ##\\[group]\n"},
		{"###[error]\n", "###\\[error]\n"},
		{"fd00::1 std::move\n", "fd00::1 std::move\n"},
		{"\xff\xfe:\x00:\x00\n", "\\\xff\xfe:\x00:\x00\n"},
		{"\xff\xfe::error::\n", "\\\xff\xfe::error::\n"},
		{"a\n\xff\xfe:\x00:\x00\n", "a\n\xff\xfe:\x00:\x00\n"}, // a mark is one at the start only
		{"\xff plain \x00\n", "\xff plain \x00\n"},
	} {
		for _, chunk := range []int{1, 2, 100} {
			var b bytes.Buffer
			l := NewLog(&b, &b)
			for rest := tt.in; rest != ""; {
				n := min(chunk, len(rest))
				if _, err := l.Out.Write([]byte(rest[:n])); err != nil {
					t.Fatal(err)
				}
				rest = rest[n:]
			}
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			if b.String() != tt.want {
				t.Errorf("%q by %d: %q, want %q", tt.in, chunk, b.String(), tt.want)
			}
		}
	}
}

// TestLogCommands writes a command in the middle of what tests print.
func TestLogCommands(t *testing.T) {
	var out, errOut bytes.Buffer
	l := NewLog(&out, &errOut)
	fmt.Fprint(l.Out, "half a line")
	fmt.Fprint(l.Err, "  ")
	fmt.Fprintln(l.Commands(), "::error::real")
	fmt.Fprint(l.Out, "::error::fake\n")
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if got, want := out.String(), "half a line\n\\::error::fake\n"; got != want {
		t.Errorf("stdout %q, want %q", got, want)
	}
	if got, want := errOut.String(), "  \n::error::real\n"; got != want {
		t.Errorf("stderr %q, want %q", got, want)
	}
}

func TestLogJSON(t *testing.T) {
	var b bytes.Buffer
	l := NewLog(&b, &b)
	const said = "##[error]x\n::error::y ##["
	if err := json.NewEncoder(l.JSON()).Encode(said); err != nil {
		t.Fatal(err)
	}
	if found := commandsIn(b.String()); found != nil {
		t.Errorf("%q", found)
	}
	var got string
	if err := json.Unmarshal(b.Bytes(), &got); err != nil || got != said {
		t.Errorf("%s is %q, %v", b.Bytes(), got, err)
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, os.ErrPermission }

func TestLogUnwritable(t *testing.T) {
	l := NewLog(full{}, full{})
	if _, err := fmt.Fprintln(l.Out, "x"); !errors.Is(err, os.ErrPermission) {
		t.Errorf("a lost line: %v", err)
	}
	if _, err := fmt.Fprint(l.Err, strings.Repeat("x", lineLimit+1)); !errors.Is(err, os.ErrPermission) {
		t.Errorf("a long line that is lost: %v", err)
	}
	l = NewLog(full{}, full{})
	fmt.Fprint(l.Out, "x")
	if err := l.Close(); !errors.Is(err, os.ErrPermission) {
		t.Errorf("a lost end: %v", err)
	}
}
