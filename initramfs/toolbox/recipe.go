package toolbox

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"runtime"
)

// A recipe is everything that decides which bytes a build gives.
type recipe struct {
	Arch      string
	Go        string // the compiler's version
	URoot     string
	Gobusybox string
	Commands  []string
	Flags     []string
	Source    string // of ours, beside the generated one
}

// buildFlags make a small program that is the same wherever it is built.
var buildFlags = []string{"-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=", "-tags=" + tags}

func newRecipe(arch, goVersion string) recipe {
	if arch == "" {
		arch = runtime.GOARCH
	}
	return recipe{
		Arch: arch, Go: goVersion, URoot: uRootVersion + " " + uRootSum, Gobusybox: gobusyboxVersion,
		Commands: commands, Flags: buildFlags, Source: shellSource,
	}
}

// key is the recipe's name in the cache.
func (r recipe) key() string {
	data, err := json.Marshal(r)
	if err != nil {
		panic(fmt.Sprintf("encode recipe: %v", err)) // strings only
	}
	sum := sha256.Sum256(data)
	return r.Arch + "-" + hex.EncodeToString(sum[:16])
}
