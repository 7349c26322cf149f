package shard

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	for s, want := range map[string]Shard{"1/1": {1, 1}, "2/5": {2, 5}, "5/5": {5, 5}} {
		if got, err := Parse(s); err != nil || got != want || got.String() != s {
			t.Errorf("%s: %v, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "2", "0/5", "6/5", "a/5", "2/b", "2/5/7", "-1/5", "1/0"} {
		if got, err := Parse(s); err == nil {
			t.Errorf("%q is taken for %v", s, got)
		}
	}
}

// some are tests of several packages, with durations.
func some(r *rand.Rand, n int) ([]Test, Durations) {
	var tests []Test
	d := Durations{}
	for i := range n {
		test := Test{fmt.Sprintf("p%d", i/7), fmt.Sprintf("Test%d", i)}
		tests = append(tests, test)
		switch r.IntN(4) {
		case 0: // not known
		case 1:
			d[test] = 0
		default:
			d[test] = 10 * r.Float64()
		}
	}
	return tests, d
}

// TestPlan holds plans against what they promise: every test in exactly one
// shard, and none that takes much longer than its share.
func TestPlan(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{1, 2, 5, 17, 100} {
		for _, size := range []int{0, 1, 5, 99, 1000} {
			tests, d := some(r, size)
			if r.IntN(3) == 0 {
				d = nil
			}
			p := NewPlan(tests, d, n)
			var all []Test
			longest := 0
			for i := range n {
				part := p.Shard(Shard{i + 1, n})
				if len(part) == 0 && size >= n {
					t.Errorf("%d tests in %d shards: shard %d is empty", size, n, i+1)
				}
				all = append(all, part...)
				longest = max(longest, sum(d.costs(tests)[len(all)-len(part):len(all)]))
			}
			if diff := cmp.Diff(tests, all); diff != "" {
				t.Errorf("%d tests in %d shards (-want +got):\n%s", size, n, diff)
			}
			costs := d.costs(tests)
			if most := sum(costs)/n + slices.Max(append(costs, 0)); longest > most {
				t.Errorf("%d tests in %d shards: the longest takes %d ms, more than %d", size, n, longest, most)
			}
			if again := NewPlan(slices.Clone(tests), d, n); again.Digest() != p.Digest() {
				t.Errorf("%d tests in %d shards: the same again has another digest", size, n)
			}
		}
	}
}

func TestDigest(t *testing.T) {
	tests := []Test{{"p", "TestA"}, {"p", "TestB"}, {"q", "TestA"}, {"q", "TestB"}}
	seen := map[string]string{}
	for name, p := range map[string]*Plan{
		"by count":  NewPlan(tests, nil, 2),
		"by time":   NewPlan(tests, Durations{tests[0]: 9, tests[1]: 0, tests[2]: 0}, 2),
		"in three":  NewPlan(tests, nil, 3),
		"less":      NewPlan(tests[:3], nil, 2),
		"in two, 1": NewPlan(tests[:1], nil, 2),
		"in four":   NewPlan(tests[:1], nil, 4),
	} {
		if other := seen[p.Digest()]; other != "" {
			t.Errorf("%s and %s have the same digest", name, other)
		}
		seen[p.Digest()] = name
	}
}

func TestReadDurations(t *testing.T) {
	const stream = `{"Action":"vmtest","Run":{"Protocol":1}}
{"Action":"pass","Kernel":"a","Package":"p","Test":"TestA","Elapsed":1}
{"Action":"fail","Kernel":"b","Package":"p","Test":"TestA","Elapsed":3}
{"Action":"pass","Kernel":"a","Package":"p","Test":"TestA/sub","Elapsed":1}
{"Action":"skip","Kernel":"a","Package":"p","Test":"TestB","Elapsed":0}
{"Action":"notrun","Kernel":"a","Package":"p","Test":"TestC"}
{"Action":"pass","Kernel":"a","Package":"p","Elapsed":9}
`
	d, err := ReadDurations(strings.NewReader(stream))
	if err != nil {
		t.Fatal(err)
	}
	want := Durations{{"p", "TestA"}: 2, {"p", "TestB"}: 0}
	if diff := cmp.Diff(want, d); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	costs := d.costs([]Test{{"p", "TestA"}, {"p", "TestB"}, {"p", "TestNew"}, {"q", ""}})
	if diff := cmp.Diff([]int{2010, 10, 1010, 10}, costs); diff != "" {
		t.Errorf("costs (-want +got):\n%s", diff)
	}
	if _, err := ReadDurations(strings.NewReader("nonsense\n")); err == nil {
		t.Error("nonsense is taken for a stream")
	}
}
