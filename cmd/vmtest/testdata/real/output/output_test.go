package output

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

func TestLines(t *testing.T) {
	for i := range 100_000 {
		fmt.Printf("line %d of many\n", i)
	}
}

func TestLongLine(t *testing.T) {
	os.Stdout.WriteString(strings.Repeat("x", 1<<20))
	os.Stdout.WriteString("\x00\xff\x1b[0m\n")
}

// TestBoth writes to both streams at once, from many goroutines.
func TestBoth(t *testing.T) {
	for i := range 8 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			for j := range 1000 {
				fmt.Fprintln(os.Stderr, "to stderr", i, j)
				t.Log("logged", i, j)
			}
		})
	}
}
