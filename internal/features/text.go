package features

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// A Group is a kind's features, by state.
type Group struct {
	Kind                                 Kind
	Supported, Unsupported, Inconclusive []Feature
}

// Groups are the table's features for people to read, in the order of [Kinds].
func (t *Table) Groups() []Group {
	t.sort()
	var groups []Group
	for _, kind := range Kinds {
		g := Group{Kind: kind}
		for _, f := range t.Features[kind] {
			switch f.State {
			case Supported:
				g.Supported = append(g.Supported, f)
			case Unsupported:
				g.Unsupported = append(g.Unsupported, f)
			default:
				g.Inconclusive = append(g.Inconclusive, f)
			}
		}
		groups = append(groups, g)
	}
	return groups
}

var titles = map[Kind]string{Kernel: "kernel", Program: "program types", Map: "map types", Attach: "attached"}

// Summary is the table in a line.
func (t *Table) Summary() string {
	var parts []string
	for _, g := range t.Groups() {
		all := len(g.Supported) + len(g.Unsupported) + len(g.Inconclusive)
		parts = append(parts, fmt.Sprintf("%s %d of %d", titles[g.Kind], len(g.Supported), all))
	}
	return strings.Join(parts, ", ")
}

// Write shows the table: what is there in a few lines, what is not with its
// reason.
func (t *Table) Write(w io.Writer) error {
	var b strings.Builder
	for _, g := range t.Groups() {
		all := len(g.Supported) + len(g.Unsupported) + len(g.Inconclusive)
		paragraph(&b, fmt.Sprintf("%s, %d of %d", titles[g.Kind], len(g.Supported), all), words(g.Supported))
		for _, missing := range [][]Feature{g.Unsupported, g.Inconclusive} {
			for _, f := range missing {
				fmt.Fprintf(&b, "  %s %s\n", mark[f.State], f)
			}
		}
	}
	helpers := map[string]bool{}
	pairs := 0
	for _, list := range t.Helpers {
		pairs += len(list)
		for _, h := range list {
			helpers[h] = true
		}
	}
	fmt.Fprintf(&b, "helpers: %d, in %d program types %d\n", len(helpers), len(t.Helpers), pairs)
	_, err := io.WriteString(w, b.String())
	return err
}

var mark = map[State]string{Unsupported: "no", Inconclusive: "? "}

func words(list []Feature) []string {
	var words []string
	for _, f := range list {
		word := f.Name
		if f.Detail != "" {
			word += " (" + f.Detail + ")"
		}
		words = append(words, word)
	}
	slices.Sort(words)
	return words
}

// paragraph is a title and words in lines of at most 100 characters.
func paragraph(b *strings.Builder, title string, words []string) {
	b.WriteString(title + ":\n")
	line := ""
	flush := func() {
		if line != "" {
			b.WriteString(" " + line + "\n")
		}
		line = ""
	}
	for _, word := range words {
		if len(line)+len(word) > 97 {
			flush()
		}
		line += " " + word
	}
	flush()
}
