// Package meminfo tells how much memory the host can give to machines.
package meminfo

import (
	"errors"
	"os"
	"strconv"
	"strings"
)

// Available is what the host can give without swapping, in bytes; see
// proc_meminfo(5).
func Available() (uint64, error) {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, err
	}
	return available(string(text))
}

func available(meminfo string) (uint64, error) {
	for line := range strings.Lines(meminfo) {
		fields := strings.Fields(line)
		if len(fields) != 3 || fields[0] != "MemAvailable:" || fields[2] != "kB" {
			continue
		}
		n, err := strconv.ParseUint(fields[1], 10, 54)
		return n << 10, err
	}
	return 0, errors.New("read /proc/meminfo: no MemAvailable")
}
