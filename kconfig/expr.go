package kconfig

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A tristate is the value of an expression; && is the minimum and || the
// maximum, as Documentation/kbuild/kconfig-language.rst of the kernel has it.
type tristate int

const (
	no tristate = iota
	mod
	yes
)

// An expr is a parsed Kconfig expression.
type expr interface {
	eval(Config) tristate
	// unmet lists what of the expression must change for it to hold; empty
	// when it holds.
	unmet(Config) []need
	String() string
}

// A need is one condition that does not hold.
type need struct {
	text   string // like "FUNCTION_TRACER, which is n" or "PAHOLE_VERSION >= 122, but PAHOLE_VERSION is 121"
	symbol string // the symbol to switch on, when it is as simple as that
}

type (
	symbolExpr  string              // FOO
	constExpr   string              // y, "text", 122
	macroExpr   string              // $(cc-option,-mfoo): only the kernel's tools know
	notExpr     struct{ x expr }    // !x
	andExpr     struct{ x, y expr } // x && y
	orExpr      struct{ x, y expr } // x || y
	compareExpr struct {
		x, y expr
		op   string
	} // x >= y
)

func (s symbolExpr) String() string  { return string(s) }
func (c constExpr) String() string   { return string(c) }
func (m macroExpr) String() string   { return string(m) }
func (e notExpr) String() string     { return "!" + group(e.x) }
func (e andExpr) String() string     { return group(e.x) + " && " + group(e.y) }
func (e orExpr) String() string      { return e.x.String() + " || " + e.y.String() }
func (e compareExpr) String() string { return e.x.String() + " " + e.op + " " + e.y.String() }

func group(e expr) string {
	if _, ok := e.(orExpr); ok {
		return "(" + e.String() + ")"
	}
	return e.String()
}

func parseTristate(v string) tristate {
	switch v {
	case "y":
		return yes
	case "m":
		return mod
	}
	return no
}

func (s symbolExpr) eval(c Config) tristate { return parseTristate(c.Get(string(s))) }
func (k constExpr) eval(Config) tristate    { return parseTristate(string(k)) }
func (e notExpr) eval(c Config) tristate    { return yes - e.x.eval(c) }
func (e andExpr) eval(c Config) tristate    { return min(e.x.eval(c), e.y.eval(c)) }
func (e orExpr) eval(c Config) tristate     { return max(e.x.eval(c), e.y.eval(c)) }

// eval supposes that the macro holds: a wrong guess is then reported by
// [Tree.explain] as something that could not be judged.
func (macroExpr) eval(Config) tristate { return yes }

func (e compareExpr) eval(c Config) tristate {
	if _, ok := e.x.(macroExpr); ok {
		return yes
	}
	if _, ok := e.y.(macroExpr); ok {
		return yes
	}
	x, y := operand(e.x, c), operand(e.y, c)
	if e.op == "=" || e.op == "!=" {
		// A bool that is off is absent from a .config, and equal to n.
		x, y = cmp.Or(x, "n"), cmp.Or(y, "n")
	}
	if compareValues(x, y, e.op) {
		return yes
	}
	return no
}

// operand is a side's value, without quotes; empty for an absent symbol.
func operand(e expr, c Config) string {
	if s, ok := e.(symbolExpr); ok {
		return strings.Trim(c[string(s)], `"`)
	}
	return strings.Trim(e.String(), `"'`)
}

func compareValues(x, y, op string) bool {
	order := strings.Compare(x, y)
	nx, errX := strconv.ParseInt(x, 0, 64)
	ny, errY := strconv.ParseInt(y, 0, 64)
	if errX == nil && errY == nil {
		order = int(max(-1, min(1, nx-ny)))
	}
	switch op {
	case "=":
		return order == 0
	case "!=":
		return order != 0
	case "<":
		return order < 0
	case "<=":
		return order <= 0
	case ">":
		return order > 0
	}
	return order >= 0
}

func (s symbolExpr) unmet(c Config) []need {
	if s.eval(c) != no {
		return nil
	}
	return []need{{text: string(s) + ", which is n", symbol: string(s)}}
}

func (k constExpr) unmet(c Config) []need {
	if k.eval(c) != no {
		return nil
	}
	return []need{{text: "never available"}}
}

func (macroExpr) unmet(Config) []need { return nil }

func (e notExpr) unmet(c Config) []need {
	if e.eval(c) != no {
		return nil
	}
	return []need{{text: fmt.Sprintf("%s, but %s", e, values(e.x, c))}}
}

func (e andExpr) unmet(c Config) []need { return append(e.x.unmet(c), e.y.unmet(c)...) }

func (e orExpr) unmet(c Config) []need {
	if e.eval(c) != no {
		return nil
	}
	return []need{{text: fmt.Sprintf("one of %s, but %s", e, values(e, c))}}
}

func (e compareExpr) unmet(c Config) []need {
	if e.eval(c) != no {
		return nil
	}
	return []need{{text: fmt.Sprintf("%s, but %s is %s", e, e.x, cmp.Or(operand(e.x, c), "unset"))}}
}

// values says what the symbols of an expression are, like "NET is y, BPF is n".
func values(e expr, c Config) string {
	var list []string
	for _, s := range symbols(e) {
		list = append(list, s+" is "+c.Get(s))
	}
	return strings.Join(list, ", ")
}

// symbols lists the symbols of an expression, each once.
func symbols(e expr) []string {
	var list []string
	switch e := e.(type) {
	case symbolExpr:
		list = []string{string(e)}
	case notExpr:
		list = symbols(e.x)
	case andExpr:
		list = append(symbols(e.x), symbols(e.y)...)
	case orExpr:
		list = append(symbols(e.x), symbols(e.y)...)
	case compareExpr:
		list = append(symbols(e.x), symbols(e.y)...)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// macros lists the parts of an expression that cannot be judged here.
func macros(e expr) []string {
	switch e := e.(type) {
	case macroExpr:
		return []string{string(e)}
	case notExpr:
		return macros(e.x)
	case andExpr:
		return append(macros(e.x), macros(e.y)...)
	case orExpr:
		return append(macros(e.x), macros(e.y)...)
	case compareExpr:
		return append(macros(e.x), macros(e.y)...)
	}
	return nil
}

// parseExpr reads a whole expression.
func parseExpr(s string) (expr, error) {
	p := exprParser{tokens: tokenize(s)}
	e, err := p.or()
	if err == nil && len(p.tokens) > 0 {
		err = fmt.Errorf("unexpected %q", p.tokens[0])
	}
	if err != nil {
		return nil, fmt.Errorf("parse expression %q: %w", s, err)
	}
	return e, nil
}

type exprParser struct{ tokens []string }

func (p *exprParser) next() string {
	if len(p.tokens) == 0 {
		return ""
	}
	t := p.tokens[0]
	p.tokens = p.tokens[1:]
	return t
}

func (p *exprParser) accept(ops ...string) string {
	if len(p.tokens) > 0 && slices.Contains(ops, p.tokens[0]) {
		return p.next()
	}
	return ""
}

func (p *exprParser) or() (expr, error) {
	x, err := p.and()
	for err == nil && p.accept("||") != "" {
		var y expr
		y, err = p.and()
		x = orExpr{x, y}
	}
	return x, err
}

func (p *exprParser) and() (expr, error) {
	x, err := p.unary()
	for err == nil && p.accept("&&") != "" {
		var y expr
		y, err = p.unary()
		x = andExpr{x, y}
	}
	return x, err
}

func (p *exprParser) unary() (expr, error) {
	if p.accept("!") != "" {
		x, err := p.unary()
		return notExpr{x}, err
	}
	if p.accept("(") != "" {
		x, err := p.or()
		if err == nil && p.accept(")") == "" {
			err = fmt.Errorf("missing )")
		}
		return x, err
	}
	x, err := atom(p.next())
	if err != nil {
		return nil, err
	}
	if op := p.accept("=", "!=", "<", "<=", ">", ">="); op != "" {
		y, err := atom(p.next())
		return compareExpr{x, y, op}, err
	}
	return x, nil
}

func atom(t string) (expr, error) {
	switch {
	case t == "" || strings.ContainsAny(t[:1], "()=!<>&|"):
		return nil, fmt.Errorf("want a symbol, got %q", t)
	case strings.Contains(t, "$("):
		return macroExpr(t), nil
	case t == "y" || t == "m" || t == "n" || t[0] == '"' || t[0] == '\'':
		return constExpr(t), nil
	}
	if _, err := strconv.ParseInt(t, 0, 64); err == nil {
		return constExpr(t), nil
	}
	return symbolExpr(t), nil
}

// tokenize cuts an expression up; quoted strings and $(…) are one token each.
func tokenize(s string) []string {
	var tokens []string
	for s = strings.TrimLeft(s, " \t"); s != ""; s = strings.TrimLeft(s, " \t") {
		n := tokenLen(s)
		tokens = append(tokens, s[:n])
		s = s[n:]
	}
	return tokens
}

func tokenLen(s string) int {
	for _, op := range []string{"||", "&&", "!=", "<=", ">=", "=", "<", ">", "!", "(", ")"} {
		if strings.HasPrefix(s, op) {
			return len(op)
		}
	}
	if s[0] == '"' || s[0] == '\'' {
		if i := strings.IndexByte(s[1:], s[0]); i >= 0 {
			return i + 2
		}
		return len(s)
	}
	depth := 0
	for i := range len(s) {
		switch c := s[i]; {
		case c == '(' && (depth > 0 || i > 0 && s[i-1] == '$'):
			depth++
		case c == ')' && depth > 0:
			depth--
			if depth == 0 {
				return i + 1
			}
		case depth == 0 && strings.IndexByte(" \t=!<>&|()", c) >= 0:
			return max(i, 1)
		}
	}
	return len(s)
}
