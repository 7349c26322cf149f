package kconfig

import (
	"bufio"
	"bytes"
	"fmt"
)

// A Config is a kernel's .config: values by symbol, without CONFIG_. A symbol
// that is off or absent has no entry.
type Config map[string]string

// ParseConfig reads a .config as the kernel's tools write it.
func ParseConfig(data []byte) (Config, error) {
	c := Config{}
	sc := bufio.NewScanner(bytes.NewReader(data))
	sc.Buffer(nil, 1<<20) // a string symbol may hold a long command line
	for n := 1; sc.Scan(); n++ {
		r, err := parseLine(sc.Text())
		if err != nil {
			return nil, fmt.Errorf("parse .config line %d: %s", n, err.Msg)
		}
		if r != nil && r.Value != "n" {
			c[r.Symbol] = r.Value
		}
	}
	if err := sc.Err(); err != nil {
		return nil, fmt.Errorf("read .config: %w", err)
	}
	return c, nil
}

// Get is the value of a symbol, n when it is off or absent.
func (c Config) Get(symbol string) string {
	if v, ok := c[symbol]; ok {
		return v
	}
	return "n"
}
