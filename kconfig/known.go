package kconfig

import (
	"cmp"
	_ "embed"
	"slices"
	"sync"
)

//go:generate go run ./gensymbols -o symbols.gz

// symbols.gz is the encoded [SymbolTable] of every series we could read.
//
//go:embed symbols.gz
var symbolsGz []byte

var knownSymbols = sync.OnceValue(func() *SymbolTable {
	t, err := DecodeSymbolTable(symbolsGz)
	if err != nil {
		panic(err) // the table is part of the program
	}
	return t
})

// mostNearest is how many guesses help.
const mostNearest = 3

// nearest gives the known symbols that a misspelt one is closest to, best
// first and those that the tree has before others; none when more than a fifth
// of the letters differ.
func (t *SymbolTable) nearest(misspelt string, tree *Tree) []string {
	type guess struct {
		name     string
		distance int
		foreign  bool
	}
	var guesses []guess
	limit := max(2, len(misspelt)/5)
	for name := range t.masks {
		if d := distance(misspelt, name, limit+1); d <= limit {
			guesses = append(guesses, guess{name, d, !tree.Has(name)})
		}
	}
	slices.SortFunc(guesses, func(a, b guess) int {
		if a.distance == b.distance && a.foreign != b.foreign {
			return map[bool]int{true: 1, false: -1}[a.foreign]
		}
		return cmp.Or(cmp.Compare(a.distance, b.distance), cmp.Compare(a.name, b.name))
	})
	var names []string
	for _, g := range guesses[:min(len(guesses), mostNearest)] {
		names = append(names, g.name)
	}
	return names
}

// distance is the Levenshtein distance, or any number of at least limit when
// it reaches limit.
func distance(a, b string, limit int) int {
	if len(a)-len(b) > limit || len(b)-len(a) > limit {
		return limit + 1
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		least := row[0]
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
			least = min(least, cost)
		}
		if least > limit {
			return limit + 1
		}
	}
	return row[len(b)]
}
