package meminfo

import "testing"

func TestAvailable(t *testing.T) {
	got, err := available("MemTotal:  100 kB\nMemAvailable:   2048 kB\n")
	if got != 2<<20 || err != nil {
		t.Errorf("got %d, %v", got, err)
	}
	for _, bad := range []string{"", "MemAvailable: x kB\n", "MemAvailable: -1 kB\n", "MemAvailable: 1 MB\n"} {
		if got, err := available(bad); err == nil {
			t.Errorf("%q: got %d without an error", bad, got)
		}
	}
}
