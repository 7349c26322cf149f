// Package configfile reads files that people write: everything wrong in one
// is reported at once, each with its place and with what to write instead.
package configfile

import (
	"cmp"
	"fmt"
)

// A Pos is a place in a file. Line and Column count from 1; a Column counts
// characters.
type Pos struct {
	File         string
	Line, Column int
}

// String prints file:line:column.
func (p Pos) String() string { return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column) }

// Compare orders places of one file, and files by name.
func (p Pos) Compare(q Pos) int {
	return cmp.Or(cmp.Compare(p.File, q.File), cmp.Compare(p.Line, q.Line), cmp.Compare(p.Column, q.Column))
}
