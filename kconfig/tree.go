package kconfig

import (
	"fmt"
	"slices"
	"strings"
)

// A Tree is what the Kconfig files of a kernel's source define.
type Tree struct {
	symbols map[string]*symbol
}

// A symbol is everything the tree says of one name.
type symbol struct {
	defs      []*definition
	selectors []selector
}

// A definition is one config or menuconfig entry; a symbol may have several.
type definition struct {
	name      string
	pos       Position
	depends   []expr
	prompt    bool
	promptIfs []expr // what the prompt alone depends on
	within    *block
}

// A selector switches another symbol on.
type selector struct {
	by   *definition
	when expr // nil: always
}

// A block is what an entry stands in: if, menu, choice, or a menuconfig's file.
type block struct {
	keyword string // if, menu or choice
	depends []expr
	visible []expr
	members []*definition // of a choice
	parent  *block
}

// Has reports whether the tree defines the symbol.
func (t *Tree) Has(symbol string) bool {
	s, ok := t.symbols[symbol]
	return ok && len(s.defs) > 0
}

// Symbols are the names of all symbols of the tree, sorted.
func (t *Tree) Symbols() []string {
	var names []string
	for name := range t.symbols {
		if t.Has(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// conditions is everything the definition depends on, outermost first.
func (d *definition) conditions() []expr {
	all := slices.Clone(d.depends)
	for b := d.within; b != nil; b = b.parent {
		all = append(slices.Clone(b.depends), all...)
	}
	return all
}

// promptConditions is what hides the prompt without switching the symbol off.
func (d *definition) promptConditions() []expr {
	all := slices.Clone(d.promptIfs)
	for b := d.within; b != nil; b = b.parent {
		all = append(all, b.visible...)
	}
	return all
}

// explain says why a symbol does not have the value wanted of it in c, one
// reason per element; empty when it finds none.
func (t *Tree) explain(name, wanted string, c Config) []string {
	s, ok := t.symbols[name]
	if !ok || len(s.defs) == 0 {
		return []string{"the tree does not define it"}
	}
	if wanted == "n" {
		return s.explainSelected(c)
	}
	// Of several definitions the nearest to being met tells most.
	var best []string
	for i, d := range s.defs {
		if r := t.explainDefinition(d, s, c, 3); i == 0 || len(r) < len(best) {
			best = r
		}
	}
	return best
}

// explainDefinition follows unmet symbols up to depth levels.
func (t *Tree) explainDefinition(d *definition, s *symbol, c Config, depth int) []string {
	var reasons, unjudged []string
	for _, e := range d.conditions() {
		for _, n := range e.unmet(c) {
			reasons = append(reasons, "needs "+t.follow(n, c, depth))
		}
		unjudged = append(unjudged, macros(e)...)
	}
	if len(reasons) > 0 {
		return reasons
	}
	if !d.prompt {
		return []string{"it has no prompt and cannot be asked for: " + s.describeSelectors()}
	}
	for _, e := range d.promptConditions() {
		for _, n := range e.unmet(c) {
			reasons = append(reasons, "can only be changed with "+t.follow(n, c, depth))
		}
		unjudged = append(unjudged, macros(e)...)
	}
	if other := d.chosenInstead(c); other != "" {
		reasons = append(reasons, "the same choice has "+other+"=y")
	}
	if len(reasons) == 0 {
		for _, m := range unjudged {
			reasons = append(reasons, "perhaps this test of the tools fails: "+m)
		}
	}
	return reasons
}

// follow adds to an unmet symbol why it is itself unmet.
func (t *Tree) follow(n need, c Config, depth int) string {
	s, ok := t.symbols[n.symbol]
	if n.symbol == "" || depth == 0 {
		return n.text
	}
	if !ok || len(s.defs) == 0 {
		return n.text + " (not in this tree)"
	}
	var deeper []string
	for _, e := range s.defs[0].conditions() {
		for _, m := range e.unmet(c) {
			deeper = append(deeper, "needs "+t.follow(m, c, depth-1))
		}
	}
	if len(deeper) == 0 && !s.defs[0].prompt {
		deeper = append(deeper, "no prompt: "+s.describeSelectors())
	}
	if len(deeper) == 0 {
		return n.text
	}
	return fmt.Sprintf("%s (%s)", n.text, strings.Join(deeper, "; "))
}

func (s *symbol) describeSelectors() string {
	if len(s.selectors) == 0 {
		return "its defaults decide"
	}
	const most = 4 // more are no help to a reader
	var by []string
	for _, sel := range s.selectors {
		if !slices.Contains(by, sel.by.name) {
			by = append(by, sel.by.name)
		}
	}
	if len(by) > most {
		by = append(by[:most], fmt.Sprintf("%d more", len(by)-most))
	}
	return "selected by " + strings.Join(by, ", ")
}

// explainSelected names who switched on a symbol that was to be off.
func (s *symbol) explainSelected(c Config) []string {
	var reasons []string
	for _, sel := range s.selectors {
		on := c.Get(sel.by.name) != "n" && (sel.when == nil || sel.when.eval(c) != no)
		if reason := "selected by " + sel.by.name; on && !slices.Contains(reasons, reason) {
			reasons = append(reasons, reason)
		}
	}
	if len(reasons) == 0 && !s.defs[0].prompt {
		return []string{"it has no prompt and cannot be switched off"}
	}
	return reasons
}

// chosenInstead is the member that is on in the definition's choice.
func (d *definition) chosenInstead(c Config) string {
	if d.within == nil || d.within.keyword != "choice" {
		return ""
	}
	for _, m := range d.within.members {
		if m.name != d.name && c.Get(m.name) == "y" {
			return m.name
		}
	}
	return ""
}
