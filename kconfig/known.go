package kconfig

import (
	_ "embed"
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

// nearest gives the known symbol that a misspelt one is closest to, or ""
// when none is close: more than a fifth of its letters differ.
func (t *SymbolTable) nearest(misspelt string) string {
	best, bestDistance := "", max(2, len(misspelt)/5)+1
	for name := range t.masks {
		d := distance(misspelt, name, bestDistance)
		if d < bestDistance || d == bestDistance && best != "" && name < best {
			best, bestDistance = name, d
		}
	}
	return best
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
