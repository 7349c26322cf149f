package bootcheck

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/bpf-vmtest/bpf-vmtest/internal/features"
	"github.com/bpf-vmtest/bpf-vmtest/kconfig"
)

// configFeature says that the kernel shows the configuration it came with.
const configFeature = "config"

// A ConfigError says that the configuration beside a kernel is another one's.
type ConfigError struct {
	Differ []string // "CONFIG_X is y, not m", in order
}

func (e *ConfigError) Error() string {
	const shown = 3
	list := strings.Join(e.Differ[:min(shown, len(e.Differ))], ", ")
	if more := len(e.Differ) - shown; more > 0 {
		list += fmt.Sprintf(" and %d more", more)
	}
	return "/proc/config.gz is not the configuration that came with the kernel: " + list
}

func (e *ConfigError) feature() string { return configFeature }

// compareConfig compares the configuration that came with the kernel with the
// one it shows, and returns the one that decides about requirements: its own,
// where it is known, else the other, else nil.
func (c Check) compareConfig(r *Result, shown []byte) (kconfig.Config, error) {
	given, err := c.readConfig()
	if err != nil {
		return nil, err
	}
	f := features.Feature{Name: configFeature}
	defer func() { r.Table.Add(features.Kernel, f) }()
	if shown == nil {
		f.State, f.Detail = features.Unsupported, "there is no /proc/config.gz"
		return given, nil
	}
	own, err := kconfig.ParseConfig(shown)
	if err != nil {
		return nil, fmt.Errorf("read /proc/config.gz: %w", err)
	}
	if given == nil {
		f.Detail = "it came without a configuration"
		return own, nil
	}
	if differ := differences(own, given); len(differ) > 0 {
		f.State, f.Detail = features.Unsupported, "another one came with the kernel"
		r.Problems = append(r.Problems, &ConfigError{differ})
		return own, nil
	}
	f.State = features.Supported
	return own, nil
}

// differences compares symbol by symbol: comments and order mean nothing.
func differences(own, given kconfig.Config) []string {
	all := maps.Clone(own)
	maps.Copy(all, given)
	var list []string
	for _, symbol := range slices.Sorted(maps.Keys(all)) {
		if own.Get(symbol) != given.Get(symbol) {
			list = append(list, fmt.Sprintf("CONFIG_%s is %s, not %s", symbol, own.Get(symbol), given.Get(symbol)))
		}
	}
	return list
}
