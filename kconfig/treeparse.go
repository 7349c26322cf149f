package kconfig

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// LoadTree reads the Kconfig files of the kernel source in dir, as they apply
// to goarch, beginning with its top Kconfig.
func LoadTree(dir, goarch string) (*Tree, error) {
	arch, ok := architectures[goarch]
	if !ok {
		return nil, unknownArch(goarch)
	}
	p := &treeParser{dir: dir, srcarch: arch.srcarch, tree: &Tree{symbols: map[string]*symbol{}}}
	if err := p.file("Kconfig"); err != nil {
		return nil, fmt.Errorf("read Kconfig of %q: %w", dir, err)
	}
	return p.tree, nil
}

// A treeParser reads one tree. It knows of the language what conditions are
// made of; defaults, ranges and help texts it skips.
type treeParser struct {
	dir     string
	srcarch string // empty: stay in one file, follow no source statement
	tree    *Tree
	block   *block
	entry   *definition // whose properties are being read; nil in a block's head
}

var (
	helpStart  = regexp.MustCompile(`^\s*(?:help|---help---)\s*$`)
	symbolName = regexp.MustCompile(`^[A-Za-z0-9_]+$`)
	keyword    = regexp.MustCompile(`^([a-z_]+)\b\s*(.*)$`)
)

func (p *treeParser) file(name string) error {
	data, err := os.ReadFile(filepath.Join(p.dir, name))
	if err != nil {
		return err
	}
	lines := strings.Split(string(data), "\n")
	for i := 0; i < len(lines); {
		n := i + 1
		line := lines[i]
		i++
		if helpStart.MatchString(line) {
			i = skipHelp(lines, i)
			continue
		}
		for strings.HasSuffix(line, `\`) && i < len(lines) {
			line = strings.TrimSuffix(line, `\`) + " " + lines[i]
			i++
		}
		if err := p.line(name, n, strings.TrimSpace(stripComment(line))); err != nil {
			return fmt.Errorf("%s:%d: %w", name, n, err)
		}
	}
	return nil
}

// skipHelp gives the first line after a help text: one indented less than the
// text's first.
func skipHelp(lines []string, i int) int {
	indent := -1
	for ; i < len(lines); i++ {
		if strings.TrimSpace(lines[i]) == "" {
			continue
		}
		w := width(lines[i])
		if indent < 0 {
			indent = w
		}
		if w < indent || w == 0 {
			return i
		}
	}
	return i
}

// width is the column of a line's first character; tabs stop every 8.
func width(line string) int {
	w := 0
	for _, c := range line {
		switch c {
		case ' ':
			w++
		case '\t':
			w = w/8*8 + 8
		default:
			return w
		}
	}
	return w
}

func stripComment(line string) string {
	var quote rune
	for i, c := range line {
		switch {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case c == '#':
			return line[:i]
		}
	}
	return line
}

func (p *treeParser) line(file string, n int, line string) error {
	m := keyword.FindStringSubmatch(line)
	if m == nil {
		return nil // empty, or a macro's definition
	}
	switch word, rest := m[1], m[2]; word {
	case "config", "menuconfig":
		p.define(rest, Position{file, n})
	case "menu", "choice", "if":
		return p.open(word, rest)
	case "endmenu", "endchoice", "endif":
		if p.block == nil {
			return fmt.Errorf("unexpected %s", word)
		}
		p.block, p.entry = p.block.parent, nil
	case "comment", "mainmenu":
		p.entry = &definition{} // takes the properties that follow, and is forgotten
	case "source", "rsource", "osource", "orsource":
		p.entry = nil
		return p.source(file, word, rest)
	default:
		return p.property(word, rest)
	}
	return nil
}

func (p *treeParser) symbol(name string) *symbol {
	s, ok := p.tree.symbols[name]
	if !ok {
		s = &symbol{}
		p.tree.symbols[name] = s
	}
	return s
}

func (p *treeParser) define(name string, pos Position) {
	name = strings.TrimSpace(name)
	if !symbolName.MatchString(name) {
		p.entry = &definition{} // a template, as in tools/verification
		return
	}
	p.entry = &definition{name: name, pos: pos, within: p.block}
	s := p.symbol(name)
	s.defs = append(s.defs, p.entry)
	if p.block != nil && p.block.keyword == "choice" {
		p.block.members = append(p.block.members, p.entry)
	}
}

func (p *treeParser) open(word, rest string) error {
	p.block, p.entry = &block{keyword: word, parent: p.block}, nil
	if word != "if" {
		return nil
	}
	e, err := parseExpr(rest)
	p.block.depends = []expr{e}
	return err
}

// source reads the file a statement names, relative to the source's root, or
// for rsource to the file itself. The o forms may match nothing.
func (p *treeParser) source(file, word, rest string) error {
	if p.srcarch == "" {
		return nil
	}
	name := strings.ReplaceAll(strings.Trim(rest, `"' `), "$(SRCARCH)", p.srcarch)
	if strings.Contains(name, "$") {
		return nil // names a file made outside the tree
	}
	if strings.Contains(word, "rs") {
		name = filepath.Join(filepath.Dir(file), name)
	}
	err := p.file(name)
	if word[0] == 'o' && errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// property reads a line below an entry or a block's head.
func (p *treeParser) property(word, rest string) error {
	switch word {
	case "depends":
		return p.depends(strings.TrimSpace(strings.TrimPrefix(rest, "on")))
	case "visible":
		return p.visible(strings.TrimPrefix(rest, "if"))
	case "bool", "tristate", "string", "int", "hex", "prompt":
		if p.entry != nil && rest != "" {
			return p.prompt(rest)
		}
	case "select":
		return p.selects(rest)
	}
	return nil
}

// depends adds a condition. "depends on A if B", new in 7.0, binds only where
// B holds.
func (p *treeParser) depends(rest string) error {
	text, when, conditional := cutIf(rest)
	e, err := parseExpr(text)
	if err != nil {
		return err
	}
	if conditional {
		w, err := parseExpr(when)
		if err != nil {
			return err
		}
		e = orExpr{notExpr{w}, e}
	}
	if p.entry != nil {
		p.entry.depends = append(p.entry.depends, e)
	} else if p.block != nil {
		p.block.depends = append(p.block.depends, e)
	}
	return nil
}

func (p *treeParser) visible(rest string) error {
	e, err := parseExpr(rest)
	if p.entry == nil && p.block != nil {
		p.block.visible = append(p.block.visible, e)
	}
	return err
}

func (p *treeParser) prompt(rest string) error {
	p.entry.prompt = true
	_, when, ok := cutIf(rest)
	if !ok {
		return nil
	}
	e, err := parseExpr(when)
	p.entry.promptIfs = append(p.entry.promptIfs, e)
	return err
}

func (p *treeParser) selects(rest string) error {
	if p.entry == nil {
		return nil
	}
	name, when, conditional := cutIf(rest)
	sel := selector{by: p.entry}
	if conditional {
		var err error
		if sel.when, err = parseExpr(when); err != nil {
			return err
		}
	}
	s := p.symbol(strings.TrimSpace(name))
	s.selectors = append(s.selectors, sel)
	return nil
}

// cutIf splits at the word if outside quotes.
func cutIf(s string) (before, after string, found bool) {
	var quote byte
	for i := range len(s) {
		switch c := s[i]; {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case (c == ' ' || c == '\t' || c == ')') && isIf(s[i+1:]):
			return strings.TrimSpace(s[:i+1]), strings.TrimSpace(s[i+3:]), true
		}
	}
	return s, "", false
}

func isIf(s string) bool {
	return len(s) > 2 && s[:2] == "if" && strings.IndexByte(" \t(!", s[2]) >= 0
}
