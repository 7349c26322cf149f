package gotest

import (
	"fmt"
	"regexp"
	"strings"
)

// A Pattern is the argument of -run, -skip or -bench, split as the testing
// package splits it: alternatives at |, path elements at /, neither inside
// brackets or parentheses.
type Pattern [][]*regexp.Regexp

// ParsePattern splits and compiles a pattern.
func ParsePattern(s string) (Pattern, error) {
	var p Pattern
	for _, alternative := range splitPattern(s) {
		var elements []*regexp.Regexp
		for _, e := range alternative {
			re, err := regexp.Compile(strings.ReplaceAll(e, " ", "_"))
			if err != nil {
				return nil, fmt.Errorf("parse pattern %q: %w", s, err)
			}
			elements = append(elements, re)
		}
		p = append(p, elements)
	}
	return p, nil
}

func splitPattern(s string) [][]string {
	all := [][]string{nil}
	add := func(element string) { all[len(all)-1] = append(all[len(all)-1], element) }
	brackets, parens, start := 0, 0, 0
	for i := 0; i < len(s); i++ {
		top := brackets == 0 && parens == 0
		switch s[i] {
		case '\\':
			i++
		case '[':
			brackets++
		case ']':
			brackets = max(0, brackets-1) // an unmatched ] is legal
		case '(':
			if brackets == 0 {
				parens++
			}
		case ')':
			if brackets == 0 {
				parens--
			}
		case '/', '|':
			if top {
				add(s[start:i])
				start = i + 1
				if s[i] == '|' {
					all = append(all, nil)
				}
			}
		}
	}
	add(s[start:])
	return all
}

// Narrow is a pattern, given as -run or empty, held to some top-level tests.
func Narrow(pattern string, tests []string) string {
	var narrow []string
	for _, elements := range splitPattern(pattern) {
		top, err := regexp.Compile(strings.ReplaceAll(elements[0], " ", "_"))
		for _, test := range tests {
			if err == nil && top.MatchString(test) {
				narrow = append(narrow, strings.Join(append([]string{"^" + test + "$"}, elements[1:]...), "/"))
			}
		}
	}
	if narrow == nil {
		return "^$"
	}
	return strings.Join(narrow, "|")
}

// MatchTop reports whether a top-level test is selected, itself or for the sake
// of its subtests.
func (p Pattern) MatchTop(name string) bool {
	for _, elements := range p {
		if elements[0].MatchString(name) {
			return true
		}
	}
	return false
}

// SkipTop reports whether the pattern, given as -skip, skips a top-level test
// as a whole.
func (p Pattern) SkipTop(name string) bool {
	for _, elements := range p {
		if len(elements) == 1 && elements[0].MatchString(name) {
			return true
		}
	}
	return false
}
