// Gensymbols writes the table of Kconfig symbols by kernel series that package
// kconfig embeds. Its arguments are kernel source trees, one per series:
//
//	go run ./gensymbols -o symbols.gz linux-5.10 linux-6.1 linux-6.12
//
// A series that is in the old table and not among the arguments is kept.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"

	"github.com/bpf-vmtest/bpf-vmtest/kconfig"
	"github.com/google/renameio/v2"
)

func main() {
	out := flag.String("o", "symbols.gz", "the `file` to add to, made when it is missing")
	flag.Parse()
	if err := run(*out, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "gensymbols: error:", err)
		os.Exit(1)
	}
}

func run(out string, trees []string) error {
	table, err := load(out)
	if err != nil {
		return err
	}
	for _, dir := range trees {
		if err := add(table, dir); err != nil {
			return err
		}
	}
	data, err := table.Encode()
	if err != nil {
		return err
	}
	return renameio.WriteFile(out, data, 0o644)
}

func load(file string) (*kconfig.SymbolTable, error) {
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return &kconfig.SymbolTable{}, nil
	}
	if err != nil {
		return nil, err
	}
	return kconfig.DecodeSymbolTable(data)
}

func add(table *kconfig.SymbolTable, dir string) error {
	v, err := kconfig.SourceVersion(dir)
	if err != nil {
		return err
	}
	symbols, err := kconfig.SourceSymbols(dir)
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "%s: %d symbols\n", v.Series(), len(symbols))
	return table.Set(v.Series(), symbols)
}
