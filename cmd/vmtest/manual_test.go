package main

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// TestManual checks what README.md and docs say of the program: every command
// line there is one that it takes, as far as commands and flags go, every
// variable one that it reads or sets, every input one of the Action's.
func TestManual(t *testing.T) {
	known := flagsOfCommands(t)
	inputs := actionInputs(t)
	checked := 0
	for file, page := range manualPages(t) {
		for _, said := range readManual(page) {
			var problem string
			isOurs := true
			switch said.kind {
			case ofFlags:
				problem = known.flagProblem("", words(said.text))
			case ofInput:
				if name, value, _ := strings.Cut(said.text, ":"); !inputs[name] {
					problem = "there is no such input"
				} else if name == "args" {
					problem = known.flagProblem("test", words(value))
				}
			default:
				problem, isOurs = known.problem(said.text)
			}
			if problem != "" {
				t.Errorf("%s:%d: %q: %s", file, said.line, said.text, problem)
			}
			if isOurs {
				checked++
			}
		}
	}
	if checked < 200 {
		t.Errorf("only %d command lines, flags and inputs were found: the test reads past them", checked)
	}
}

// manualPages are README.md and docs, by path.
func manualPages(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	pages := map[string]string{}
	for _, file := range append(files, "../../README.md") {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		pages[file] = string(data)
	}
	return pages
}

// A saying is code in a page: a line of a block, or a span.
type saying struct {
	line int
	text string
	kind sayingKind
}

type sayingKind int

const (
	ofAnything sayingKind = iota
	ofFlags               // flags of ours, without their command
	ofInput               // an input of the Action's, and perhaps its value
)

var codeFence = regexp.MustCompile("^ *```([a-z]*)")

// readManual finds a page's code.
func readManual(page string) (said []saying) {
	var block *blockReader
	var table tableReader
	for i, line := range strings.Split(page, "\n") {
		switch m := codeFence.FindStringSubmatch(line); {
		case m != nil && block == nil:
			block = &blockReader{language: m[1]}
		case m != nil:
			block = nil
		case block != nil:
			said = append(said, block.read(i+1, line)...)
		default:
			said = append(said, table.read(i+1, line)...)
		}
	}
	return said
}

// A blockReader reads the lines of a block. Those of a diff that begin with a
// minus are another program's.
type blockReader struct {
	language string
	begun    string // of a line that goes on in the next one
	action   bool   // in a step that uses the Action
	with     int    // how far its inputs are indented, at least; 0 outside of them
}

var (
	usesAction = regexp.MustCompile(`uses: bpf-vmtest/bpf-vmtest@`)
	inputLine  = regexp.MustCompile(`^[a-z][a-z-]*:`)
)

func (r *blockReader) read(number int, line string) []saying {
	if r.language == "diff" && line != "" {
		if line[0] == '-' {
			return nil
		}
		line = line[1:]
	}
	indent := len(line) - len(strings.TrimLeft(line, " "))
	line = r.begun + strings.TrimSpace(line)
	r.begun = ""
	if rest, more := strings.CutSuffix(line, `\`); more {
		r.begun = rest
		return nil
	}
	kind := ofAnything
	switch {
	case usesAction.MatchString(line):
		r.action = true
	case r.action && line == "with:":
		r.with = indent + 1
	case r.with > 0 && indent >= r.with && inputLine.MatchString(line):
		kind = ofInput
	default:
		r.action, r.with = false, 0
	}
	return []saying{{number, line, kind}}
}

// A tableReader reads the spans of lines outside of blocks. Of a table that puts
// another program beside ours the first column is not our business.
type tableReader struct {
	begun            bool
	compares, inputs bool
}

var (
	codeSpan  = regexp.MustCompile("`([^`]+)`")
	inputSpan = regexp.MustCompile(`^[a-z][a-z-]*(: .*)?$`)
)

func (r *tableReader) read(number int, line string) (said []saying) {
	cells := strings.Split(strings.Trim(line, "| "), " | ")
	if isRow := strings.HasPrefix(line, "|"); isRow != r.begun {
		r.begun = isRow
		r.compares = len(cells) == 2 && cells[1] == "bpf-vmtest"
		r.inputs = r.compares && cells[0] == "input"
	}
	if r.compares {
		line = strings.Join(cells[1:], " | ")
	}
	for _, m := range codeSpan.FindAllStringSubmatch(line, -1) {
		switch text := m[1]; {
		case r.inputs && inputSpan.MatchString(text):
			said = append(said, saying{number, text, ofInput})
		case r.compares && strings.HasPrefix(text, "-"):
			said = append(said, saying{number, text, ofFlags})
		case !strings.HasPrefix(text, "-"): // a flag could be any program's
			said = append(said, saying{number, text, ofAnything})
		}
	}
	return said
}

// actionInputs are the names of the Action's inputs.
func actionInputs(t *testing.T) map[string]bool {
	t.Helper()
	data, err := os.ReadFile("../../action.yml")
	if err != nil {
		t.Fatal(err)
	}
	var action struct{ Inputs map[string]any }
	if err := yaml.Unmarshal(data, &action); err != nil {
		t.Fatal(err)
	}
	inputs := map[string]bool{}
	for name := range action.Inputs {
		inputs[name] = true
	}
	return inputs
}

// commandFlags are the commands with their flags, and whether those take a
// value. The empty command has all flags.
type commandFlags map[string]map[string]bool

// "  -kernel reference" and, with one letter and no value, "  -v<tab>usage".
var helpFlag = regexp.MustCompile(`(?m)^  -([a-z0-9-]+)( \S+)?`)

func flagsOfCommands(t *testing.T) commandFlags {
	t.Helper()
	known := commandFlags{"": {}, "help": {}}
	add := func(name string, c command) {
		var out bytes.Buffer
		_ = c.run(&app{stdout: &out, stderr: &out}, t.Context(), []string{"-h"})
		if name != "version" && !strings.HasPrefix(out.String(), "Usage: vmtest "+name) {
			t.Errorf("vmtest %s -h is not about it:\n%s", name, out.String())
		}
		known[name] = map[string]bool{}
		for _, m := range helpFlag.FindAllStringSubmatch(out.String(), -1) {
			known[name][m[1]] = m[2] != ""
		}
		maps.Copy(known[""], known[name])
	}
	for _, c := range commands() {
		add(c.name, c)
	}
	for _, c := range kernelCommands() {
		add("kernel "+c.name, c)
	}
	return known
}

var (
	variable = regexp.MustCompile(`\bVMTEST_[A-Z_]+\b`)
	// Variables that are set in guests, and those of our own tests.
	elsewhere = []string{"VMTEST_KERNEL", "VMTEST_RELEASE", "VMTEST_ARTIFACTS",
		"VMTEST_CLONES", "VMTEST_TESTS", "VMTEST_TEST_CONFIGURE"}
	// What may stand before a command.
	beforeCommand = []string{"$", "&&", "|", ";", "--", "sudo", "time", "run:", "-exec"}
)

// problem says what is wrong with code that is about this program.
func (known commandFlags) problem(code string) (problem string, isOurs bool) {
	for _, name := range variable.FindAllString(code, -1) {
		if !slices.Contains(variable.FindAllString(pages["environment"], -1), name) && !slices.Contains(elsewhere, name) {
			return "there is no variable " + name, true
		}
	}
	list := words(strings.NewReplacer("[", "", "]", "").Replace(code))
	for i, w := range list {
		switch {
		case strings.HasPrefix(w, "vmtest "): // in quotes
			if problem, _ := known.problem(w); problem != "" {
				return problem, true
			}
			continue
		case w == "#":
			return "", isOurs
		case w == "vmtest" && (i == 0 || slices.Contains(beforeCommand, list[i-1]) || strings.Contains(list[i-1], "=")):
		case strings.Contains(w, "cmd/vmtest") && i > 0 && list[i-1] == "run":
		default:
			continue
		}
		isOurs = true
		if problem := known.commandProblem(list[i+1:]); problem != "" {
			return problem, true
		}
	}
	return "", isOurs
}

// words splits a line as a shell does, near enough: quotes hold together.
func words(line string) (words []string) {
	word, quote := "", rune(0)
	for _, c := range line + " " {
		switch {
		case c == quote:
			quote = 0
		case quote == 0 && (c == '\'' || c == '"'):
			quote = c
		case quote == 0 && c == ' ':
			if word != "" {
				words = append(words, word)
			}
			word = ""
		default:
			word += string(c)
		}
	}
	return words
}

func (known commandFlags) commandProblem(words []string) string {
	if len(words) == 0 || strings.HasPrefix(words[0], "-") || words[0] == "…" {
		return ""
	}
	name := words[0]
	if words = words[1:]; name == "kernel" && len(words) > 0 && !strings.HasPrefix(words[0], "-") {
		name, words = name+" "+words[0], words[1:]
	}
	if known[name] == nil {
		return "there is no command " + name
	}
	return known.flagProblem(name, words)
}

func (known commandFlags) flagProblem(command string, words []string) string {
	for i := 0; i < len(words); i++ {
		w := words[i]
		if w == "--" || w == "-args" || strings.ContainsAny(w[:1], "|&;>#") {
			break
		}
		if !strings.HasPrefix(w, "-") {
			if command == "test" { // whose flags and packages come in any order
				continue
			}
			break
		}
		name, _, hasValue := strings.Cut(strings.TrimLeft(w, "-"), "=")
		takesValue, ok := known[command][strings.TrimRight(name, ",;")]
		if !ok && name != "h" {
			return "there is no flag -" + name
		}
		if takesValue && !hasValue {
			i++
		}
	}
	return ""
}

var (
	link       = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading    = regexp.MustCompile("(?m)^#+ (.*)$")
	noAnchor   = regexp.MustCompile(`[^\pL\pN _-]`)
	linkTarget = regexp.MustCompile(`\[([^]]*)\]\([^)]*\)`)
)

// TestLinks follows the links of README.md and docs within the repository.
func TestLinks(t *testing.T) {
	for file, page := range manualPages(t) {
		for _, m := range link.FindAllStringSubmatch(page, -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			path, anchor, _ := strings.Cut(m[1], "#")
			target := file
			if path != "" {
				target = filepath.Join(filepath.Dir(file), path)
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s: %s: %v", file, m[1], err)
				continue
			}
			if anchor == "" {
				continue
			}
			if page, err := os.ReadFile(target); err != nil || !slices.Contains(anchors(string(page)), anchor) {
				t.Errorf("%s: %s: there is no such heading: %v", file, m[1], err)
			}
		}
	}
}

// anchors are what GitHub makes of a page's headings.
func anchors(page string) (names []string) {
	for _, m := range heading.FindAllStringSubmatch(page, -1) {
		text := linkTarget.ReplaceAllString(m[1], "$1")
		names = append(names, strings.ReplaceAll(noAnchor.ReplaceAllString(strings.ToLower(text), ""), " ", "-"))
	}
	return names
}

// TestContents holds the manual's contents against its pages.
func TestContents(t *testing.T) {
	pages := manualPages(t)
	contents := pages["../../docs/README.md"]
	for file := range pages {
		if name := filepath.Base(file); name != "README.md" && !strings.Contains(contents, "]("+name+")") {
			t.Errorf("docs/README.md does not mention %s", name)
		}
	}
}
