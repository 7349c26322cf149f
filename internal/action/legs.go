package action

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/bpf-vmtest/bpf-vmtest/internal/lockfile"
)

// A Leg is one job of a workflow's matrix.
type Leg struct {
	Name   string `json:"name"`   // for jobs and artifacts: letters, digits and -._
	Kernel string `json:"kernel"` // a reference
	Shard  string `json:"shard"`  // 2/5, or empty: all tests
	Lock   string `json:"lock"`   // a lock file that says what the reference stands for
}

// A Kernel is one that legs are made for.
type Kernel struct {
	Ref string
	Pin lockfile.Pin // the zero Pin where the reference does not move
}

// Legs are one for each kernel, or one for each shard of the tests on it.
func Legs(kernels []Kernel, shards int) ([]Leg, error) {
	var legs []Leg
	for _, k := range kernels {
		lock := ""
		if k.Pin != (lockfile.Pin{}) {
			var f lockfile.File
			if _, err := f.Set(k.Pin); err != nil {
				return nil, err
			}
			lock = string(f.Text())
		}
		for n := range shards {
			leg := Leg{Name: safe(k.Ref), Kernel: k.Ref, Lock: lock}
			if shards > 1 {
				leg.Shard = fmt.Sprintf("%d/%d", n+1, shards)
				leg.Name += fmt.Sprintf("-%dof%d", n+1, shards)
			}
			// Two references may differ in nothing that a name can hold.
			for slices.ContainsFunc(legs, func(l Leg) bool { return l.Name == leg.Name }) {
				leg.Name += "-again"
			}
			legs = append(legs, leg)
		}
	}
	return legs, nil
}

// safe makes a reference a name that GitHub takes for an artifact.
func safe(ref string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '.', r == '-', r == '_':
			return r
		}
		return '_'
	}, ref)
}

// JSON is the legs as a strategy.matrix wants them: a line of JSON.
func JSON(legs []Leg) (string, error) {
	text, err := json.Marshal(map[string][]Leg{"include": legs})
	return string(text), err
}
