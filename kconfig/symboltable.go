package kconfig

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/bpf-vmtest/bpf-vmtest/internal/kver"
)

// A SymbolTable says which series of the kernel has which symbols, those of
// all architectures together. The zero SymbolTable is empty.
type SymbolTable struct {
	series []kver.Version    // at most 64
	masks  map[string]uint64 // by symbol; bit i stands for series[i]
}

// Set replaces what the table says of a series.
func (t *SymbolTable) Set(series kver.Version, symbols []string) error {
	i := slices.Index(t.series, series)
	if i < 0 {
		i = len(t.series)
		if i == 64 {
			return fmt.Errorf("add series %s to table of symbols: it holds 64 already", series)
		}
		t.series = append(t.series, series)
	}
	if t.masks == nil {
		t.masks = map[string]uint64{}
	}
	for name := range t.masks {
		t.masks[name] &^= 1 << i
	}
	for _, name := range symbols {
		t.masks[name] |= 1 << i
	}
	maps.DeleteFunc(t.masks, func(_ string, mask uint64) bool { return mask == 0 })
	return nil
}

// Known lists the series that are in the table, oldest first.
func (t *SymbolTable) Known() []kver.Version {
	return slices.SortedFunc(slices.Values(t.series), kver.Version.Compare)
}

// Series lists the series that have the symbol, oldest first.
func (t *SymbolTable) Series(symbol string) []kver.Version {
	var list []kver.Version
	for i, v := range t.series {
		if t.masks[symbol]&(1<<i) != 0 {
			list = append(list, v)
		}
	}
	slices.SortFunc(list, kver.Version.Compare)
	return list
}

// Encode writes the table as compressed text: a line "series 5.10 6.1 …" and
// then, sorted, a line per symbol with its mask in hexadecimal. Equal tables
// give equal bytes.
func (t *SymbolTable) Encode() ([]byte, error) {
	var buf bytes.Buffer
	zw, err := gzip.NewWriterLevel(&buf, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	w := bufio.NewWriter(zw)
	fmt.Fprint(w, "series")
	for _, v := range t.series {
		fmt.Fprintf(w, " %s", v)
	}
	fmt.Fprintln(w)
	for _, name := range slices.Sorted(maps.Keys(t.masks)) {
		fmt.Fprintf(w, "%s %x\n", name, t.masks[name])
	}
	if err := w.Flush(); err != nil {
		return nil, err
	}
	if err := zw.Close(); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}

// DecodeSymbolTable reads what [SymbolTable.Encode] wrote.
func DecodeSymbolTable(data []byte) (*SymbolTable, error) {
	t, err := decodeSymbolTable(data)
	if err != nil {
		return nil, fmt.Errorf("decode table of symbols: %w", err)
	}
	return t, nil
}

func decodeSymbolTable(data []byte) (*SymbolTable, error) {
	zr, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	t := &SymbolTable{masks: map[string]uint64{}}
	sc := bufio.NewScanner(zr)
	if !sc.Scan() {
		return nil, fmt.Errorf("no header: %w", sc.Err())
	}
	for _, s := range strings.Fields(sc.Text())[1:] {
		v, err := kver.Parse(s)
		if err != nil {
			return nil, err
		}
		t.series = append(t.series, v)
	}
	for sc.Scan() {
		name, mask, _ := strings.Cut(sc.Text(), " ")
		if t.masks[name], err = strconv.ParseUint(mask, 16, 64); err != nil {
			return nil, fmt.Errorf("symbol %q: %w", name, err)
		}
	}
	return t, sc.Err()
}
