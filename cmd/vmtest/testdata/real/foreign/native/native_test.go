package native

import (
	"sync"
	"testing"
)

func TestRoot(t *testing.T) {
	var wg sync.WaitGroup
	roots := make([]float64, 10)
	for i := range roots {
		wg.Go(func() { roots[i] = Root(float64(i * i)) })
	}
	wg.Wait()
	for i, r := range roots {
		if r != float64(i) {
			t.Errorf("the root of %d is %v", i*i, r)
		}
	}
}
