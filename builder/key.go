package builder

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
)

// recipe is part of every key: it changes when this package makes another
// kernel out of the same ingredients.
const recipe = "5"

// A description is everything that decides what a finished kernel is. It is
// known before anything is unpacked or configured.
type description struct {
	Recipe, Source, Arch, AllConfig, Compiler, Linker, Pahole string

	Patches []string `json:",omitempty"` // digests of those that change something
}

func (b *build) describe() description {
	d := description{
		Recipe:    recipe,
		Source:    b.tree.digest,
		Arch:      b.Arch,
		AllConfig: string(b.selection.AllConfig()),
		Compiler:  b.tools.compiler,
		Linker:    b.tools.linker,
		Pahole:    b.tools.pahole,
	}
	for _, p := range b.staged.Applied {
		d.Patches = append(d.Patches, p.Digest)
	}
	return d
}

func (d description) key() string {
	data, err := json.Marshal(d)
	if err != nil {
		panic(err) // text only
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
