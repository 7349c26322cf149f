// Package shard splits tests among machines that do not know of each other.
package shard

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/bpf-vmtest/bpf-vmtest/internal/result"
)

// A Shard is one of several parts of a list of tests. The zero Shard is all of
// it.
type Shard struct {
	Index, Count int // Index is from 1
}

// Parse reads 2/5, the second of five.
func Parse(s string) (Shard, error) {
	index, count, ok := strings.Cut(s, "/")
	i, err := strconv.Atoi(index)
	n, err2 := strconv.Atoi(count)
	if !ok || err != nil || err2 != nil || i < 1 || i > n {
		return Shard{}, fmt.Errorf("parse shard %q: want one like 2/5, the second of five", s)
	}
	return Shard{i, n}, nil
}

// IsAll reports whether nothing is split.
func (s Shard) IsAll() bool { return s.Count == 0 }

// String is the shard as Parse reads it, and empty for all.
func (s Shard) String() string {
	if s.IsAll() {
		return ""
	}
	return fmt.Sprintf("%d/%d", s.Index, s.Count)
}

// MarshalText and UnmarshalText make a Shard a flag.
func (s Shard) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText parses the text.
func (s *Shard) UnmarshalText(text []byte) (err error) {
	*s, err = Parse(string(text))
	return err
}

// A Test is a top-level test, or with an empty name a package that has none to
// run.
type Test struct{ Package, Name string }

// A Plan is a list of tests with the places at which it is split.
type Plan struct {
	tests []Test
	ends  []int // of the shards, as indices of tests
}

// NewPlan splits a list of tests into n shards that take about the same time.
// Each is tests that follow one another, so that a package is compiled by few of
// them; of all such splits it is one whose longest shard is the shortest.
//
// The same list, durations and n give the same plan, wherever it is made.
func NewPlan(tests []Test, d Durations, n int) *Plan {
	costs := d.costs(tests)
	// The limit of a shard's time, by halving: it suffices when the tests fit
	// into n shards.
	low, high := slices.Max(append(costs, 0)), sum(costs)
	for low < high {
		middle := low + (high-low)/2
		if len(split(costs, middle, 1)) <= n {
			high = middle
		} else {
			low = middle + 1
		}
	}
	p := &Plan{tests: tests, ends: split(costs, low, n)}
	for len(p.ends) < n {
		p.ends = append(p.ends, len(tests))
	}
	return p
}

// split is where shards end that take as many tests as fit into the limit, and
// leave one at least for each of n.
func split(costs []int, limit, n int) []int {
	var ends []int
	used := 0
	for i, c := range costs {
		if left := n - 1 - len(ends); used+c > limit || used > 0 && len(costs)-i <= left {
			ends, used = append(ends, i), 0
		}
		used += c
	}
	return append(ends, len(costs))
}

func sum(costs []int) int {
	total := 0
	for _, c := range costs {
		total += c
	}
	return total
}

// Shard is the tests of a shard.
func (p *Plan) Shard(s Shard) []Test {
	start := 0
	if s.Index > 1 {
		start = p.ends[s.Index-2]
	}
	return p.tests[start:p.ends[s.Index-1]]
}

// Digest tells plans apart: shards of plans with different digests do not belong
// together.
func (p *Plan) Digest() string {
	h := sha256.New()
	for i, t := range p.tests {
		fmt.Fprintf(h, "%t %q %q\n", slices.Contains(p.ends, i), t.Package, t.Name)
	}
	fmt.Fprintf(h, "%d\n", len(p.ends))
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// Durations are what tests took in an earlier run, in seconds. A nil Durations
// knows nothing: all tests are the same.
type Durations map[Test]float64

// ReadDurations reads a recorded result stream. What a test took is the mean of
// all times it ran, on all kernels.
func ReadDurations(r io.Reader) (Durations, error) {
	total, times := map[Test]float64{}, map[Test]int{}
	err := result.Decode(r, result.SinkFunc(func(e result.Event) error {
		if e.Kernel == "" || e.Elapsed == nil || e.Test == "" || strings.Contains(e.Test, "/") {
			return nil
		}
		switch e.Action {
		case result.Pass, result.Fail, result.Skip:
			t := Test{e.Package, e.Test}
			total[t] += *e.Elapsed
			times[t]++
		}
		return nil
	}))
	if err != nil {
		return nil, err
	}
	d := Durations{}
	for t, n := range times {
		d[t] = total[t] / float64(n)
	}
	return d, nil
}

// least is what a test costs that takes no time, in milliseconds: there may be
// many.
const least = 10

// costs are in milliseconds: whole numbers, which are added up in the same way
// everywhere. A test that is not known takes what the others do on average.
func (d Durations) costs(tests []Test) []int {
	known, n := 0.0, 0
	for _, t := range tests {
		if s, ok := d[t]; ok {
			known += s
			n++
		}
	}
	mean := known / float64(max(1, n))
	costs := make([]int, len(tests))
	for i, t := range tests {
		s, ok := d[t]
		if !ok && t.Name != "" {
			s = mean
		}
		costs[i] = least + int(math.Round(1000*max(0, s)))
	}
	return costs
}
