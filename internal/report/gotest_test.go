package report

import (
	"os"
	"strings"
	"testing"

	"github.com/bpf-vmtest/bpf-vmtest/internal/result"
)

func TestGoTest(t *testing.T) {
	for _, name := range chosen {
		t.Run(name, func(t *testing.T) {
			f, err := os.Open("testdata/" + name + ".jsonl")
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			var b strings.Builder
			if err := result.Decode(f, NewGoTest(&b)); err != nil {
				t.Fatal(err)
			}
			checkGolden(t, "testdata/"+name+".gotest", b.String())
		})
	}
}
